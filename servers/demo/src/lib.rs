//! The demo application: one application for both engines, written against [`http_engine`].
//!
//! Each route shows one way to reply:
//!
//! | route | how it replies |
//! |---|---|
//! | `GET /`, `GET /hello` | at once |
//! | `POST /echo` | at once, or from the engine's thread pool if the body is long |
//! | `GET /io_task` | after a delay: [`Reply::After`](http_engine::Reply::After) |
//! | `GET /cpu_task` | from the engine's thread pool: [`Reply::Offload`](http_engine::Reply::Offload) |
//! | `GET /weather` | when another server has responded: [`Reply::Deferred`](http_engine::Reply::Deferred) |
//! | `GET /error_task` | with status 500: after a panic, a dropped reply or an error |
//! | `GET /static/…` | with a file |
//!
//! [`App`] builds the handler of each worker: the router, which all workers share, and the middleware around it.

mod echo;
mod index;
mod middleware;
mod parameters;
mod problem;
pub mod program;
mod tasks;
mod weather;
pub mod weather_stub;

pub use weather::{Url, WeatherSettings};

use http_daemon::{Application, MakeHandler};
use http_engine::{RouteError, Router, Stack, Status};
use http_files::{Files, Root};
use middleware::{ServedBy, ServerTiming, StaticFiles};
use problem::{Problem, Problems, handler};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use weather::Weather;

/// The demo application and its settings.
#[derive(Clone, Debug)]
pub struct App {
    /// The server's name in the response header `X-Served-By`, such as `async`.
    pub name: &'static str,
    /// The document root. Its files are served below `/static/`; with `None`, no files are.
    pub root: Option<PathBuf>,
    /// The settings of `/weather`.
    pub weather: WeatherSettings,
}

impl Application for App {
    fn roots(&self) -> Vec<&Path> {
        self.root.as_deref().into_iter().collect()
    }

    /// Opens the document root, and creates the routes and the weather cache, which all workers share. The returned
    /// function gives each worker files and middleware of its own.
    fn open(&self, roots: &[PathBuf]) -> io::Result<MakeHandler> {
        let name = self.name;
        let opened = roots.first().zip(self.root.as_deref()).map(|(root, name)| Root::open_as(root, name));
        let root = opened.transpose()?.map(Arc::new);
        let router = Arc::new(router(Arc::new(Weather::new(&self.weather)?))?);
        Ok(Arc::new(move |worker| {
            let mut stack = Stack::new(Arc::clone(&router));
            if let Some(root) = &root {
                let files = Files::from_root(Arc::clone(root)).with_prefix("/static");
                stack = stack.wrap(StaticFiles(files));
            }
            let stack = stack.wrap(Problems).wrap(ServerTiming);
            Arc::new(stack.wrap(ServedBy(format!("{name}; worker={worker}"))))
        }))
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the demo application")
    }
}

/// Creates the routes. `weather` handles `/weather`.
fn router(weather: Arc<Weather>) -> Result<Router, RouteError> {
    Router::builder()
        .get("/", index::handle)
        .get("/hello", |_| "Hello, World!")
        .post("/echo", handler(echo::handle))
        .get("/weather", handler(move |request| weather.handle(request)))
        .get("/io_task", handler(tasks::io_task))
        .get("/cpu_task", handler(tasks::cpu_task))
        .get("/error_task", handler(tasks::error_task))
        .fallback(handler(|_| Err(Problem::new(Status::NOT_FOUND, "no such route; / lists all routes"))))
        .build()
}

/// Compiles the examples in the READMEs of the crates that this one uses.
#[cfg(doctest)]
#[doc = include_str!("../../files/README.md")]
#[doc = include_str!("../../daemon/README.md")]
struct Readmes;
