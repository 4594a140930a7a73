//! Measures how long one client waits while a slow disk, or a flood of lookups, occupies the server.
//!
//! ```text
//! cargo run --release -p http-testing --example disks -- [--missing COUNT] target/release/httpd
//! ```
//!
//! The server is `httpd` with one event loop. The client requests a file of 1 KiB, which is in the server's cache, and
//! requests it again two milliseconds after each response. Needs the permission to mount FUSE file systems.

#![allow(clippy::expect_used, clippy::panic, reason = "an error ends the measurement")]

use http_testing::{
    client::{Client, get},
    program::Program,
    site::Directory,
    slow_fs::{Held, Op, SlowFs},
};
use rustix::process::Signal;
use std::{
    env,
    ffi::OsStr,
    fs,
    path::Path,
    process::Command,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long each call of the slow file system takes.
const DELAY: Duration = Duration::from_secs(2);

/// When a measurement ends, although the server still waits for the file system.
const LONGEST: Duration = Duration::from_secs(10);

/// The time between a response to the observed client and its next request.
const INTERVAL: Duration = Duration::from_millis(2);

/// The connections of the client that requests missing files.
const CONNECTIONS: usize = 16;

/// The length of a file that the server keeps in memory.
const SMALL: usize = 1024;

/// The length of a file that the server sends from the disk.
const LARGE: usize = 1024 * 1024;

fn main() {
    let (mut missing, mut httpd) = (1_000_000, None);
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--missing" {
            let count = arguments.next().and_then(|count| count.to_str()?.parse().ok());
            missing = count.expect("--missing: not a number");
        } else {
            httpd = Some(argument);
        }
    }
    let httpd = httpd.expect("the path of httpd is missing");
    println!("each call of the file system takes {} s:", DELAY.as_secs());
    for (what, op, len) in [
        ("lookups", Op::Open, SMALL),
        ("reads of small files", Op::Read, SMALL),
        ("closes", Op::Flush, SMALL),
        ("reads of large files", Op::Read, LARGE),
    ] {
        for count in [1, 12] {
            measure_slow_calls(&httpd, what, op, count, len);
        }
    }
    measure_slow_calls(&httpd, "lookups", Op::Open, 100, SMALL);
    measure_stop(&httpd);
    println!("{missing} missing files are requested on {CONNECTIONS} connections:");
    measure_missing(&httpd, &env::temp_dir(), missing);
    measure_missing(&httpd, Path::new("/dev/shm"), missing);
}

/// A server of a directory, in which a slow file system is mounted.
struct Setup {
    server: Program,
    slow: SlowFs,
    _root: Directory,
}

impl Setup {
    fn start(httpd: &OsStr) -> Setup {
        let root = make_root(&env::temp_dir());
        fs::create_dir(root.path("slow")).expect("a directory");
        let slow = SlowFs::mount_at(&root.path("slow")).expect("a FUSE file system");
        Setup { server: serve(httpd, &root), slow, _root: root }
    }

    /// Requests `count` files of `len` bytes while calls of the kind `op` take as long as `delay`. Returns what delays
    /// them, and threads that receive the responses.
    fn request(&self, op: Op, count: usize, len: usize, delay: Duration) -> (Held, Vec<JoinHandle<()>>) {
        let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        names.iter().for_each(|name| self.slow.add(name, vec![b'x'; len]));
        let held = self.slow.delay(op, &names, delay);
        let request = |name| {
            let mut client = Client::connect_and_send(self.server.address(), get(&format!("/slow/{name}")));
            // A server that stops closes the connection without a response.
            thread::spawn(move || drop(client.try_response()))
        };
        let clients = names.iter().map(request).collect();
        held.wait_until_reached(1);
        (held, clients)
    }
}

