//! A server behind proxies: the header of the PROXY protocol, and the headers that forward the client's address.

use crate::{
    app::AppReply,
    drive::Drive,
    script::Act::{self, DisableKeepAlive, Drain, End, Pass, Send},
};
use http_core::{
    Config, ForwardedHeaders, Proxies, Rejected, Rejection, Request, Response, Schemes, testing::TestRequest,
};
use proptest::{collection::vec, prelude::*};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const CLIENT: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";
const V2_LOCAL: &str = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Trusts peers without an address, which the simulated client is.
fn config(proxy_protocol: bool) -> Config {
    let networks = vec!["10.0.0.0/8".parse().expect("a network")];
    Config {
        proxies: Proxies { networks, unix: true, proxy_protocol, ..Proxies::default() },
        ..Config::default()
    }
}

fn client(request: &Request<'_>) -> String {
    request.client_addr().map_or("none".to_owned(), |address| address.to_string())
}

/// Runs a script with an application that responds with the client's address.
fn run(acts: &[Act<'_>]) -> Drive {
    let mut drive = Drive::new(config(true), |request| AppReply::Now(Response::text(client(request))));
    drive.on_reject = |rejected: &Rejected<'_>| rejected.response();
    drive.act(acts);
    drive
}

/// Expects these steps, and these bodies of the responses.
fn check(acts: &[Act<'_>], steps: &str, clients: &[&str]) {
    let drive = run(acts);
    assert_eq!(drive.steps.join(" "), steps, "{acts:?}");
    let bodies: Vec<_> = drive
        .responses()
        .into_iter()
        .map(|response| String::from_utf8_lossy(&response.body).into_owned())
        .collect();
    let bodies: Vec<_> = bodies.iter().map(|body| if body.contains("<") { "error" } else { body }).collect();
    assert_eq!(bodies, clients, "{acts:?}");
}

#[test]
fn a_connection_of_a_proxy_begins_with_a_header() {
    let all = [CLIENT, GET, GET].concat();
    check(&[Send(&all)], "receive proxied request flush receive", &["192.0.2.7:4711", "192.0.2.7:4711"]);
    check(&[Send(CLIENT), Send(GET)], "receive proxied receive request flush receive", &["192.0.2.7:4711"]);
    check(&[Send(&CLIENT[..20]), End], "receive Truncated", &[]);
    check(&[End], "receive ClientClosed", &[]);
    check(&[Send(V2_LOCAL), End], "receive proxied receive ClientClosed", &[]);
    check(&[Send(V2_LOCAL), Send(GET)], "receive proxied receive request flush receive", &["none"]);
    let reject = "receive Malformed(ProxyHeader) flush shutdown receive";
    check(&[Send(GET)], reject, &["error"]);
    check(&[Send(&CLIENT.replace("TCP4", "TCP5"))], reject, &["error"]);
    // A second header is not expected.
    let twice = [CLIENT, CLIENT].concat();
    check(&[Send(&twice)], "receive proxied Malformed(Version) flush shutdown receive", &["error"]);
}

/// The engine rejects a client that the header names.
#[test]
fn an_engine_rejects_the_announced_client() {
    let mut drive = run(&[Send(&CLIENT[..20])]);
    assert!(drive.connection().awaits_proxy_header());
    assert_eq!(drive.wait(drive.now()), (false, None, false));
    drive.act(&[Send(&CLIENT[20..])]);
    assert!(!drive.connection().awaits_proxy_header());
    assert_eq!(drive.connection().client_addr(), Some(([192, 0, 2, 7], 4711).into()));
    drive.act(&[Act::Reject(Rejection::Overloaded)]);
    assert_eq!(drive.steps.join(" "), "receive proxied receive flush shutdown receive");
    assert!(drive.output.starts_with(b"HTTP/1.1 503 "));
    let drive = run(&[Send("")]);
    assert_eq!(drive.wait(drive.now()), (true, Some(0), false));
}

#[test]
fn a_header_must_arrive_as_soon_as_a_head() {
    check(&[Send(""), Pass(14_999), Send("")], "receive", &[]);
    check(&[Send(""), Pass(15_000)], "receive Idle", &[]);
    check(&[Pass(14_000), Send(&CLIENT[..20]), Pass(1_000)], "receive Idle", &[]);
    check(
        &[Pass(14_000), Send(CLIENT), Pass(74_999), Send(GET)],
        "receive proxied receive request flush receive",
        &["192.0.2.7:4711"],
    );
    check(&[Send(CLIENT), Pass(75_000)], "receive proxied receive Idle", &[]);
    check(&[Send(""), DisableKeepAlive], "receive Done", &[]);
}

/// The proxy may have sent the header, and a request.
#[test]
fn a_draining_connection_waits_for_the_header() {
    let last = "receive proxied receive request flush shutdown receive Done";
    let served = |acts: &[Act<'_>]| check(acts, last, &["192.0.2.7:4711"]);
    served(&[Send(""), Drain, Pass(1_999), Send(CLIENT), Pass(1_999), Send(GET), End]);
    served(&[Drain, Pass(1_999), Send(&CLIENT[..20]), Pass(9_999), Send(&CLIENT[20..]), Send(GET), End]);
    check(&[Pass(9_999), Drain, Pass(2_000)], "receive Idle", &[]);
    check(
        &[Pass(14_000), Drain, Pass(1_999), Send(CLIENT), Pass(2_000)],
        "receive proxied receive Idle",
        &[],
    );
}

/// Asks, from this peer, for the client's address; `-` is a peer without an address.
fn forwarded(peer: &str, headers: &[(&str, &str)]) -> String {
    let request = TestRequest::get("/").config(config(false));
    let request = match peer.parse() {
        Ok(peer) => request.client_addr(peer),
        Err(_) => request,
    };
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(name, *value))
        .run(&client)
        .text()
        .to_owned()
}

#[test]
fn only_trusted_peers_forward_addresses() {
    let headers = [
        ("X-Forwarded-For", "203.0.113.1"),
        ("X-Forwarded-For", "192.0.2.7, 10.0.0.9"),
        ("Forwarded", "for=1.2.3.4"),
    ];
    assert_eq!(forwarded("10.0.0.1:80", &headers), "192.0.2.7:0");
    assert_eq!(forwarded("-", &headers), "192.0.2.7:0");
    assert_eq!(forwarded("[::ffff:10.0.0.1]:80", &headers), "192.0.2.7:0");
    assert_eq!(forwarded("11.0.0.1:80", &headers), "11.0.0.1:80");
    assert_eq!(forwarded("10.0.0.1:80", &[("X-Forwarded-For", "unknown")]), "10.0.0.1:80");
    assert_eq!(forwarded("10.0.0.1:80", &[]), "10.0.0.1:80");
}

#[test]
fn a_request_is_secure_or_not() {
    let is_secure = |request: &Request<'_>| format!("{} {}", request.is_secure(), request.is_conditional());
    assert_eq!(TestRequest::get("/").run(&is_secure).text(), "false false");
    let conditional = TestRequest::get("/").over_tls().header("If-Match", "*");
    assert_eq!(conditional.run(&is_secure).text(), "true true");
}

/// The scheme and the host of a request are those that the client has used.
#[test]
fn a_request_has_a_scheme_and_a_host() {
    let check = |request: TestRequest, expected: &str| {
        let uri = |request: &Request<'_>| format!("{}://{}", request.scheme(), request.host().unwrap_or("-"));
        assert_eq!(request.header("Host", "x").run(&uri).text(), expected);
    };
    check(TestRequest::get("/"), "http://x");
    check(TestRequest::get("/").over_tls(), "https://x");
    check(TestRequest::get("https://y/").over_tls(), "https://y");
    let both = || Config { schemes: Schemes::HttpAndHttps, ..Config::default() };
    check(TestRequest::get("/").config(both()), "http://x");
    check(TestRequest::get("/").config(both()).over_tls(), "http://x");
    check(TestRequest::get("https://y/").config(both()), "https://y");
    let mut proxied = config(false);
    proxied.proxies.headers = ForwardedHeaders::XForwardedFor { proto: true, host: true };
    let forwarded = |proto, host| {
        let request = TestRequest::get("/").config(proxied.clone());
        request.header("X-Forwarded-Proto", proto).header("X-Forwarded-Host", host)
    };
    check(forwarded("https", "example.org"), "https://example.org");
    check(forwarded("x", "/"), "http://x");
}

#[test]
fn each_request_has_its_client() {
    let to = |client: &str| GET.replace("\r\n\r\n", &format!("\r\nX-Forwarded-For: {client}\r\n\r\n"));
    let requests = [&to("192.0.2.1"), GET, &to("192.0.2.2")].concat();
    let proxied = |first: &str| [first, &requests].concat();
    check(
        &[Send(&proxied(V2_LOCAL))],
        "receive proxied request flush receive",
        &["192.0.2.1:0", "none", "192.0.2.2:0"],
    );
    // The announced client is no proxy.
    check(&[Send(&proxied(CLIENT))], "receive proxied request flush receive", &["192.0.2.7:4711"; 3]);
    let proxy = CLIENT.replace("192.0.2.7", "10.0.0.9");
    let expected = ["192.0.2.1:0", "10.0.0.9:4711", "192.0.2.2:0"];
    check(&[Send(&proxied(&proxy))], "receive proxied request flush receive", &expected);
    // A rejected head has the address of the peer.
    let mut drive = Drive::new(config(false), |request| AppReply::Now(Response::text(client(request))));
    drive.on_reject = |rejected| Response::text(format!("{:?}", rejected.client_addr)).with_close();
    drive.act(&[Send(&to("192.0.2.1")), Send("GET / HTTP/1.1\r\n"), Pass(15_000), Send("")]);
    let bodies: Vec<_> = drive.responses().into_iter().map(|response| response.body).collect();
    assert_eq!(bodies, [&b"192.0.2.1:0"[..], b"None"]);
}

proptest! {
    /// Whatever a peer that is no trusted proxy sends, its address stays.
    #[test]
    fn an_untrusted_peer_keeps_its_address(values in vec("[ -~]{0,40}", 0..4), headers in 0..2) {
        let headers = [ForwardedHeaders::Forwarded, ForwardedHeaders::XForwardedFor { proto: true, host: true }][headers as usize];
        let mut config = config(true);
        (config.proxies.headers, config.proxies.unix) = (headers, false);
        let names = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"];
        let request = TestRequest::get("/").config(config).client_addr(([192, 0, 2, 7], 4711).into());
        let request = values.iter().zip(names.into_iter().cycle()).fold(request, |request, (value, name)| request.header(name, value.as_str()));
        let handler = |request: &Request<'_>| format!("{} {} {:?}", client(request), request.scheme(), request.host());
        let response = request.header("Host", "x").run(&handler);
        prop_assert_eq!(response.text(), "192.0.2.7:4711 http Some(\"x\")");
    }

    /// However the header and the requests are split, they are read alike.
    #[test]
    fn a_header_may_be_split(sizes in vec(1..40_usize, 1..10)) {
        let mut drive = Drive::new(config(true), |request| AppReply::Now(Response::text(client(request))));
        drive.send_split([CLIENT, GET].concat().as_bytes(), &sizes);
        drive.run();
        prop_assert_eq!(drive.responses().pop().map(|response| response.body), Some(b"192.0.2.7:4711".to_vec()));
    }
}
