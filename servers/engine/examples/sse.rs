//! Server-sent events: what is posted reaches every open page. One event loop serves thousands of them.
//!
//! ```sh
//! cargo run --example sse -- 127.0.0.1:8080 &
//! #> sse at [127.0.0.1:8080]
//! curl -isN localhost:8080/events &
//! curl -s -d "Hello, all" localhost:8080/events     # the first curl prints "data: Hello, all"
//! ```
//!
//! Or open http://localhost:8080/ in two windows of a browser.

use http_engine::{Body, BodySender, Request, Response, RouteError, Router, Server, Status};
use std::{
    env, io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// What a slow page may leave unread before it is disconnected. (Its browser then connects again.)
const UNREAD_BYTES: usize = 16 * 1024;

/// How often a comment is sent, so that pages that were closed are noticed, and proxies see that the connection is in
/// use.
const HEARTBEAT: Duration = Duration::from_secs(15);

const PAGE: &str = r#"<!doctype html>
<title>Events</title>
<form onsubmit="fetch('/events', {method: 'POST', body: message.value}); this.reset(); return false">
  <input id="message" placeholder="a message to all" autofocus>
</form>
<ul id="list"></ul>
<script>
  new EventSource('/events').onmessage = event => {
    const item = document.createElement('li');
    item.textContent = event.data;
    list.prepend(item);
  };
</script>
"#;

/// The open pages.
#[derive(Clone, Default)]
pub struct Listeners(Arc<Mutex<Vec<BodySender>>>);

impl Listeners {
    fn listen(&self) -> Response {
        let (sender, body) = Body::channel(UNREAD_BYTES);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Response::of_type("text/event-stream", body).with_header("Cache-Control", "no-store")
    }

    /// Sends `text` to all pages. Disconnects those that were closed and those that are too slow.
    pub fn send(&self, text: &str) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.try_send(text).is_ok());
    }

    /// Sends a message: an event has a `data:` line for each of its lines, and ends with an empty one. A browser also
    /// ends a line at a lone CR: without the split there, a message could contain other fields, such as `id:`.
    fn publish(&self, message: &str) {
        let lines = message.replace("\r\n", "\n");
        let lines: String = lines.split(['\r', '\n']).map(|line| format!("data: {line}\n")).collect();
        self.send(&(lines + "\n"));
    }
}

/// Returns the routes.
///
/// # Errors
///
/// None: the routes do not conflict.
pub fn router(listeners: &Listeners) -> Result<Router, RouteError> {
    let (listening, publishing) = (listeners.clone(), listeners.clone());
    Router::builder()
        .get("/", |_| Response::html(PAGE))
        .get("/events", move |_| listening.listen())
        .post("/events", move |request: &Request<'_>| {
            publishing.publish(&String::from_utf8_lossy(request.body()));
            Status::NO_CONTENT
        })
        .build()
}

fn main() -> io::Result<()> {
    let listeners = Listeners::default();
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let router = router(&listeners).map_err(io::Error::other)?;
    let running = Server::bind(address)?.workers(1).serve_handler(router)?;
    println!("sse at {:?}", running.addresses());
    thread::spawn(move || {
        loop {
            thread::sleep(HEARTBEAT);
            listeners.send(":\n\n");
        }
    });
    running.wait()
}
