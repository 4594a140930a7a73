//! Sends requests back: the server for conformance cases about request bodies.
//!
//! `GET /` returns `OK`, `POST` to any path returns the request's body, and `/echo` returns the request's headers.
//!
//! ```sh
//! cargo run --example echo -- event-loop 127.0.0.1:8080 &
//! #> echo at [127.0.0.1:8080]
//! curl -s -d content localhost:8080/
//! #> content
//! curl -s -H "X-A: b" localhost:8080/echo
//! #> Host: localhost:8080
//! #> User-Agent: curl/…
//! #> Accept: */*
//! #> X-A: b
//! ```

use http_engine::{Admit, Engine, Handler, Method, Reply, Request, Response, Server, Status};
use std::{env, io, process};

/// The handler.
pub struct Echo;

impl Handler for Echo {
    /// Only the content of POST is sent back. Other methods get their response before their content is asked for.
    fn admit(&self, head: &Request<'_>) -> Admit {
        if head.method() == Method::Post { Admit::Buffer } else { Admit::AtHead }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        let response = match (request.method(), request.path()) {
            (_, "/echo") => Response::text(headers(request)),
            (Method::Post, _) => Response::bytes(request.body().to_vec()),
            (Method::Get | Method::Head, "/") => Response::text("OK"),
            (Method::Get | Method::Head, _) => Response::error(Status::NOT_FOUND),
            (method, _) => Response::method_not_allowed(method, &[Method::Get, Method::Head, Method::Post]),
        };
        response.into()
    }
}

fn headers(request: &Request<'_>) -> Vec<u8> {
    let line = |(name, value): (&str, &[u8])| [name.as_bytes(), b": ", value, b"\r\n"].concat();
    request.headers().flat_map(line).collect()
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let engine = match arguments.first().map(String::as_str) {
        Some("event-loop") | None => Engine::EventLoop,
        Some("blocking") => Engine::Blocking,
        Some("-V" | "--version") => {
            println!("echo {}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        Some("-h" | "--help") => {
            println!("Usage: echo [event-loop|blocking] [ADDRESS:PORT]");
            return Ok(());
        }
        Some(other) => {
            eprintln!("echo: unknown engine {other} (see --help)");
            process::exit(2);
        }
    };
    let address = arguments.get(1).map_or("127.0.0.1:8080", String::as_str);
    let running = Server::bind(address)?.engine(engine).serve_handler(Echo)?;
    println!("echo at {:?}", running.addresses());
    running.wait()
}
