//! The demo application: written once, against `http-core` alone, it runs on either engine.
//!
//! Each route shows one way to answer: at once, after a wait, from work that computes, from another server, and not
//! at all.

mod echo;
mod index;
mod middleware;
mod parameters;
mod problem;
pub mod program;
mod tasks;
pub mod weather;
pub mod weather_stub;

pub use problem::{Format, Problem, Problems};

use http_engine::{Handler, Method, Reply, Request, Response, Router, Stack, Status};
use http_files::{Files, Root};
use middleware::{ServedBy, ServerTiming};
use problem::answering;
use std::{io, path::PathBuf, sync::Arc};
use weather::Weather;

/// What a handler of this application comes to.
type Outcome = Result<Reply, Problem>;

/// What an operator can choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What `X-Served-By` calls the server.
    pub name: &'static str,
    /// The directory whose files are served as `/static/`.
    pub root: Option<PathBuf>,
    /// Where the weather comes from.
    pub weather: weather::Settings,
}

/// What all workers of a process share.
#[derive(Debug)]
pub struct App {
    name: &'static str,
    root: Option<Arc<Root>>,
    weather: Arc<Weather>,
}

impl App {
    /// Opens what the application needs.
    ///
    /// # Errors
    ///
    /// When the directory cannot be served.
    pub fn open(settings: &Settings) -> io::Result<App> {
        let root = settings.root.as_deref().map(Root::open).transpose()?.map(Arc::new);
        let weather = Arc::new(Weather::new(settings.weather.clone()));
        Ok(App { name: settings.name, root, weather })
    }

    /// The application of the worker with this number.
    pub fn worker(&self, number: usize) -> Arc<dyn Handler> {
        let stack = Stack::new(self.router()).wrapped_in(Problems).wrapped_in(ServerTiming);
        Arc::new(stack.wrapped_in(ServedBy::worker(self.name, number)))
    }

    fn router(&self) -> Router {
        let weather = Arc::clone(&self.weather);
        let router = Router::new()
            .route(Method::Get, "/", answering(index::handle))
            .route(Method::Get, "/hello", |_: &Request<'_>| Response::text("Hello, World!"))
            .route(Method::Post, "/echo", answering(echo::handle))
            .route(Method::Get, "/weather", answering(move |request: &Request<'_>| weather.handle(request)))
            .route(Method::Get, "/io_task", answering(tasks::io_task))
            .route(Method::Get, "/cpu_task", answering(tasks::cpu_task))
            .route(Method::Get, "/error_task", answering(tasks::error_task))
            .fallback(answering(|_| {
                Err(Problem::new(Status::NOT_FOUND, "nothing is here; / lists what there is"))
            }));
        let Some(root) = &self.root else { return router };
        router
            .route(Method::Get, "/static", |_: &Request<'_>| {
                Response::redirect(Status::MOVED_PERMANENTLY, "/static/")
            })
            .prefix("/static/", Files::beneath(Arc::clone(root)).mounted("/static"))
    }
}
