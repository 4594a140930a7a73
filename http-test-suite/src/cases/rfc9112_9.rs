//! RFC 9112 §9: which connections persist, in which order replies come, and how a connection ends.

use crate::exchange::Ending;
use crate::fixtures::{DIGITS, HELLO, PATTERN_LEN, pattern};

use super::prelude::*;

/// The cases of this file.
pub fn section() -> Section {
    let cases = [persistence(), in_step(), pipelining(), half_close(), tear_down(), still_sending()];
    Section::new("9112/9", "Connection Management", cases)
}

fn persistence() -> Vec<Case> {
    vec![
        should("9112/9.3/1", "A connection persists after its first reply")
            .send(get("/"))
            .expect([status(200), stays_open()]),
        should("9112/9.3/2", "A connection persists through many requests, one after the other")
            .send(get("/"))
            .await_replies(1)
            .send(get("/"))
            .await_replies(2)
            .send(get("/"))
            .expect([replies([200, 200, 200]), stays_open()]),
        should("9112/9.3/3", "Connection: keep-alive is no reason to close")
            .send(get("/").with("Connection: keep-alive"))
            .expect([status(200), stays_open()]),
        should("9112/9.3/4", "A connection option that only resembles close is ignored")
            .send(get("/").with("Connection: closed, not-close"))
            .expect([status(200), stays_open()]),
        must("9112/9.3/5", "After a request in HTTP/1.0 the connection closes")
            .send(get("/").http10())
            .expect([status(200), closes()]),
        must("9112/9.3/6", "An HTTP/1.0 connection persists only if asked to, and the reply says so")
            .send(get("/").http10().with("Connection: keep-alive"))
            .expect([status(200), open_only_if_said()]),
        must("9112/9.3/7", "The option close ends the connection in HTTP/1.0 whatever stands beside it")
            .send(get("/").http10().with("Connection: keep-alive, close"))
            .expect([status(200), closes()]),
    ]
}

/// §9.3: read the content of a request to its end, or close; otherwise the content is taken for the next request.
fn in_step() -> Vec<Case> {
    vec![
        must("9112/9.3/20", "Content of a GET is not taken for a request")
            .send(get("/").content(SMUGGLED))
            .expect([any_of([200, 400, 413]), not_served()]),
        must("9112/9.3/21", "Chunked content of a GET is not taken for a request")
            .send(get("/").chunked([SMUGGLED]))
            .expect([any_of([200, 400, 411, 413]), not_served()]),
        must("9112/9.3/22", "The content of a method that is not allowed is not taken for a request")
            .send(request("DELETE", "/").content(SMUGGLED))
            .expect([any_reply(), not_served()]),
        must("9112/9.3/23", "The content of an unknown method is not taken for a request")
            .send(request("BREW", "/").content(SMUGGLED))
            .expect([any_error(), not_served()]),
        must("9112/9.3/24", "The content of a request for a missing file is not taken for a request")
            .send(get("/no/such/thing").content(SMUGGLED))
            .expect([client_error(), not_served()]),
        must("9112/9.3/25", "Content that comes later than the reply is not taken for a request")
            .send(format!("GET / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", SMUGGLED.len()))
            .pause()
            .send(SMUGGLED)
            .expect([any_of([200, 400, 413]), not_served()]),
        must("9112/9.3/26", "A request behind content is served, or the connection is closed")
            .send(get("/").content("abc"))
            .send(get("/"))
            .expect(either(replies([200, 200]), closes())),
        must("9112/9.3/27", "After a reply to HEAD the next request gets the right reply")
            .send(head("/"))
            .send(get("/"))
            .send(head("/"))
            .expect([replies([200, 200, 200]), stays_open()]),
    ]
}

fn pipelining() -> Vec<Case> {
    vec![
        must("9112/9.3.2/1", "Pipelined requests are answered in their order")
            .on(Needs::Fixtures)
            .send(get("/hello.txt"))
            .send(get("/digits.txt"))
            .send(get("/empty.txt"))
            .send(get("/hello.txt"))
            .expect([
                replies([200; 4]),
                body(HELLO),
                nth(1, body(DIGITS)),
                nth(2, body("")),
                nth(3, body(HELLO)),
            ]),
        must("9112/9.3.2/2", "A large reply does not overtake nor mix with a small one")
            .on(Needs::Fixtures)
            .send(get("/pattern.bin"))
            .send(get("/hello.txt"))
            .expect([replies([200, 200]), body(pattern(0..PATTERN_LEN)), nth(1, body(HELLO))]),
        must("9112/9.3.2/3", "A hundred pipelined requests get a hundred replies")
            .send(Vec::from(get("/")).repeat(100))
            .expect(replies([200; 100])),
        must("9112/9.3.2/4", "Pipelined requests that come byte by byte get a reply each")
            .send_bytewise(Vec::from(get("/")).repeat(3))
            .expect(replies([200; 3])),
        must("9112/9.3.2/5", "Requests of both kinds of framing are told apart")
            .send(get("/").content("abc"))
            .send(get("/").chunked(["de", "f"]))
            .send(get("/"))
            .expect(either(replies([200; 3]), closes())),
        robust("9112/9.3.2/6", "A reply 404 between others keeps its place")
            .send(get("/"))
            .send(get("/no/such/thing"))
            .send(get("/"))
            .expect(either(replies([200, 404, 200]), replies([200, 404]))),
        must("9112/9.3.2/7", "A reply before a malformed request is not lost, and nothing behind is served")
            .send(get("/"))
            .send("GET / HTTP/1.1\r\n\r\n")
            .smuggled()
            .expect([replies([200, 400]), not_served()]),
    ]
}

