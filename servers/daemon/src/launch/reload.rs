//! Asks a server for a successor, and waits until that serves: the other side of SIGUSR2.

use super::settings::{Failure, failed};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process, test_kill_process},
};
use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Longer than a server waits for its successor.
const PATIENCE: Duration = Duration::from_secs(40);

/// How often the pid file is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Has the process that this pid file names start a successor; returns when that serves.
///
/// # Errors
///
/// When no process has the file, when the one that has goes on, or when nothing comes of it in time.
pub fn reload(pid_file: &Path) -> Result<(), Failure> {
    replace(pid_file).map_err(failed(format!("cannot reload by {}", pid_file.display())))
}

fn replace(pid_file: &Path) -> io::Result<()> {
    let file = File::open(pid_file)?;
    // Whoever serves has it locked. Without that, the number may be anybody's by now, and the signal deadly.
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return Err(io::Error::new(ErrorKind::NotFound, "nobody serves who has written it"));
    }
    let (Some(process), before) = settled(pid_file)? else {
        return Err(io::Error::new(ErrorKind::InvalidData, "it names no process"));
    };
    kill_process(process, Signal::USR2)?;
    let deadline = Instant::now() + PATIENCE;
    let mut touched = false;
    while Instant::now() < deadline {
        thread::sleep(LOOK);
        let (named, modified) = look(pid_file)?;
        if named.is_some_and(|named| named != process) {
            return Ok(());
        }
        if test_kill_process(process).is_err() {
            return Err(io::Error::other(format!("process {process} has gone")));
        }
        // Touched, and still the same: there is no successor. A second look, for the time may change before the
        // number does.
        if touched && named.is_some() {
            return Err(io::Error::other(format!("process {process} goes on; what it has said tells why")));
        }
        touched = modified != before;
    }
    Err(io::Error::new(ErrorKind::TimedOut, format!("process {process} has not answered")))
}

/// The same, once it has stopped changing: its process may just have taken over itself.
fn settled(pid_file: &Path) -> io::Result<(Option<Pid>, SystemTime)> {
    loop {
        let seen = look(pid_file)?;
        thread::sleep(LOOK);
        if look(pid_file)? == seen {
            return Ok(seen);
        }
    }
}

/// Which process a pid file names, and since when.
fn look(pid_file: &Path) -> io::Result<(Option<Pid>, SystemTime)> {
    let mut text = String::new();
    let mut file = File::open(pid_file)?;
    let modified = file.metadata()?.modified()?;
    file.read_to_string(&mut text)?;
    let number = text.lines().next().and_then(|line| line.parse().ok());
    Ok((number.and_then(Pid::from_raw), modified))
}
