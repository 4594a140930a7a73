//! Takes requests in a loop instead of in a handler, and prints them.
//!
//! ```sh
//! cargo run --example incoming -- 127.0.0.1:8080 &
//! #> incoming at [127.0.0.1:8080]
//! curl -s localhost:8080/a?b     # the server prints "GET /a?b with 3 headers"
//! #> hello world
//! ```

use http_engine::{Incoming, Server};
use std::{env, io, thread};

/// The number of threads that take requests.
const THREADS: usize = 4;

/// Responds to requests until the server stops. Several threads may do so at once.
pub fn respond_to_all(incoming: &Incoming) {
    for exchange in incoming {
        let request = exchange.request();
        println!("{} {} with {} headers", request.method(), request.target(), request.headers().count());
        exchange.respond("hello world");
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let incoming = Server::bind(address)?.incoming()?;
    println!("incoming at {:?}", incoming.running().addresses());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| respond_to_all(&incoming));
        }
    });
    Ok(())
}