/// §9.6: either side may close its half of the connection alone; a client may close its half after its last request.
fn half_close() -> Vec<Case> {
    vec![
        robust("9112/9.5/1", "A client that has closed its sending side still gets its reply")
            .send(get("/"))
            .half_close()
            .expect([status(200), closes()]),
        robust("9112/9.5/2", "A client that has closed its sending side still gets all its replies")
            .send(get("/"))
            .send(get("/"))
            .half_close()
            .expect([replies([200, 200]), closes()]),
        robust("9112/9.5/3", "A client that has closed its sending side still gets a large reply whole")
            .on(Needs::Fixtures)
            .send(get("/pattern.bin"))
            .half_close()
            .expect([status(200), body(pattern(0..PATTERN_LEN)), closes()]),
        robust("9112/9.5/4", "A connection without any request is closed without a reply")
            .half_close()
            .expect(silence()),
        robust("9112/9.5/5", "A connection that ends between requests is closed without another reply")
            .send(get("/"))
            .await_replies(1)
            .half_close()
            .expect([replies([200]), closes(), no_reset()]),
    ]
}

fn tear_down() -> Vec<Case> {
    vec![
        must("9112/9.6/1", "The option close ends the connection after the reply")
            .send(get("/").closing())
            .expect([status(200), closes()]),
        should("9112/9.6/2", "The last reply on a connection says close")
            .send(get("/").closing())
            .expect(field("Connection", listing("close"))),
        must("9112/9.6/3", "The option close is understood in any case of letters")
            .send(get("/").with("Connection: CLose"))
            .expect([status(200), closes()]),
        must("9112/9.6/4", "The option close is understood in a list")
            .send(get("/").with("Connection: x-option , close,keep-alive"))
            .expect([status(200), closes()]),
        must("9112/9.6/5", "The option close is understood in a second field line")
            .send(get("/").with("Connection: keep-alive").with("Connection: close"))
            .expect([status(200), closes()]),
        must("9112/9.6/6", "The option close is understood beside an empty member of the list")
            .send(get("/").with("Connection: , ,close,"))
            .expect([status(200), closes()]),
        must("9112/9.6/7", "Nothing behind a request with close is served")
            .send(get("/").closing())
            .smuggled()
            .expect([status(200), not_served(), closes()]),
        must("9112/9.6/8", "Nothing behind a request in HTTP/1.0 is served")
            .send(get("/").http10())
            .smuggled()
            .expect([status(200), not_served(), closes()]),
        must("9112/9.6/9", "The option close holds for a reply that is an error, too")
            .send(get("/no/such/thing").closing())
            .expect([client_error(), closes()]),
        must("9112/9.6/10", "The option close holds for HEAD, too")
            .send(head("/").closing())
            .expect([status(200), closes()]),
        must("9112/9.6/11", "The option close comes after the last byte of a large reply")
            .on(Needs::Fixtures)
            .send(get("/pattern.bin").closing())
            .expect([status(200), body(pattern(0..PATTERN_LEN)), closes(), no_reset()]),
        robust("9112/9.6/12", "A large reply in HTTP/1.0 is whole, and says how long it is")
            .on(Needs::Fixtures)
            .send(get("/pattern.bin").http10())
            .expect([body(pattern(0..PATTERN_LEN)), field("Content-Length", "1048576"), closes()]),
    ]
}

/// §9.6: if a server closes with bytes unread, the kernel sends a reset, and the reset can cost the client the reply.
fn still_sending() -> Vec<Case> {
    const MUCH: usize = 4 << 20;
    let much = || vec![b'x'; MUCH];
    vec![
        robust("9112/9.6/20", "The refusal of a malformed request reaches a client that is still sending")
            .send("GET / HTTP/1.1\r\n\r\n")
            .send(much())
            .expect([status(400), closes(), no_reset()]),
        robust("9112/9.6/21", "The refusal of a method reaches a client that is still sending its content")
            .send(request("BREW", "/").content(much()))
            .expect([any_error(), no_reset()]),
        robust("9112/9.6/22", "The refusal of a target reaches a client that is still sending its content")
            .send(request("PUT", "/no/such/thing").content(much()))
            .expect([any_reply(), no_reset()]),
        robust("9112/9.6/23", "A client that goes on sending after a refusal is not reset at once")
            .send("GET / HTTP/1.1\r\n\r\n")
            .await_replies(1)
            .send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            .pause()
            .send(vec![b'x'; 10_000])
            .pause()
            .expect([status(400), closes(), no_reset()]),
    ]
}

/// The connection is open exactly if the reply says keep-alive, as an HTTP/1.0 client that offers keep-alive expects.
fn open_only_if_said() -> Expect {
    whole(
        "a connection that is open only if the reply says keep-alive",
        1,
        Some(Ending::Farewell),
        |exchange| {
            let said = exchange.replies.first().is_some_and(|reply| reply.lists("Connection", "keep-alive"));
            match (said, exchange.farewell.is_some()) {
                (true, false) => Err("keep-alive was said, but the next request is not served".into()),
                (false, true) => Err("keep-alive was not said, but the connection is open".into()),
                _ => Ok(()),
            }
        },
    )
}
