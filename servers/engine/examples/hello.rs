//! Serves a closure on either engine: `cargo run --example hello -- event-loop` (or `blocking`).

use http_engine::{Engine, Request, Response, Server};

fn main() -> std::io::Result<()> {
    let blocking = std::env::args().nth(1).is_some_and(|name| name == "blocking");
    let engine = if blocking { Engine::Blocking } else { Engine::EventLoop };
    let hello = |request: &Request<'_>| Response::text(format!("Hello from {}\n", request.path()));
    Server::bind("127.0.0.1:8080")?.start(engine, hello)?.wait()
}
