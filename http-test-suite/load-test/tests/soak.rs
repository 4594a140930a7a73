//! Runs the soak against a small correct server, and against the same server with one flaw at a time. The correct
//! server must pass; for each flaw the soak must report its effects, and nothing else.
//!
//! The test has no harness, because the same program is also the server, which `load-test soak` starts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lints know tests by their attribute, not their folder"
)]

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::{env, mem, thread};

use serde_json::Value;

/// Each flaw of the server, and everything that the soak then reports: kinds of clients, resources, the stop.
const CHECKS: &[(&str, &[&[&str]])] = &[
    ("none", &[]),
    ("wrong last byte", &[WELL_BEHAVED]),
    ("closes without a response", &[WELL_BEHAVED, &["reset download", "reset request"]]),
    ("accepts malformed requests", &[&["garbage", "TLS hello", "too large", "bad framing"]]),
    ("leaks", &[&["descriptors", "threads", "memory"]]),
    ("exit status 3", &[&["after SIGTERM"]]),
];

/// The kinds of clients that expect a document.
const WELL_BEHAVED: &[&str] = &[
    "keep-alive",
    "pipelining",
    "one request",
    "download",
    "HEAD",
    "ranges",
    "conditional",
    "half-close",
    "idle",
    "slow sender",
    "slow reader",
];

/// The number of simultaneous idle clients.
const IDLE_CLIENTS: u64 = 40;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first() {
        Some(first) if first == "--port" => serve(&arguments),
        // A filter for another test, as a harness would get it.
        Some(first) if !first.starts_with('-') && !"soak".contains(first) => {}
        _ => thread::scope(|scope| CHECKS.iter().for_each(|check| drop(scope.spawn(|| run(check))))),
    }
}

/// Soaks the server with a flaw, and compares what the soak reports.
fn run((flaw, expected): &(&str, &[&[&str]])) {
    let output = Command::new(env!("CARGO_BIN_EXE_load-test"))
        .args(["soak", "--time", "1s", "--free-within", "2s", "--json", "-"])
        .arg(env::current_exe().unwrap())
        .args(["--", flaw])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{flaw}: {error}"));
    let clients = verdict["clients"].as_array().unwrap();
    let failed = clients.iter().filter(|kind| kind["failed"] != 0).map(|kind| kind["name"].as_str().unwrap());
    let faults = verdict["faults"].as_array().unwrap().iter();
    let faults = faults.map(|fault| fault.as_str().unwrap().split(':').next().unwrap());
    let reported: BTreeSet<_> = failed.chain(faults).collect();
    assert_eq!(reported, expected.iter().copied().flatten().copied().collect(), "{flaw}: {verdict:#}");
    assert_eq!(output.status.code(), Some(i32::from(!reported.is_empty())), "{flaw}");
    // Each client connects at least once in the warm-up, and once after it.
    let idle = clients.iter().find(|kind| kind["name"] == "idle").unwrap();
    let connections = idle["passed"].as_u64().unwrap() + idle["failed"].as_u64().unwrap();
    assert!(connections >= 2 * IDLE_CLIENTS, "{flaw}: {idle}");
}

/// The Date of every response.
const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT";
/// The validators of every document.
const VALIDATORS: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"1\"";

/// The longest accepted head in bytes.
const HEAD_MAX: usize = 100_000;

/// The memory in bytes that each connection leaks with the flaw `leaks`.
const LEAK_BYTES: usize = 64 * 1024;

/// What the server serves.
struct Site {
    /// What it does wrong: a name in [`CHECKS`].
    flaw: String,
    /// The contents by target, read once, so that only a flaw can change the memory.
    files: HashMap<String, Vec<u8>>,
}

