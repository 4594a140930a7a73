//! `--upgrade`: makes a running server start a successor, and waits until the successor serves.
//!
//! The process that runs this is not the server. It only watches the PID file: a successor writes its PID into the file
//! when it serves, and a server whose successor failed writes its own PID again.

use crate::{pid_file, system::Context};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::{
    io,
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long [`upgrade`] waits for the successor. Longer than the server waits that starts it.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(40);

/// The time between two reads of the PID file.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Makes the server whose PID is in `pid_file` start a successor, the process that replaces it. Returns when the
/// successor accepts connections.
///
/// Fails if no running server has locked the file, if the server ends or continues without a successor, or after
/// [`UPGRADE_TIMEOUT`].
pub fn upgrade(pid_file: &Path) -> io::Result<()> {
    let name = pid_file.display();
    // A server locks its PID file. Without the lock the PID may belong to another process, which SIGUSR2 would kill.
    if !pid_file::is_held(pid_file)? {
        return Err(io::Error::other(format!("no running server holds {name}")));
    }
    let (Some(server), before) = read_settled(pid_file)? else {
        return Err(io::Error::other(format!("{name} contains no PID")));
    };
    kill_process(server, Signal::USR2).context(format_args!("cannot signal process {server}"))?;
    let deadline = Instant::now() + UPGRADE_TIMEOUT;
    let mut modified = false;
    while Instant::now() < deadline {
        thread::sleep(POLL_INTERVAL);
        let (pid, time) = pid_file::read(pid_file)?;
        if pid.is_some_and(|pid| pid != server) {
            return Ok(());
        }
        if test_kill_process(server).is_err() {
            return Err(io::Error::other(format!("process {server} has ended")));
        }
        // The file was written again with the same PID, so there is no successor. Decided only at the second read after
        // the write, because the time can change before the PID does.
        if modified && pid.is_some() {
            let message = format!("process {server} continues without a successor (see its error log)");
            return Err(io::Error::other(message));
        }
        modified = time != before;
    }
    let message = format!("process {server} has started no successor within {} s", UPGRADE_TIMEOUT.as_secs());
    Err(io::Error::other(message))
}

/// Reads the PID file until two reads in a row agree, because a successor may be writing to it. Returns the PID and the
/// modification time. The PID is `None` if the file contains none. Fails if the file cannot be opened.
fn read_settled(pid_file: &Path) -> io::Result<(Option<Pid>, SystemTime)> {
    loop {
        let first = pid_file::read(pid_file)?;
        thread::sleep(POLL_INTERVAL);
        if pid_file::read(pid_file)? == first {
            return Ok(first);
        }
    }
}
