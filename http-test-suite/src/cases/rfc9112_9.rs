//! RFC 9112 §9: which connections persist, in which order responses come, and how a connection ends.

use crate::exchange::Ending;
use crate::fixtures::{DIGITS, HELLO, PATTERN_LEN, pattern};

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases =
        [persistence(), bodies_are_read(), pipelining(), half_close(), close_option(), still_sending()];
    Section::new("9112/9", "Connection Management", cases)
}

/// Cases for connections that stay open.
fn persistence() -> Vec<Case> {
    vec![
        should("9112/9.3/1", "A connection persists after its first response")
            .send(get("/"))
            .expect([status(200), stays_open()]),
        should("9112/9.3/2", "A connection persists through many requests, one after the other")
            .send(get("/"))
            .await_responses(1)
            .send(get("/"))
            .await_responses(2)
            .send(get("/"))
            .expect([responses([200, 200, 200]), stays_open()]),
        should("9112/9.3/3", "Connection: keep-alive is no reason to close")
            .send(get("/").with("Connection: keep-alive"))
            .expect([status(200), stays_open()]),
        should("9112/9.3/4", "A connection option that only resembles close is ignored")
            .send(get("/").with("Connection: closed, not-close"))
            .expect([status(200), stays_open()]),
        must("9112/9.3/5", "After a request in HTTP/1.0 the connection closes")
            .send(get("/").http10())
            .expect([status(200), closes()]),
        must("9112/9.3/6", "An HTTP/1.0 connection persists only if asked to, and the response says so")
            .send(get("/").http10().with("Connection: keep-alive"))
            .expect([status(200), open_only_if_keep_alive()]),
        must("9112/9.3/7", "The option close ends the connection in HTTP/1.0 whatever stands beside it")
            .send(get("/").http10().with("Connection: keep-alive, close"))
            .expect([status(200), closes()]),
    ]
}

/// Cases for §9.3: read the body of a request to its end, or close; otherwise the body is read as the next request.
fn bodies_are_read() -> Vec<Case> {
    vec![
        must("9112/9.3/20", "The body of a GET is not treated as a request")
            .send(get("/").body(SMUGGLED))
            .expect([any_of([200, 400, 413]), not_served()]),
        must("9112/9.3/21", "The chunked body of a GET is not treated as a request")
            .send(get("/").chunked([SMUGGLED]))
            .expect([any_of([200, 400, 411, 413]), not_served()]),
        must("9112/9.3/22", "The body of a method that is not allowed is not treated as a request")
            .send(request("DELETE", "/").body(SMUGGLED))
            .expect([any_response(), not_served()]),
        must("9112/9.3/23", "The body of an unknown method is not treated as a request")
            .send(request("BREW", "/").body(SMUGGLED))
            .expect([any_error(), not_served()]),
        must("9112/9.3/24", "The body of a request for a missing file is not treated as a request")
            .send(get("/no/such/thing").body(SMUGGLED))
            .expect([client_error(), not_served()]),
        must("9112/9.3/25", "A body that comes later than the response is not treated as a request")
            .send(format!("GET / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", SMUGGLED.len()))
            .pause()
            .send(SMUGGLED)
            .expect([any_of([200, 400, 413]), not_served()]),
        must("9112/9.3/26", "A request after a body is served, or the connection is closed")
            .send(get("/").body("abc"))
            .send(get("/"))
            .expect(either(responses([200, 200]), closes())),
        must("9112/9.3/27", "After a response to HEAD the next request gets the right response")
            .send(head("/"))
            .send(get("/"))
            .send(head("/"))
            .expect([responses([200, 200, 200]), stays_open()]),
    ]
}

/// Cases for pipelined requests, which must be answered in order.
fn pipelining() -> Vec<Case> {
    vec![
        must("9112/9.3.2/1", "Pipelined requests are answered in their order")
            .on(Needs::Fixtures)
            .send(get("/hello.txt"))
            .send(get("/digits.txt"))
            .send(get("/empty.txt"))
            .send(get("/hello.txt"))
            .expect([
                responses([200; 4]),
                body(HELLO),
                nth(1, body(DIGITS)),
                nth(2, body("")),
                nth(3, body(HELLO)),
            ]),
        must("9112/9.3.2/2", "A large response does not overtake nor mix with a small one")
            .on(Needs::Fixtures)
            .send(get("/pattern.bin"))
            .send(get("/hello.txt"))
            .expect([responses([200, 200]), body(pattern(0..PATTERN_LEN)), nth(1, body(HELLO))]),
        must("9112/9.3.2/3", "A hundred pipelined requests get a hundred responses")
            .send(Vec::from(get("/")).repeat(100))
            .expect(responses([200; 100])),
        must("9112/9.3.2/4", "Pipelined requests that come byte by byte get a response each")
            .send_bytewise(Vec::from(get("/")).repeat(3))
            .expect(responses([200; 3])),
        must("9112/9.3.2/5", "Requests of both kinds of framing are told apart")
            .send(get("/").body("abc"))
            .send(get("/").chunked(["de", "f"]))
            .send(get("/"))
            .expect(either(responses([200; 3]), closes())),
        robust("9112/9.3.2/6", "A response 404 between others keeps its place")
            .send(get("/"))
            .send(get("/no/such/thing"))
            .send(get("/"))
            .expect(either(responses([200, 404, 200]), responses([200, 404]))),
        must(
            "9112/9.3.2/7",
            "A response before a malformed request is not lost, and nothing after it is served",
        )
        .send(get("/"))
        .send("GET / HTTP/1.1\r\n\r\n")
        .smuggled()
        .expect([responses([200, 400]), not_served()]),
    ]
}

