//! `GET /`: lists the routes, as JSON or as an HTML page.

use crate::problem::{Format, escape_html};
use http_engine::{Request, Response};
use serde_json::{Value, json};

/// Method, example target and description of each route.
const ROUTES: [(&str, &str, &str); 11] = [
    ("GET", "/hello", "a greeting"),
    ("POST", "/echo", "the body of the request, as JSON"),
    ("GET", "/weather?city=Berlin", "the weather in a city"),
    ("GET", "/weather?latitude=52.52&longitude=13.41", "the weather at coordinates"),
    ("GET", "/io_task?ms=1000", "a response after a delay"),
    ("GET", "/cpu_task?n=100000", "the number of primes below n, computed in the thread pool"),
    ("GET", "/cpu_task?n=100000&place=inline", "the same, computed where requests are handled"),
    ("GET", "/error_task", "500: the handler panics"),
    ("GET", "/error_task?kind=fail", "500: the handler returns an error; also panic-offload and dropped"),
    ("GET", "/static/", "the files of the document root, if the server has one"),
    ("GET", "/", "this list"),
];

/// Responds with the list of routes: as an HTML page if the request's `Accept` headers prefer HTML, otherwise as JSON.
pub(crate) fn handle(request: &Request<'_>) -> Response {
    let response = match Format::preferred_by(request) {
        Format::Json => Response::json(format!("{:#}\n", Value::from_iter(ROUTES.map(json_object)))),
        Format::Html => Response::html(html_page()),
    };
    response.with_header("Vary", "Accept")
}

/// Describes a route as a JSON object: an element of the list that `GET /` returns.
fn json_object((method, target, about): (&str, &str, &str)) -> Value {
    json!({ "method": method, "target": target, "about": about })
}

/// Returns an HTML page with a table of all routes.
fn html_page() -> String {
    let rows: String = ROUTES.map(table_row).concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Routes</title>\n\
         <style>body{{font:1.1em system-ui;margin:10vh auto;max-width:52em;color-scheme:light dark}}\
         td{{padding:.3em 1em .3em 0}}</style>\n<h1>Routes</h1>\n<table>\n{rows}</table>\n</html>\n"
    )
}

/// Describes a route as a row of an HTML table. The target of a GET route is a link.
fn table_row((method, target, about): (&str, &str, &str)) -> String {
    let target = escape_html(target);
    let target = if method == "GET" { format!("<a href=\"{target}\">{target}</a>") } else { target };
    format!("<tr><td>{method}<td>{target}<td>{about}\n")
}
