//! Serves the files of a directory.
//!
//! ```sh
//! cargo run --example serve_root -- www 127.0.0.1:8080 &
//! #> serve_root at [127.0.0.1:8080]
//! curl -s localhost:8080/ | sed -n 1p
//! #> <!DOCTYPE html>
//! ```

use http_engine::Server;
use http_files::Files;
use std::{env, io, path::Path};

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let root = arguments.next().unwrap_or_else(|| ".".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let running = Server::bind(address)?.serve_handler(Files::new(Path::new(&root))?)?;
    println!("serve_root at {:?}", running.addresses());
    running.wait()
}
