//! RFC 9110 §7: which resource a request is for, which headers are for this connection alone, and how to treat an offer
//! to switch protocols.

use crate::fixtures::HELLO;

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [targets(), other_schemes(), connection_options(), max_forwards(), upgrades()];
    Section::new("9110/7", "Routing", cases)
}

/// Cases for targets and values of Host that name another authority.
fn targets() -> Vec<Case> {
    vec![
        // §7.1: the absolute form names the authority; the request is still answered on this connection.
        robust("9110/7.1/1", "A request for another authority is not forwarded to it")
            .on(Needs::Fixtures)
            .send(get("http://127.0.0.1:1/hello.txt"))
            .expect(either(body(HELLO), any_of([400, 403, 404, 421]))),
        robust("9110/7.2/1", "An unknown Host is served or rejected with 4xx")
            .send("GET / HTTP/1.1\r\nHost: no-such-host.invalid\r\n\r\n")
            .expect(either(status(200), client_error())),
        robust("9110/7.2/2", "A Host with another port is served or rejected with 4xx")
            .send("GET / HTTP/1.1\r\nHost: test:1\r\n\r\n")
            .expect(either(status(200), client_error())),
    ]
}

/// Cases for §7.4: a request is rejected if the requirements of its target's scheme are not met.
fn other_schemes() -> Vec<Case> {
    let foreign = |id: &str, target: &str| {
        should(id, format!("The target {target:?}, in an unsupported scheme, is rejected"))
            .send(get(target))
            .expect(any_error())
    };
    vec![
        must(
            "9110/7.4/1",
            "A request for an https resource over a connection that is not secured is rejected",
        )
        .send(get("https://test/"))
        .expect(client_error()),
        must("9110/7.4/2", "A request for an https resource is rejected in any case of letters")
            .send(get("HTTPS://test/"))
            .expect(client_error()),
        foreign("9110/7.4/3", "ftp://test/"),
        foreign("9110/7.4/4", "file:///etc/passwd"),
        foreign("9110/7.4/5", "httpx://test/"),
        foreign("9110/7.4/6", "urn:example:x"),
    ]
}

/// Cases for the options in the Connection header.
fn connection_options() -> Vec<Case> {
    vec![
        should("9110/7.6.1/1", "An unknown connection option and the header of that name are ignored")
            .send(get("/").with("Connection: x-option").with("X-Option: y"))
            .expect([status(200), stays_open()]),
        robust("9110/7.6.1/2", "A Connection that lists Host does not remove Host, or is rejected")
            .send(get("/").with("Connection: Host"))
            .expect(any_of([200, 400])),
        robust("9110/7.6.1/3", "A Connection that is not a list of tokens is ignored or rejected")
            .send(get("/").with("Connection: @, \"close, a b"))
            .expect(any_of([200, 400])),
        // RFC 9112 §C.2.2: servers that understand Proxy-Connection make a proxy's connection hang.
        robust("9110/7.6.1/4", "Proxy-Connection is not treated as Connection")
            .send(get("/").http10().with("Proxy-Connection: keep-alive"))
            .expect([status(200), closes()]),
    ]
}

/// Cases for Max-Forwards and Via, which do not keep an origin server from answering.
fn max_forwards() -> Vec<Case> {
    vec![
        // §7.6.2: for any method but OPTIONS and TRACE it may be ignored.
        robust("9110/7.6.2/1", "Max-Forwards does not keep a GET from being answered")
            .send(get("/").with("Max-Forwards: 0"))
            .expect(status(200)),
        must("9110/7.6.2/2", "OPTIONS that may not be forwarded is answered here")
            .send(request("OPTIONS", "*").with("Max-Forwards: 0"))
            .expect(any_of([200, 204, 400, 405, 501])),
        should("9110/7.6.3/1", "A request that came through proxies is answered like any other")
            .send(get("/").with("Via: 1.0 fred, 1.1 p.example.com:80 (Proxy (nested) \\) 1.0)"))
            .expect([status(200), stays_open()]),
        robust("9110/7.6.3/2", "A malformed Via is no reason to reject")
            .send(get("/").with("Via: ,/ (((").with("Forwarded: for=\"_"))
            .expect(status(200)),
    ]
}

/// Cases for §7.8: a server may ignore an Upgrade, and must not switch to a protocol that the client did not offer.
fn upgrades() -> Vec<Case> {
    let offer = |protocol: &str| get("/").with("Connection: Upgrade").with(format!("Upgrade: {protocol}"));
    vec![
        must("9110/7.8/1", "An Upgrade to an unknown protocol is not accepted")
            .send(offer("no-such-protocol/7.0"))
            .expect(either(status(200), client_error())),
        must("9110/7.8/2", "An Upgrade in HTTP/1.0 is ignored")
            .send(offer("h2c").http10())
            .expect([status(200), no_header("Upgrade")]),
        should("9110/7.8/3", "An Upgrade that Connection does not list is ignored")
            .send(get("/").with("Upgrade: websocket"))
            .expect([status(200), stays_open()]),
        should("9110/7.8/4", "An Upgrade to HTTP/2 with malformed settings is ignored")
            .send(offer("h2c").with("HTTP2-Settings: @").with("Connection: HTTP2-Settings"))
            .expect([status(200), stays_open()]),
        should("9110/7.8/5", "An Upgrade to a WebSocket where there is none is ignored or rejected")
            .send(offer("websocket").with("Sec-WebSocket-Version: 13"))
            .expect(either(status(200), client_error())),
    ]
}