/// Serves with the arguments `--port 0 FLAW DIR`, a thread for each connection. A shell runs around the server, because
/// safe code cannot handle a signal.
fn serve(arguments: &[String]) -> ! {
    let [_, _, flaw, dir, inner @ ..] = arguments else { panic!("{arguments:?}") };
    if inner.is_empty() {
        let code = if flaw == "exit status 3" { 3 } else { 0 };
        let script = format!("trap 'kill $!; exit {code}' TERM; \"$0\" \"$@\" inner & wait");
        let own = env::current_exe().unwrap();
        panic!("{}", Command::new("sh").arg("-c").arg(script).arg(own).args(arguments).exec());
    }
    let read = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let mut content = fs::read(entry.path()).unwrap();
        if let Some(last) = content.last_mut().filter(|_| flaw == "wrong last byte") {
            *last ^= 1;
        }
        (format!("/{}", entry.file_name().to_string_lossy()), content)
    };
    let files = fs::read_dir(dir).unwrap().map(read).collect();
    let site = Arc::new(Site { flaw: flaw.clone(), files });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}/", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().unwrap();
        let site = Arc::clone(&site);
        // A client may disconnect at any time.
        thread::spawn(move || site.serve_connection(stream).unwrap_or_default());
    }
}

impl Site {
    /// Serves one client until it has closed.
    fn serve_connection(&self, mut stream: TcpStream) -> io::Result<()> {
        if self.flaw == "leaks" {
            mem::forget(File::open("/dev/null")?);
            Vec::leak(vec![1; LEAK_BYTES]);
            thread::spawn(|| {
                loop {
                    thread::park();
                }
            });
        }
        let (mut received, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            let end = received.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
            let is_text = received.first().is_none_or(u8::is_ascii_uppercase);
            let stays_open = match end {
                _ if !is_text => self.reject(&mut stream)?,
                Some(end) => {
                    let head: Vec<u8> = received.drain(..end).collect();
                    self.respond(&mut stream, &String::from_utf8_lossy(&head))?
                }
                None => {
                    let count = stream.read(&mut buffer)?;
                    received.extend(&buffer[..count]);
                    count > 0
                }
            };
            if !stays_open {
                break;
            }
        }
        stream.shutdown(Shutdown::Write)?;
        io::copy(&mut stream, &mut io::sink()).map(drop)
    }

    /// Responds to one request. Returns whether the connection stays open.
    fn respond(&self, stream: &mut TcpStream, head: &str) -> io::Result<bool> {
        if head.len() > HEAD_MAX || head.starts_with("POST ") {
            return self.reject(stream);
        }
        if self.flaw == "closes without a response" {
            return Ok(false);
        }
        let target = head.split(' ').nth(1).unwrap_or_default();
        let mut content = self.files.get(target).map(Vec::as_slice).ok_or(io::ErrorKind::NotFound)?;
        let length = content.len();
        let mut status = "200 OK".to_owned();
        if let Some((first, last)) =
            head.split_once("Range: bytes=").and_then(|(_, rest)| range(rest, length))
        {
            content = &content[first..=last];
            status = format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{length}");
        }
        let unchanged = head.contains("If-None-Match: \"1\"") || head.contains("If-Modified-Since: ");
        if unchanged {
            status = "304 Not Modified".to_owned();
        }
        let length = content.len();
        write!(stream, "HTTP/1.1 {status}\r\n{DATE}\r\n{VALIDATORS}\r\nContent-Length: {length}\r\n\r\n")?;
        if !unchanged && !head.starts_with("HEAD ") {
            stream.write_all(content)?;
        }
        Ok(!head.contains("Connection: close"))
    }

    /// Rejects a malformed request. Returns false, because the connection does not stay open.
    fn reject(&self, stream: &mut TcpStream) -> io::Result<bool> {
        let status = if self.flaw == "accepts malformed requests" { "200 OK" } else { "400 Bad Request" };
        write!(stream, "HTTP/1.1 {status}\r\n{DATE}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        Ok(false)
    }
}

/// The first and the last offset of a range such as `2-5` or `-4`.
fn range(spec: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = spec.lines().next()?.split_once('-')?;
    match first.parse() {
        Ok(first) => Some((first, last.parse().ok()?)),
        Err(_) => Some((length - last.parse::<usize>().ok()?, length - 1)),
    }
}
