//! Starts `httpd` in a process of its own, and does what many tests do with it.

pub use http_testing::{
    ServerKind,
    program::{Exit, Program},
};

use crate::{
    client::{Client, get, wait_for},
    site::Site,
};
use rustix::process::Pid;
use std::{
    ffi::OsStr,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

/// The path of the program under test.
pub const HTTPD: &str = env!("CARGO_BIN_EXE_httpd");

/// Returns the command that runs `program`, which is `httpd` or a copy of it, as a server of this kind for the
/// directory `root`. Unless the arguments say otherwise, it has two workers and listens on a free port of 127.0.0.1.
pub fn command(program: impl AsRef<OsStr>, kind: ServerKind, root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg("-r").arg(root).args(kind.arguments()).args(arguments);
    for (option, value) in [("-w", "2"), ("-b", "127.0.0.1"), ("-p", "0")] {
        if !arguments.contains(&option) {
            command.args([option, value]);
        }
    }
    command
}

/// Starts `httpd` as a server of this kind for the directory `root`, with the defaults of [`command`].
pub fn serve_root(kind: ServerKind, root: &Path, arguments: &[&str]) -> Program {
    Program::start(&mut command(HTTPD, kind, root, arguments))
}

/// Starts `httpd` as a server of this kind for the shared site, with the defaults of [`command`].
pub fn serve(kind: ServerKind, arguments: &[&str]) -> Program {
    let site = Site::shared();
    serve_root(kind, site.root(), arguments).with_site(site)
}

/// Runs `httpd` with these arguments only, until it exits.
pub fn run(arguments: &[&str]) -> Exit {
    Program::spawn(Command::new(HTTPD).args(arguments)).expect("httpd").wait()
}

/// Runs `httpd --upgrade` with this PID file until it exits.
pub fn upgrade(pid_file: &Path) -> Exit {
    run(&["--upgrade", "--pid-file", text(pid_file)])
}

/// Runs `httpd` until it exits. Checks that it exits with `code`, and prints `message` and nothing technical to
/// standard error.
pub fn check_failure(arguments: &[&str], code: i32, message: &str) {
    let exit = run(arguments);
    assert_eq!((exit.code, &*exit.stdout), (Some(code), ""), "{arguments:?}: {}", exit.stderr);
    assert!(exit.stderr.contains(message), "{arguments:?}: no {message:?} in {:?}", exit.stderr);
    assert!(!exit.stderr.contains("panicked") && !exit.stderr.contains("Os {"), "{}", exit.stderr);
}

/// Opens a connection to `address`, and requests `notes.txt` on it. Returns the connection, which is then idle.
pub fn connect_idle(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n", "{address}");
    client
}

/// Checks that a new connection to `address` is served `notes.txt`.
pub fn check_served(address: SocketAddr) {
    connect_idle(address).finish();
}

/// Requests `target`, and waits until the response has begun to arrive. Reads nothing of it.
pub fn begin_download(address: SocketAddr, target: &str) -> Client {
    let mut client = Client::connect_with_small_buffer(address);
    client.send(get(target));
    client.await_status_line();
    client
}

/// Returns the number in a PID file, or `None` if there is no file or no number in it.
pub fn read_pid(pid_file: &Path) -> Option<Pid> {
    fs::read_to_string(pid_file).ok()?.trim().parse().ok().and_then(Pid::from_raw)
}

/// Returns the paths that a process has open, or nothing if it has ended.
pub fn open_paths(process: Pid) -> Vec<PathBuf> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok()).collect()
}

/// Waits until no process of the program has one of these files open.
pub fn await_closed(program: &Program, files: &[PathBuf]) {
    wait_for("the files to be closed", || {
        let open: Vec<PathBuf> = program.processes().into_iter().flat_map(open_paths).collect();
        files.iter().all(|file| !open.contains(file)).then_some(())
    });
}

/// Returns the path as text, for a command-line argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}
