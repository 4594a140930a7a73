//! Serves a closure on either engine: `hello [event-loop|blocking] [ADDRESS:PORT]`.
//!
//! ```sh
//! cargo run --example hello -- blocking 127.0.0.1:8080 &
//! #> hello at [127.0.0.1:8080]
//! curl -s localhost:8080/world
//! #> Hello from /world
//! ```

use http_engine::{Engine, Server};

fn main() -> std::io::Result<()> {
    let engine = match std::env::args().nth(1).as_deref() {
        Some("event-loop") | None => Engine::EventLoop,
        Some("blocking") => Engine::Blocking,
        Some("-V" | "--version") => {
            println!("hello {}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        Some("-h" | "--help") => {
            println!("Usage: hello [event-loop|blocking] [ADDRESS:PORT]");
            return Ok(());
        }
        Some(other) => {
            eprintln!("hello: unknown engine {other} (see --help)");
            std::process::exit(2);
        }
    };
    let address = std::env::args().nth(2).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = Server::bind(address)?.engine(engine);
    let running = server.serve(|request| format!("Hello from {}\n", request.path()))?;
    println!("hello at {:?}", running.addresses());
    running.wait()
}
