//! Serves the files of a directory: `cargo run --example serve_root -- [DIRECTORY] [ADDRESS:PORT]`.

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
