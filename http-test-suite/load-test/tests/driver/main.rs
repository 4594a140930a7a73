//! Tests of the load driver and of `load-test URL` against small servers with known responses, so that every count is
//! exact.

#![allow(clippy::unwrap_used, reason = "the lints know tests by their attribute, not their folder")]

mod command;
mod load;
mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Starts a server that calls `serve` for each connection in a thread of its own.
fn listen(serve: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.set_nodelay(true).unwrap();
            let serve = serve.clone();
            thread::spawn(move || serve(&mut stream));
        }
    });
    address
}

/// Reads the head of the next request. Without pipelining, nothing follows it.
fn read_head(stream: &mut impl Read) -> Option<String> {
    read_heads(stream, 1)
}

/// Reads the heads of the next requests.
fn read_heads(stream: &mut impl Read, count: usize) -> Option<String> {
    let (mut heads, mut buffer) = (String::new(), [0; 4096]);
    while heads.matches("\r\n\r\n").count() < count {
        match stream.read(&mut buffer) {
            Ok(len @ 1..) => heads += str::from_utf8(&buffer[..len]).unwrap(),
            _ => return None,
        }
    }
    Some(heads)
}

/// Writes each piece in a write of its own. Returns whether the client was still there.
fn write(stream: &mut impl Write, pieces: &[&str]) -> bool {
    pieces.iter().all(|piece| stream.write_all(piece.as_bytes()).is_ok())
}
