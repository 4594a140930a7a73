//! What a handler says in a response, and what the client receives. A response that cannot be sent is logged.

use crate::{
    client::{get, request},
    recorder,
    reply::BodyFraming,
    server::{InProcessServer, settings},
};
use http_engine::{Body, Engine, Handler, Request, Response, Schemes, Status};
use std::sync::Arc;

/// Responds in the way that the path names. `engine` makes the names of headers differ between the tests, which share
/// one log.
fn handle(engine: Engine) -> impl Handler {
    move |request: &Request<'_>| {
        let text = Response::text("hello");
        match request.path() {
            "/bad-value" => {
                text.with_header(&format!("X-{engine:?}"), "a\r\nSet-Cookie: b").with_status(Status::OK)
            }
            "/bad-location" => Response::redirect(Status::FOUND, "/\n"),
            "/reserved" => text.append_header("Upgrade", "h2c"),
            "/wrong-length" => text.with_content_length(7),
            "/interim" => text.with_status(Status::new(102)),
            "/right-length" => text.with_header("Content-Length", "5").with_header("Server", "mine"),
            "/closes" => text.with_header("Connection", "close"),
            "/teapot" => text.with_status(Status::new(418)),
            "/reset" => text.with_status(Status::RESET_CONTENT),
            "/cookies" => text.append_header("Set-Cookie", "a=1").append_header("Set-Cookie", "b=2"),
            "/csv" => text.with_header("Content-Type", "text/csv"),
            "/length-of-get" => Response::new(Status::OK).with_content_length(1234),
            "/no-length" => Response::new(Status::OK),
            _ => Response::error(Status::NOT_FOUND),
        }
    }
}

http_testing::both_engines! {
    fn a_response_that_cannot_be_sent_is_logged_and_becomes_500(engine: Engine) {
        recorder::install();
        let server = InProcessServer::start(engine, settings(), handle(engine));
        let reserved = "header \"Upgrade\": only the library sets this header, or this value of it";
        let value = "a header value must not contain control characters";
        for (path, reason) in [
            ("/bad-value", format!("header \"X-{engine:?}\": {value}")),
            ("/bad-location", format!("header \"Location\": {value}")),
            ("/reserved", reserved.to_owned()),
            ("/wrong-length", "header \"Content-Length\": is 7, but the body has 5 bytes".to_owned()),
            ("/interim", "status 102: only the library sends interim responses".to_owned()),
        ] {
            let mut client = server.connect();
            let reply = client.fetch(get(path));
            assert_eq!((reply.status, reply.close, reply.header("Set-Cookie")), (500, true, None), "{path}");
            client.expect_eof();
            let line = format!("cannot send the handler's response: {reason}; responding 500 instead");
            let logged = recorder::logged();
            assert!(logged.contains(&line), "{line} is not in {logged:?}");
        }
    }

    fn responses_have_the_headers_of_the_handler(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), handle(engine));
        let mut client = server.connect();
        let reply = client.fetch(get("/right-length"));
        assert_eq!((reply.status, reply.header("Server"), &*reply.text()), (200, Some("mine"), "hello"));
        let reply = client.fetch(get("/csv"));
        assert_eq!((reply.header("Content-Type"), &*reply.text()), (Some("text/csv"), "hello"));
        let cookies = client.fetch(get("/cookies")).headers.into_iter().filter(|(name, _)| name == "Set-Cookie");
        assert_eq!(cookies.map(|(_, value)| value).collect::<Vec<_>>(), ["a=1", "b=2"]);
        let reply = client.fetch(get("/teapot"));
        assert_eq!((reply.status, &*reply.text()), (418, "hello"));
        let reply = client.fetch(get("/reset"));
        assert_eq!((reply.status, reply.framing), (205, BodyFraming::Length(0)));
        let reply = client.fetch(get("/closes"));
        assert_eq!((reply.status, reply.close, &*reply.text()), (200, true, "hello"));
        client.expect_eof();
    }

    fn a_response_to_head_does_not_invent_a_length(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), handle(engine));
        let mut client = server.connect();
        for (path, framing) in [
            ("/length-of-get", BodyFraming::Length(1234)),
            ("/no-length", BodyFraming::NoBody),
            ("/right-length", BodyFraming::Length(5)),
        ] {
            let reply = client.fetch(request("HEAD", path, ""));
            assert_eq!((reply.status, reply.framing, reply.close), (200, framing, false), "{path}");
        }
        client.finish();
    }

    fn serves_the_schemes_of_its_settings(engine: Engine) {
        let path = |request: &Request<'_>| Response::text(request.path().to_owned());
        for (schemes, http, https) in
            [(Schemes::Http, 200, 421), (Schemes::Https, 421, 200), (Schemes::HttpAndHttps, 200, 200)]
        {
            let mut settings = settings();
            settings.protocol.schemes = schemes;
            let server = InProcessServer::start(engine, settings, path);
            for (target, status) in [("http://x/a", http), ("https://x/a", https), ("/a", 200)] {
                let reply = server.connect().fetch(get(target));
                assert_eq!(reply.status, status, "{target} with {schemes:?}");
                assert!(status != 200 || reply.text() == "/a", "{reply:?}");
            }
        }
    }

    /// The types compile as handlers, and the engine calls them.
    fn boxed_and_shared_handlers_reply(engine: Engine) {
        struct Hello;
        impl Handler for Hello {
            fn handle(&self, _: &Request<'_>) -> http_engine::Reply {
                Response::bytes(include_bytes!("main.rs")).into()
            }
        }
        let boxed: Box<dyn Handler> = Box::new(Hello);
        let shared: Arc<dyn Handler> = Arc::new(Hello);
        let closure = Arc::new(|_: &Request<'_>| Response::text(Body::Empty));
        for server in [
            InProcessServer::start(engine, settings(), Hello),
            InProcessServer::start(engine, settings(), boxed),
            InProcessServer::start(engine, settings(), shared),
            InProcessServer::start(engine, settings(), Arc::new(Hello)),
        ] {
            assert_eq!(server.connect().fetch(get("/")).body, include_bytes!("main.rs"));
        }
        let server = InProcessServer::start(engine, settings(), closure);
        assert_eq!(server.connect().fetch(get("/")).text(), "");
    }
}