/// Cases for §9.6: either side may close its half of the connection alone; a client may close its half after its last
/// request.
fn half_close() -> Vec<Case> {
    vec![
        robust("9112/9.5/1", "A client that has closed its sending side still gets its response")
            .send(get("/"))
            .half_close()
            .expect([status(200), closes()]),
        robust("9112/9.5/2", "A client that has closed its sending side still gets all its responses")
            .send(get("/"))
            .send(get("/"))
            .half_close()
            .expect([responses([200, 200]), closes()]),
        robust("9112/9.5/3", "A client that has closed its sending side still gets a large response whole")
            .on(Needs::Fixtures)
            .send(get("/pattern.bin"))
            .half_close()
            .expect([status(200), body(pattern(0..PATTERN_LEN)), closes()]),
        robust("9112/9.5/4", "A connection without any request is closed without a response")
            .half_close()
            .expect(no_response()),
        robust("9112/9.5/5", "A connection that ends between requests is closed without another response")
            .send(get("/"))
            .await_responses(1)
            .half_close()
            .expect([responses([200]), closes(), no_reset()]),
    ]
}

/// Cases for the option `close` in Connection.
fn close_option() -> Vec<Case> {
    vec![
        must("9112/9.6/1", "The option close ends the connection after the response")
            .send(get("/").closing())
            .expect([status(200), closes()]),
        should("9112/9.6/2", "The last response on a connection says close")
            .send(get("/").closing())
            .expect(header("Connection", listing("close"))),
        must("9112/9.6/3", "The option close is understood in any case of letters")
            .send(get("/").with("Connection: CLose"))
            .expect([status(200), closes()]),
        must("9112/9.6/4", "The option close is understood in a list")
            .send(get("/").with("Connection: x-option , close,keep-alive"))
            .expect([status(200), closes()]),
        must("9112/9.6/5", "The option close is understood in a second header line")
            .send(get("/").with("Connection: keep-alive").with("Connection: close"))
            .expect([status(200), closes()]),
        must("9112/9.6/6", "The option close is understood beside an empty member of the list")
            .send(get("/").with("Connection: , ,close,"))
            .expect([status(200), closes()]),
        must("9112/9.6/7", "Nothing after a request with close is served")
            .send(get("/").closing())
            .smuggled()
            .expect([status(200), not_served(), closes()]),
        must("9112/9.6/8", "Nothing after a request in HTTP/1.0 is served")
            .send(get("/").http10())
            .smuggled()
            .expect([status(200), not_served(), closes()]),
        must("9112/9.6/9", "The option close holds for a response that is an error, too")
            .send(get("/no/such/thing").closing())
            .expect([client_error(), closes()]),
        must("9112/9.6/10", "The option close holds for HEAD, too")
            .send(head("/").closing())
            .expect([status(200), closes()]),
        must("9112/9.6/11", "The option close comes after the last byte of a large response")
            .on(Needs::Fixtures)
            .send(get("/pattern.bin").closing())
            .expect([status(200), body(pattern(0..PATTERN_LEN)), closes(), no_reset()]),
        robust("9112/9.6/12", "A large response in HTTP/1.0 is whole, and says how long it is")
            .on(Needs::Fixtures)
            .send(get("/pattern.bin").http10())
            .expect([body(pattern(0..PATTERN_LEN)), header("Content-Length", "1048576"), closes()]),
    ]
}

/// Cases for §9.6: if a server closes with bytes unread, the kernel sends a reset, and the reset can cost the client
/// the response.
fn still_sending() -> Vec<Case> {
    /// The length of a body that no socket buffer holds.
    const MUCH: usize = 4 << 20;
    let much = || vec![b'x'; MUCH];
    vec![
        robust("9112/9.6/20", "The rejection of a malformed request reaches a client that is still sending")
            .send("GET / HTTP/1.1\r\n\r\n")
            .send(much())
            .expect([status(400), closes(), no_reset()]),
        robust("9112/9.6/21", "The rejection of a method reaches a client that is still sending its body")
            .send(request("BREW", "/").body(much()))
            .expect([any_error(), no_reset()]),
        robust("9112/9.6/22", "The rejection of a target reaches a client that is still sending its body")
            .send(request("PUT", "/no/such/thing").body(much()))
            .expect([any_response(), no_reset()]),
        robust("9112/9.6/23", "A client that goes on sending after a rejection is not reset at once")
            .send("GET / HTTP/1.1\r\n\r\n")
            .await_responses(1)
            .send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            .pause()
            .send(vec![b'x'; 10_000])
            .pause()
            .expect([status(400), closes(), no_reset()]),
    ]
}

/// Expects that the connection is open exactly if the response says keep-alive, as an HTTP/1.0 client that offers
/// keep-alive expects.
fn open_only_if_keep_alive() -> Expectation {
    of_exchange(
        "a connection that is open only if the response says keep-alive",
        1,
        Some(Ending::ClosingRequest),
        |exchange| {
            let said =
                exchange.responses.first().is_some_and(|response| response.lists("Connection", "keep-alive"));
            match (said, exchange.closing_response.is_some()) {
                (true, false) => Err("keep-alive was said, but the next request is not served".into()),
                (false, true) => Err("keep-alive was not said, but the connection is open".into()),
                _ => Ok(()),
            }
        },
    )
}
