//! `GET /`: what there is to ask for.

use super::{
    Outcome,
    problem::{Format, escaped},
};
use http_engine::{Request, Response};
use serde::Serialize;

#[derive(Serialize)]
struct Route {
    method: &'static str,
    target: &'static str,
    about: &'static str,
}

const fn route(method: &'static str, target: &'static str, about: &'static str) -> Route {
    Route { method, target, about }
}

const ROUTES: [Route; 11] = [
    route("GET", "/hello", "a greeting"),
    route("POST", "/echo", "what was posted, as JSON"),
    route("GET", "/weather?city=Berlin", "the weather of a place, by its name"),
    route("GET", "/weather?latitude=52.52&longitude=13.41", "the weather of a place, by its coordinates"),
    route("GET", "/io_task?ms=1000", "an answer that takes time, and nothing else"),
    route(
        "GET",
        "/cpu_task?n=100000",
        "an answer that has to be computed: how many primes there are below n",
    ),
    route("GET", "/cpu_task?n=100000&place=inline", "the same, computed where requests are served"),
    route("GET", "/error_task", "a handler that panics: a clean 500"),
    route(
        "GET",
        "/error_task?kind=fail",
        "a handler that fails: the same; kind may be panic-offload or dropped, too",
    ),
    route("GET", "/static/", "files, if there is a directory for them"),
    route("GET", "/", "this list"),
];

pub(super) fn handle(request: &Request<'_>) -> Outcome {
    let response = match Format::wanted_by(request) {
        Format::Json => Response::json(serde_json::to_string_pretty(&ROUTES).unwrap_or_default() + "\n"),
        Format::Html => Response::html(page()),
    };
    Ok(response.header("Vary", "Accept").into())
}

fn page() -> String {
    let rows: String = ROUTES.iter().map(row).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Routes</title>\n\
         <style>body{{font:1.1em system-ui;margin:10vh auto;max-width:52em;color-scheme:light dark}}\
         td{{padding:.3em 1em .3em 0}}</style>\n<h1>Routes</h1>\n<table>\n{rows}</table>\n</html>\n"
    )
}

fn row(Route { method, target, about }: &Route) -> String {
    let target = escaped(target);
    let shown = match *method {
        "GET" => format!("<a href=\"{target}\">{target}</a>"),
        _ => target,
    };
    format!("<tr><td>{method}<td>{shown}<td>{about}\n")
}
