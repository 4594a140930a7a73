//! Responds to a request in memory and prints the response, without sockets and threads.
#![expect(clippy::disallowed_methods, reason = "a program may read the clock; only the core may not")]

use http_core::{Buffers, Clock, Connection, Misuse, Response, Step, Transmit};
use std::{env, sync::Arc, time::Instant, time::SystemTime};

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
    let clock = Clock::new("from-bytes", Instant::now(), SystemTime::now());
    let mut conn = Connection::new(Arc::default(), clock.now());
    let Buffers { mut input, mut out } = Buffers::default();
    input.extend(b"POST /hello?who=you HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nworld");
    if conn.poll(&mut input, &mut out, clock.now()) == Step::Request
        && let Some(request) = conn.request(&input)
    {
        let body = String::from_utf8_lossy(request.body());
        let response = Response::text(format!("{} received {body}\n", request.path()));
        conn.respond(response, &mut out, &clock)?;
    }
    if let Transmit::Bytes { slices, .. } = out.transmit() {
        print!("{}", String::from_utf8_lossy(&slices.concat()));
    }
    Ok(())
}
