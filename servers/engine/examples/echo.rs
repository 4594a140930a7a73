//! Says back what it was sent, so that body handling can be judged from outside.
//!
//! `GET /` is `OK`, `POST` anywhere is its own content, and `/echo` is the request's field lines as text.
//!
//! Run it with `cargo run --example echo -- [event-loop|blocking] [ADDRESS]`.

use http_engine::{Engine, Server};
use http_engine::{Method, Request, Response, Status};
use std::{env, io};

/// The application.
pub fn echo(request: &Request<'_>) -> Response {
    match (request.method(), request.path()) {
        (_, "/echo") => Response::text(field_lines(request)),
        (Method::Post, _) => Response::bytes(request.body().to_vec()),
        (Method::Get | Method::Head, "/") => Response::text("OK"),
        (Method::Get | Method::Head, _) => Response::error(Status::NOT_FOUND),
        (method, _) => Response::method_refused(method, &[Method::Get, Method::Head, Method::Post]),
    }
}

fn field_lines(request: &Request<'_>) -> Vec<u8> {
    let line = |(name, value): (&str, &[u8])| [name.as_bytes(), b": ", value, b"\r\n"].concat();
    request.fields().flat_map(line).collect()
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let engine = match arguments.first().map(String::as_str) {
        Some("blocking") => Engine::Blocking,
        _ => Engine::EventLoop,
    };
    let address = arguments.get(1).map_or("127.0.0.1:8080", String::as_str);
    let running = Server::bind(address)?.start(engine, echo)?;
    println!("echo at {:?}", running.addresses());
    running.wait();
    Ok(())
}
