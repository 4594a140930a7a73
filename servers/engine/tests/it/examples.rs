//! The examples of streams, on both engines: each does what its first lines say.

use crate::{
    client::{Client, get, request},
    server::{InProcessServer, settings},
};
use http_engine::Request;
use std::io::Write;

#[allow(dead_code, reason = "main and what only it uses")]
#[path = "../../examples/progress.rs"]
mod progress;
#[allow(dead_code, reason = "main and what only it uses")]
#[path = "../../examples/sse.rs"]
mod sse;
#[allow(dead_code, reason = "main and what only it uses")]
#[path = "../../examples/tail.rs"]
mod tail;

http_testing::both_engines! {
    fn an_event_reaches_all_listeners(engine: Engine) {
        let router = sse::router(&sse::Listeners::default()).expect("valid routes");
        let server = InProcessServer::start(engine, settings(), router);
        let mut client = server.connect();
        assert!(client.fetch(get("/")).text().contains("EventSource"));
        let listeners = [(); 3].map(|()| Client::connect_and_send(server.address, get("/events")));
        listeners.iter().for_each(Client::await_status_line);
        for (message, event) in [
            ("one", "data: one\n\n"),
            ("a\r\n\nb", "data: a\ndata: \ndata: b\n\n"),
            ("a\nb\rid: 1", "data: a\ndata: b\ndata: id: 1\n\n"),
        ] {
            let headers = format!("Content-Length: {}\r\n", message.len());
            assert_eq!(client.fetch(request("POST", "/events", &headers) + message).status, 204);
            listeners.iter().for_each(|listener| listener.await_bytes(&format!("{event}\r\n")));
        }
    }

    fn a_page_shows_the_progress_of_a_job(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), |request: &Request<'_>| progress::progress(request));
        let page = server.connect().fetch(get("/?size=1000")).text();
        assert!(page.contains("<p>10 %: 168 primes below 1000</p>") && page.ends_with("<p>Done.</p>\n"), "{page}");
    }

    fn a_file_is_followed(engine: Engine) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"first\n").expect("room");
        let path = file.path().to_owned();
        let server = InProcessServer::start(engine, settings(), move |_: &Request<'_>| tail::follow(&path));
        let client = Client::connect_and_send(server.address, get("/"));
        client.await_bytes("\r\n6\r\nfirst\n\r\n");
        file.write_all(b"second\n").expect("room");
        client.await_bytes("\r\n7\r\nsecond\n\r\n");
        client.reset();
    }
}
