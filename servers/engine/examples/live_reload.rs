//! Serves a directory while its author works on it: browsers load their page again when a file changes.
//!
//! ```sh
//! mkdir -p /tmp/site && echo "<p>Hello" >/tmp/site/index.html
//! cargo run --example live_reload -- /tmp/site 127.0.0.1:8080 &
//! #> live_reload at [127.0.0.1:8080]
//! curl -s localhost:8080/
//! #> <p>Hello
//! #> <script>new EventSource('/live-reload').onmessage = () => location.reload()</script>
//! ```
//!
//! Open http://localhost:8080/ in a browser, and change the file.

use http_engine::{
    Body, BodySender, Handler, Middleware, Next, Reply, Request, Response, RouteError, Router, Server, Stack,
    Status,
};
use http_files::Files;
use std::{
    env, fs, mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

/// The time between two looks at the directory.
const INTERVAL: Duration = Duration::from_millis(300);

/// What each page gets: a browser connects again by itself if the server restarts.
const SCRIPT: &[u8] = b"<script>new EventSource('/live-reload').onmessage = () => location.reload()</script>";

/// The pages that are open in browsers.
#[derive(Clone, Default)]
pub struct Pages(Arc<Mutex<Vec<BodySender>>>);

impl Pages {
    /// Returns the events of a page: a stream that ends when the browser leaves it.
    fn events(&self) -> Response {
        let (sender, body) = Body::channel(1024);
        self.update(|senders| {
            senders.retain(|sender| !sender.is_closed());
            senders.push(sender);
        });
        Response::of_type("text/event-stream", body).with_header("Cache-Control", "no-store")
    }

    /// Makes all pages load again. A page that does not take the event is forgotten: its browser connects again.
    pub fn reload(&self) {
        self.update(|senders| senders.retain(|sender| sender.try_send("data: reload\n\n").is_ok()));
    }

    fn update(&self, change: impl FnOnce(&mut Vec<BodySender>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Appends [`SCRIPT`] to whole HTML documents, unless they are compressed: the script is not. HEAD gets the length of
/// GET.
struct AppendScript;

impl Middleware for AppendScript {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        next.run(request).map(|mut response| {
            let is_html =
                response.header("Content-Type").is_some_and(|value| value.starts_with(b"text/html"));
            let is_coded = response.header("Content-Encoding").is_some();
            if response.status() != Status::OK || !is_html || is_coded {
                return response;
            }
            let document = mem::take(response.body_mut());
            response.with_body(Body::Parts(vec![document, Body::Static(SCRIPT)]))
        })
    }
}

/// Returns the handler: the files of `root`, and the events.
///
/// # Errors
///
/// None: the routes do not conflict.
pub fn app(root: impl Handler + 'static, pages: &Pages) -> Result<Router, RouteError> {
    let pages = pages.clone();
    Router::builder()
        .get("/live-reload", move |_| pages.events())
        .fallback(Stack::new(root).wrap(AppendScript))
        .build()
}

/// Returns when a file beneath `directory` was changed last, and how many there are.
pub fn state(directory: &Path) -> (Option<SystemTime>, usize) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.fold((None, 0), |(latest, count), entry| {
        let (below, files) = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            state(&entry.path())
        } else {
            (entry.metadata().and_then(|metadata| metadata.modified()).ok(), 1)
        };
        (latest.max(below), count + files)
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let root = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let pages = Pages::default();
    let running = Server::bind(address)?.serve_handler(app(Files::new(&root)?, &pages)?)?;
    println!("live_reload at {:?}", running.addresses());
    let mut known = state(&root);
    loop {
        thread::sleep(INTERVAL);
        let current = state(&root);
        if mem::replace(&mut known, current) != current {
            pages.reload();
        }
    }
}
