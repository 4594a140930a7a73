//! A handler's response is the same through `testing::TestRequest` and through an engine.

use crate::{
    client::request,
    server::{InProcessServer, settings},
};
use http_engine::{
    Admit, Body, Handler, IntoReply, Rejected, Reply, Request, Response, Sink, Status, testing::TestRequest,
};
use std::{io::Read, panic::resume_unwind, thread, time::Duration};

/// A handler with a path for each kind of reply and of body.
struct Every;

/// Responds with the number of bytes. Wants no more after a `!`.
struct Count(usize);

impl Sink for Count {
    fn write(&mut self, data: &[u8]) -> Result<(), Response> {
        self.0 += data.len();
        if data.contains(&b'!') { Err(Response::error(Status::CONTENT_TOO_LARGE)) } else { Ok(()) }
    }

    fn finish(self: Box<Self>) -> Reply {
        Reply::offload(move || self.0.to_string())
    }
}

impl Handler for Every {
    fn admit(&self, head: &Request<'_>) -> Admit {
        if head.path().starts_with("/at-head") { Admit::AtHead } else { Admit::Buffer }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        let text = |text: &'static str| Response::text(text);
        match request.path() {
            "/echo" => Response::bytes(request.body().to_vec()).into(),
            "/after" => Reply::after(Duration::from_millis(1), move || text("after")),
            "/offload" => Reply::offload(move || (Status::CREATED, "offload")),
            "/deferred" => Reply::deferred(move |responder| {
                thread::spawn(move || responder.respond(text("deferred")));
            }),
            "/dropped" => Reply::deferred(drop),
            "/panics" => resume_unwind(Box::new("on purpose")),
            "/invalid" => text("x").with_header("Content-Length", "2").into(),
            "/no-content" => Status::NO_CONTENT.into_reply(),
            "/close" => text("closed").with_close().into(),
            "/reader" => Response::text(Body::reader(&b"read"[..], Some(4))).into(),
            "/channel" => {
                let (sender, body) = Body::channel(4);
                thread::spawn(move || {
                    let sent =
                        ["one", "two"].iter().all(|text| sender.send(*text, Duration::from_secs(10)).is_ok());
                    if sent {
                        sender.finish();
                    }
                });
                Response::text(body).into()
            }
            "/at-head" => Response::error(Status::UNAUTHORIZED).into(),
            "/at-head/push" | "/push" => Reply::receive(Count(0)),
            "/at-head/read" | "/read" => Reply::read(|mut content| {
                let mut text = format!("{:?} ", content.content_length());
                match content.read_to_string(&mut text) {
                    Ok(_) => Response::text(text),
                    Err(_) => Response::error(Status::BAD_REQUEST),
                }
            }),
            _ => Response::error(Status::NOT_FOUND).into(),
        }
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        response.with_header("Rejected", rejected.reason.to_string())
    }
}

/// Returns the header lines without the line of the status, and without the headers that name the server and the time.
fn lines(head: &[u8]) -> Vec<String> {
    let lines = String::from_utf8_lossy(head);
    let is_compared = |line: &&str| {
        !["HTTP/", "Server:", "Date:"].iter().any(|start| line.starts_with(start)) && !line.is_empty()
    };
    lines.lines().filter(is_compared).map(str::to_owned).collect()
}

http_testing::both_engines! {
    fn a_test_in_memory_receives_what_a_client_receives(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), Every);
        let paths = [
            "/echo", "/after", "/offload", "/deferred", "/dropped", "/panics", "/invalid", "/no-content", "/close", "/reader",
            "/channel", "/at-head", "/at-head/push", "/at-head/read", "/push", "/read", "/missing", "/../above", "/|",
        ];
        let requests = [
            ("GET", ""), ("HEAD", ""), ("POST", "content"), ("PUT", "no more!"), ("PATCH", "chunk"), ("BREW", ""),
        ];
        for (method, content) in requests {
            for path in paths {
                let (test, length) = (TestRequest::new(method, path), content.len());
                let (test, headers, sent) = match method {
                    "PATCH" => (
                        test.chunks([content]),
                        "Transfer-Encoding: chunked\r\n".to_owned(),
                        format!("{length}\r\n{content}\r\n0\r\n\r\n"),
                    ),
                    _ if content.is_empty() => (test, String::new(), String::new()),
                    _ => (test.body(content), format!("Content-Length: {length}\r\n"), content.to_owned()),
                };
                let expected = server.connect().fetch(request(method, path, &headers) + &sent);
                let actual = test.run(&Every);
                assert_eq!((actual.status().code(), actual.body()), (expected.status, &*expected.body), "{test:?}");
                assert_eq!(lines(actual.headers().as_bytes()), lines(&expected.head), "{test:?}");
            }
        }
    }
}
