//! Requests as bytes, with the expected answers. The lab verifies a first answer by its own knowledge; every other
//! answer must equal the first.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::workloads::{FILES_KIB, Question};
use crate::load::Exchange;
use http_test_suite::request::get;

/// The timeout for the first answer, which is requested before the load.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The number of places for weather requests. A load repeats them after the last.
const PLACES: u32 = 20_000;

impl Question {
    /// The requests to send in turn, each with its right answer, which is requested from the server first.
    ///
    /// `turn` must differ for each measurement, so that no weather answer is cached.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or the answer is wrong.
    pub fn asks(self, address: SocketAddr, turn: u32) -> io::Result<Vec<Exchange>> {
        if self == Question::Weather {
            self.check(&body_of(address, &place(turn.wrapping_mul(PLACES)))?)?;
            let targets = (1..PLACES).map(|number| place(turn.wrapping_mul(PLACES).wrapping_add(number)));
            return Ok(targets.map(|target| Exchange::new(get(&target)).expect_status(200)).collect());
        }
        let body = body_of(address, &self.target())?;
        self.check(&body)?;
        Ok(vec![Exchange::new(get(&self.target())).expect_status(200).expect_body(body)])
    }

    fn target(self) -> String {
        match self {
            Question::Hello => "/hello".to_owned(),
            Question::File { kib } => format!("/static/{kib}.txt"),
            Question::Wait { ms } => format!("/io_task?ms={ms}"),
            Question::Primes { n, inline: true } => format!("/cpu_task?n={n}&place=inline"),
            Question::Primes { n, inline: false } => format!("/cpu_task?n={n}"),
            Question::Weather => place(0),
        }
    }

    /// Verifies an answer by the lab's own knowledge.
    fn check(self, body: &[u8]) -> io::Result<()> {
        let json = || serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
        let right = match self {
            Question::Hello => body == b"Hello, World!",
            Question::File { kib } => body == contents(kib),
            Question::Wait { ms } => json()["waited_ms"] == ms,
            Question::Primes { n, .. } => json()["primes_below_n"] == primes_below(n),
            Question::Weather => json().to_string().contains("temperature"),
        };
        if right { Ok(()) } else { Err(wrong(&self.target(), body)) }
    }
}

/// Writes the files that [`Question::File`] asks for.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write_files(root: &Path) -> io::Result<()> {
    FILES_KIB.iter().try_for_each(|kib| fs::write(root.join(format!("{kib}.txt")), contents(*kib)))
}

fn contents(kib: usize) -> Vec<u8> {
    (0..kib * 1024).map(|at| if at % 64 == 63 { b'\n' } else { b'a' + (at % 23) as u8 }).collect()
}

/// The target for a place. Different numbers give different places on a grid of millionths of a degree.
fn place(number: u32) -> String {
    let (row, column) = (number / 10_000 % 10_000, number % 10_000);
    format!("/weather?latitude={}.{row:04}&longitude={}.{column:04}", row % 80, column % 170)
}

/// Counts primes with the sieve of Eratosthenes, because the servers use trial division.
fn primes_below(n: u32) -> u64 {
    let n = n as usize;
    let mut is_composite = vec![false; n];
    let mut primes = 0;
    for number in 2..n {
        if !is_composite[number] {
            primes += 1;
            (number * number..n).step_by(number).for_each(|multiple| is_composite[multiple] = true);
        }
    }
    primes
}

/// Sends one request on a connection of its own, and returns the content of the answer.
fn body_of(address: SocketAddr, target: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&Vec::from(get(target).closing()))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    match end {
        Some(end) if answer.starts_with(b"HTTP/1.1 200 ") => Ok(answer.split_off(end + 4)),
        _ => Err(wrong(target, &answer)),
    }
}

fn wrong(target: &str, answer: &[u8]) -> io::Error {
    let answer = http_test_suite::reader::preview(answer, 200);
    io::Error::new(io::ErrorKind::InvalidData, format!("{target} is answered wrongly: {answer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_counted() {
        // OEIS A000720.
        for (n, primes) in [(0, 0), (2, 0), (3, 1), (10, 4), (100, 25), (100_000, 9592)] {
            assert_eq!(primes_below(n), primes, "below {n}");
        }
    }

    #[test]
    fn answers_are_checked() {
        let check = |question: Question, body: &[u8], right: bool| {
            assert_eq!(question.check(body).is_ok(), right, "{question:?}");
        };
        check(Question::Hello, b"Hello, World!", true);
        check(Question::Hello, b"Hello, World", false);
        check(Question::File { kib: 1 }, &contents(1), true);
        check(Question::File { kib: 1 }, &contents(1)[1..], false);
        check(Question::Wait { ms: 50 }, br#"{"waited_ms":50}"#, true);
        check(Question::Wait { ms: 50 }, br#"{"waited_ms":5}"#, false);
        check(Question::Primes { n: 100, inline: true }, br#"{"primes_below_n":25}"#, true);
        check(Question::Primes { n: 100, inline: true }, br#"{"primes_below_n":24}"#, false);
        check(Question::Primes { n: 100, inline: true }, b"no JSON", false);
    }

    #[test]
    fn no_place_is_asked_for_twice() {
        let places: std::collections::HashSet<String> = (0..100_000).map(place).collect();
        assert_eq!(places.len(), 100_000);
    }
}