/// Prints the worst response time of a client while `count` requests wait for calls of the kind `op`.
fn measure_slow_calls(httpd: &OsStr, what: &str, op: Op, count: usize, len: usize) {
    let setup = Setup::start(httpd);
    let mut observed = Observed::new(&setup.server);
    let (held, clients) = setup.request(op, count, len, DELAY);
    let start = Instant::now();
    // The observed client waits while the server does, so another thread ends the measurement.
    let end = thread::spawn(move || {
        while !clients.iter().all(JoinHandle::is_finished) && start.elapsed() < LONGEST {
            thread::sleep(INTERVAL);
        }
        drop(held);
        clients.into_iter().for_each(|client| client.join().expect("no panic"));
    });
    observed.run_until(|| end.is_finished());
    println!("{count:4} {what:22} worst response {:8.1} ms", observed.quantile(1.0));
}

/// Prints how long the server takes to stop with a grace period of one second while lookups hang.
fn measure_stop(httpd: &OsStr) {
    let setup = Setup::start(httpd);
    let (held, clients) = setup.request(Op::Open, 12, SMALL, 2 * LONGEST);
    let start = Instant::now();
    setup.server.signal(Signal::TERM);
    while !setup.server.has_ended() && start.elapsed() < LONGEST {
        thread::sleep(INTERVAL);
    }
    println!("  12 lookups, at a stop     ends after {:12.1} ms", milliseconds(start.elapsed()));
    drop(held);
    clients.into_iter().for_each(|client| client.join().expect("no panic"));
}

/// Prints the response times of a client while another one requests `count` different files that do not exist, from a
/// root in the directory `parent`.
fn measure_missing(httpd: &OsStr, parent: &Path, count: usize) {
    let root = make_root(parent);
    let server = serve(httpd, &root);
    let mut observed = Observed::new(&server);
    let start = Instant::now();
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| Client::connect(server.address())).collect();
    let other = thread::spawn(move || {
        for first in (0..count).step_by(CONNECTIONS) {
            for (number, client) in (first..).zip(&mut clients) {
                client.send(get(&format!("/missing-{number}")));
            }
            clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 404));
        }
    });
    observed.run_until(|| other.is_finished());
    other.join().expect("no panic");
    let rate = count as f64 / start.elapsed().as_secs_f64();
    let [median, p99, worst] = [0.5, 0.99, 1.0].map(|quantile| observed.quantile(quantile));
    let parent = parent.display();
    println!(
        "root in {parent:10} p50 {median:.2} ms, p99 {p99:.2} ms, worst {worst:.2} ms, {rate:.0} misses per second"
    );
}

/// Makes a document root in the directory `parent`, which contains the file that the observed client requests.
fn make_root(parent: &Path) -> Directory {
    let root = Directory::new_in(parent);
    root.write("cached", [b'c'; SMALL]);
    root
}

/// Starts a server of `root` with one event loop.
fn serve(httpd: &OsStr, root: &Directory) -> Program {
    let mut command = Command::new(httpd);
    command
        .args(["--engine", "event-loop", "-w", "1", "-b", "127.0.0.1", "-p", "0", "--grace", "1", "-r"])
        .arg(root.root());
    Program::start(&mut command)
}

/// A client whose response times are measured.
struct Observed {
    client: Client,
    times: Vec<Duration>,
}

impl Observed {
    /// Connects, and requests the file once, so that the server caches it.
    fn new(server: &Program) -> Observed {
        let mut observed = Observed { client: Client::connect(server.address()), times: Vec::new() };
        observed.request();
        observed
    }

    fn request(&mut self) {
        assert_eq!(self.client.fetch(get("/cached")).body.len(), SMALL);
    }

    /// Requests the file again and again until `is_over` returns true.
    fn run_until(&mut self, is_over: impl Fn() -> bool) {
        while !is_over() {
            let start = Instant::now();
            self.request();
            self.times.push(start.elapsed());
            thread::sleep(INTERVAL);
        }
    }

    /// Returns the response time in milliseconds that this part of the responses did not exceed.
    fn quantile(&mut self, quantile: f64) -> f64 {
        self.times.sort_unstable();
        let index = (self.times.len() as f64 * quantile).ceil() as usize;
        milliseconds(self.times[index.clamp(1, self.times.len()) - 1])
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
