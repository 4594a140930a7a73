//! Runs a command for each upload or webhook, and shows its log while it grows. The command is a line for `sh`, and
//! reads what was sent.
//!
//! ```sh
//! cargo run --example build_server -- sh 127.0.0.1:8080 &
//! #> build_server at [127.0.0.1:8080]
//! curl -s -d "echo compiling; sleep 1; echo linking" localhost:8080/builds
//! #> /builds/1
//! curl -sN localhost:8080/builds/1/log
//! #> compiling
//! #> linking
//! ```
//!
//! With the command `sh`, the default, `sh` runs what was sent: each program that reaches the address may start others.
//! A page in a browser may not.

use http_engine::{Body, BodySender, Response, RouteError, Router, Server, Status};
use std::{
    collections::BTreeMap,
    env,
    io::{self, Read, Write},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// The number of builds that wait, of builds that are remembered, of bytes of an upload, and of bytes of a log.
const QUEUE: usize = 16;
const BUILDS: usize = 100;
const UPLOAD: u64 = 16 << 20;
const LOG: usize = 1 << 20;

/// The log of a build, and the clients that follow it.
#[derive(Default)]
struct Log {
    text: Vec<u8>,
    /// How the build has ended.
    end: Option<String>,
    followers: Vec<BodySender>,
}

#[derive(Clone, Default)]
struct Build(Arc<Mutex<Log>>);

impl Build {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, text: &[u8]) {
        let mut log = self.log();
        let text = &text[..text.len().min(LOG - log.text.len())];
        log.text.extend(text);
        // A send fails only if the client has left: a channel has room for a whole log.
        log.followers.retain(|follower| follower.try_send(text).is_ok());
    }

    /// Returns the log so far, and then what is appended to it.
    fn follow(&self) -> Response {
        let (sender, body) = Body::channel(LOG);
        let mut log = self.log();
        let _ = sender.try_send(&*log.text);
        match log.end {
            Some(_) => sender.finish(),
            None => log.followers.push(sender),
        }
        Response::text(body)
    }

    /// Runs the command with `content` as its input.
    fn run(&self, command: &str, content: Vec<u8>) -> io::Result<String> {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec 2>&1\n{command}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&content)));
        let mut buffer = [0; 8192];
        let mut stdout = stdout.ok_or(io::ErrorKind::BrokenPipe)?;
        while let count @ 1.. = stdout.read(&mut buffer)? {
            self.append(&buffer[..count]);
        }
        Ok(child.wait()?.to_string())
    }
}

/// The builds by their numbers, and the queue of those that wait.
struct Builds {
    known: Mutex<BTreeMap<u64, Build>>,
    queue: SyncSender<(Build, Vec<u8>)>,
}

impl Builds {
    fn known(&self) -> MutexGuard<'_, BTreeMap<u64, Build>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, content: &[u8]) -> Response {
        let (build, mut known) = (Build::default(), self.known());
        if self.queue.try_send((build.clone(), content.to_vec())).is_err() {
            return Response::error(Status::SERVICE_UNAVAILABLE);
        }
        let number = known.last_key_value().map_or(1, |(number, _)| number + 1);
        known.insert(number, build);
        if known.len() > BUILDS {
            known.pop_first();
        }
        let path = format!("/builds/{number}");
        Response::text(format!("{path}\n")).with_status(Status::CREATED).with_header("Location", path)
    }

    fn find(&self, number: Option<&str>) -> Option<Build> {
        self.known().get(&number?.parse().ok()?).cloned()
    }
}

fn build_all(command: &str, queue: &Receiver<(Build, Vec<u8>)>) {
    for (build, content) in queue {
        let end = build.run(command, content).unwrap_or_else(|error| error.to_string());
        let mut log = build.log();
        log.end = Some(end);
        log.followers.drain(..).for_each(BodySender::finish);
    }
}

/// Returns the handler of the server, and starts the thread that builds.
///
/// # Errors
///
/// None: the routes do not conflict.
pub fn app(command: String) -> Result<Router, RouteError> {
    let (queue, waiting) = sync_channel(QUEUE);
    thread::spawn(move || build_all(&command, &waiting));
    let builds = Arc::new(Builds { known: Mutex::default(), queue });
    let [all, state, log] = [(); 3].map(|()| Arc::clone(&builds));
    Router::builder()
        .post("/builds", move |request| match request.header("Origin") {
            None => all.begin(request.body()),
            // A browser names the site whose page sends the request.
            Some(_) => Response::error(Status::FORBIDDEN),
        })
        .body_limit(UPLOAD)
        .get("/builds/{id}", move |request| {
            let build = state.find(request.param("id"))?;
            Some(build.log().end.clone().unwrap_or_else(|| "not finished".to_owned()))
        })
        .get("/builds/{id}/log", move |request| Some(log.find(request.param("id"))?.follow()))
        .build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let command = arguments.next().unwrap_or_else(|| "sh".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let running = Server::bind(address)?.serve_handler(app(command)?)?;
    println!("build_server at {:?}", running.addresses());
    Ok(running.wait()?)
}
