//! Runs a CGI script (RFC 3875) for each request.
//!
//! ```sh
//! cargo run --example cgi -- servers/engine/examples/cgi.sh 127.0.0.1:8080 &
//! #> cgi at [127.0.0.1:8080]
//! curl -s -d content "localhost:8080/a?b=c"
//! #> POST /a?b=c
//! #> CONTENT
//! ```
//!
//! When the client leaves, or the headers take longer than `Timeouts::reply`, the script is killed, and so are the
//! processes that it has started. Not covered:
//!
//! - processes that have left the script's process group, as daemons do;
//! - a script that is silent while its client closes without a reset: the server notices that only when it sends;
//! - the end of the server by a signal: scripts continue until they write.

use http_engine::{Body, CancellationToken, Reply, Request, Response, Server, Status};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// The limits of the headers that a script writes: lines, and bytes.
const HEADER_LINES: usize = 100;
const HEADER_BYTES: u64 = 16 * 1024;

/// A script, which leads a process group of its own; `None` after it was waited for.
#[derive(Clone)]
struct Script(Arc<Mutex<Option<Child>>>);

impl Script {
    /// Kills the script and its process group. Does not wait.
    fn kill(&self) {
        if let Some(child) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // The kernel gives its number to no other process before the wait. Fails if all of the group have ended.
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
        }
    }
}

/// What a script writes after the headers: the body of the response.
struct Output {
    stdout: BufReader<ChildStdout>,
    script: Script,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stdout.read(buffer)
    }
}

/// Kills the script, and waits for it, so that no zombie remains.
impl Drop for Output {
    fn drop(&mut self) {
        self.script.kill();
        let child = self.script.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = child.map(|mut child| child.wait());
    }
}

/// Replies with what the script writes. It sends the content of the request to the script, up to the limit for content
/// in memory: a script must know the length in advance.
pub fn run(script: &str, request: &Request<'_>) -> Reply {
    let (command, content) = (command(script, request), request.body().to_vec());
    Reply::offload_with(|token| {
        start(command, content, token).unwrap_or_else(|error| {
            eprintln!("cgi: {error}");
            Response::error(Status::BAD_GATEWAY)
        })
    })
}

/// Starts a script, and returns its response when it has written the headers.
fn start(mut command: Command, content: Vec<u8>, token: &CancellationToken) -> io::Result<Response> {
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let script = Script(Arc::new(Mutex::new(Some(child))));
    // The client has left, or the script has taken too long: then reading from it ends.
    let cancelled = script.clone();
    token.on_cancelled(move || cancelled.kill());
    // The script may write before it has read everything.
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&content)));
    let stdout = BufReader::new(stdout.ok_or(io::ErrorKind::BrokenPipe)?);
    respond(Output { stdout, script })
}

/// Reads the headers of a script, and returns a response with the rest as its body.
fn respond(mut output: Output) -> io::Result<Response> {
    let mut response = Response::new(Status::OK);
    // Header lines of a script end with LF or CRLF (RFC 3875 §6.1).
    for line in output.stdout.by_ref().take(HEADER_BYTES).lines().take(HEADER_LINES) {
        let line = line?;
        if line.is_empty() {
            // The script may be silent, and reading waits for it, when the client leaves.
            let script = output.script.clone();
            return Ok(response.with_body(Body::reader(output, None)).on_sent(move |_| script.kill()));
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        response = match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("status", value) => {
                let code = value.split(' ').next().and_then(|code| code.parse().ok());
                response.with_status(code.ok_or(io::ErrorKind::InvalidData)?)
            }
            (_, value) => response.try_with_header(name, value).map_err(io::Error::other)?,
        };
    }
    Err(io::Error::other("the script's headers are incomplete or too long"))
}

/// Returns the command of a script with the meta-variables of RFC 3875 §4.1.
fn command(script: &str, request: &Request<'_>) -> Command {
    let mut command = Command::new(script);
    command.env_clear().process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
    let client = request.client_addr().map_or(String::new(), |address| address.ip().to_string());
    for (name, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("CONTENT_LENGTH", &request.body().len().to_string()),
        ("PATH_INFO", request.path()),
        ("QUERY_STRING", request.raw_query().unwrap_or_default()),
        ("REMOTE_ADDR", &client),
        ("REQUEST_METHOD", request.method_token()),
        ("SCRIPT_NAME", ""),
        ("SERVER_NAME", request.host().unwrap_or("localhost")),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", "cgi"),
    ] {
        command.env(name, value);
    }
    for (name, value) in request.headers() {
        let (name, value) = (name.to_ascii_uppercase().replace('-', "_"), String::from_utf8_lossy(value));
        match &*name {
            "CONTENT_TYPE" => command.env(name, &*value),
            // `HTTP_PROXY` would tell libraries in the script to use a proxy of the client's choice.
            "CONTENT_LENGTH" | "AUTHORIZATION" | "PROXY" => &mut command,
            _ => command.env(format!("HTTP_{name}"), &*value),
        };
    }
    command
}

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let script = arguments.next().ok_or_else(|| io::Error::other("usage: cgi SCRIPT [ADDRESS:PORT]"))?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let running = Server::bind(address)?.serve(move |request| run(&script, request))?;
    println!("cgi at {:?}", running.addresses());
    running.wait()
}
