//! A page that shows the progress of a job while it runs. The job stops early when the page is closed.
//!
//! ```sh
//! cargo run --example progress -- 127.0.0.1:8080 &
//! #> progress at [127.0.0.1:8080]
//! curl -sN "localhost:8080/?size=1000" | tail -2
//! #> <p>100 %: 1229 primes below 10000</p>
//! #> <p>Done.</p>
//! ```

use http_engine::{Body, BodySender, Request, Response, SendError, Server};
use std::{env, io, thread, time::Duration};

/// How long the job waits for a client that does not read.
const TIMEOUT: Duration = Duration::from_secs(30);

const START: &str = "<!doctype html><title>Progress</title><h1>Counting primes</h1>\n";

/// Counts the primes in ten ranges of `size` numbers, and reports each as a line of the page.
fn count_primes(page: BodySender, size: u32) -> Result<(), SendError> {
    let is_prime = |n: u32| n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    page.send(START, TIMEOUT)?;
    let mut count = 0;
    for step in 1..=10 {
        count += ((step - 1) * size..step * size).filter(|n| is_prime(*n)).count();
        page.send(format!("<p>{step}0 %: {count} primes below {}</p>\n", step * size), TIMEOUT)?;
    }
    page.send("<p>Done.</p>\n", TIMEOUT)?;
    page.finish();
    Ok(())
}

/// The handler: starts the job, and responds with a page that grows.
pub fn progress(request: &Request<'_>) -> Response {
    let size = request.query_value("size").and_then(|size| size.parse().ok());
    let size = size.unwrap_or(1_000_000).min(10_000_000);
    let (sender, page) = Body::channel(4 * 1024);
    // Ends early if the page is closed: then a send fails. A program with many users limits the number of such threads.
    thread::spawn(move || count_primes(sender, size));
    Response::html(page).with_header("Cache-Control", "no-store")
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let running = Server::bind(address)?.serve(progress)?;
    println!("progress at {:?}", running.addresses());
    running.wait()
}
