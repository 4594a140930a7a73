//! Responds to a request in memory and prints the response, without sockets and threads.
#![expect(clippy::disallowed_methods, reason = "a program may read the clock; only the core may not")]

use http_core::{Buffers, Clock, Connection, Misuse, Response, Step, Transmit};
use std::{
    env,
    sync::Arc,
    time::{Instant, SystemTime},
};

fn main() -> Result<(), Misuse> {
    match env::args().nth(1).as_deref() {
        None => {}
        Some("-V" | "--version") => {
            println!("from_bytes {}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        Some(_) => {
            println!("Usage: from_bytes");
            return Ok(());
        }
    }
    // The core reads no clock: the time is an argument.
    let clock = Clock::new("from-bytes", Instant::now(), SystemTime::now());
    let mut connection = Connection::new(Arc::default(), clock.now());
    let Buffers { mut input, mut out } = Buffers::default();
    // What a socket would receive.
    input.extend(b"POST /hello HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nworld");
    loop {
        match connection.poll(&mut input, &mut out, clock.now()) {
            // The head is complete, and content follows. By default, it is received into memory.
            Step::Head => {}
            Step::Request => {
                let Some(request) = connection.request(&input) else { return Ok(()) };
                let body = String::from_utf8_lossy(request.body());
                let response = Response::text(format!("{} received {body}\n", request.path()));
                connection.respond(response, &mut out, &clock)?;
            }
            // What a socket would send.
            Step::Flush => {
                let Transmit::Bytes { slices, .. } = out.transmit() else { return Ok(()) };
                let bytes = slices.concat();
                print!("{}", String::from_utf8_lossy(&bytes));
                out.sent(bytes.len());
            }
            // `Receive`: wait for more bytes. `Step` says what the others mean.
            _ => return Ok(()),
        }
    }
}
