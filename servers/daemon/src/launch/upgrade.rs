//! `--upgrade`: makes a running server start a successor, and waits until the successor serves.
//!
//! The process that runs this is not the server. It watches the PID file: a successor writes its PID into the file when
//! it serves, and a server whose successor failed writes its own PID again. It must signal no process but a server that
//! holds this PID file, because SIGUSR2 ends a process that does not expect it.

use crate::{pid_file, system::Context};
use http_engine::io_cause;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long [`upgrade`] waits for the successor. The server, which starts the successor, waits for less.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(40);

/// The time between two reads of the PID file.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Makes the server whose PID is in `pid_file` start a successor, the process that replaces it. Returns when the
/// successor accepts connections.
///
/// Fails if no running server has locked the file, if the PID is not that of such a server ([`open_server`]), if the
/// server ends or continues without a successor, or after [`UPGRADE_TIMEOUT`].
pub fn upgrade(pid_file: &Path) -> io::Result<()> {
    let name = pid_file.display();
    // A server locks its PID file. Without the lock, no server has written the PID.
    if !pid_file::is_held(pid_file)? {
        return Err(io::Error::other(format!("no running server holds {name}")));
    }
    let deadline = Instant::now() + UPGRADE_TIMEOUT;
    let before = read_settled(pid_file, deadline)?;
    let Some(pid) = before.pid else { return Err(io::Error::other(format!("{name} contains no PID"))) };
    let server = open_server(pid, &before.file)?;
    pidfd_send_signal(&server, Signal::USR2).context(format_args!("cannot signal process {pid}"))?;
    let mut modified = false;
    while Instant::now() < deadline {
        // A server that has a successor ends after the successor has written its PID: so this comes first.
        let ended = has_ended_within(&server, POLL_INTERVAL);
        let after = pid_file::read(pid_file);
        if after.as_ref().is_ok_and(|after| after.pid.is_some_and(|new| new != pid)) {
            return Ok(());
        }
        if ended {
            return Err(io::Error::other(format!("process {pid} has ended")));
        }
        let after = after?;
        // The file was written again with the same PID, so there is no successor. Decided only at the second read after
        // the write, because the time can change before the PID does.
        if modified && after.pid.is_some() {
            let message = format!(
                "process {pid} continues without a successor (see its standard error and its error log)"
            );
            return Err(io::Error::other(message));
        }
        modified = after.modified != before.modified;
    }
    let message = format!("process {pid} has started no successor within {} s", UPGRADE_TIMEOUT.as_secs());
    Err(io::Error::other(message))
}

/// Opens the process `pid`, which the PID file `file` names. The descriptor never names another process, even if the
/// kernel gives the PID to one.
///
/// Fails unless the process runs this program, has opened the PID file, and belongs to the owner of the file. If the
/// file belongs to root, the process may belong to any user: with `--user`, a server changes its user.
fn open_server(pid: Pid, file: &fs::Metadata) -> io::Result<OwnedFd> {
    let server = pidfd_open(pid, PidfdFlags::empty()).context(format_args!("cannot open process {pid}"))?;
    let (user, owner) = (effective_user(pid)?, file.uid());
    if owner != 0 && user != Some(owner) {
        let user = user.map_or_else(|| "another user".to_owned(), |user| format!("user {user}"));
        let message = format!("process {pid} belongs to {user}, but the PID file to user {owner}");
        return Err(io::Error::other(message));
    }
    let examine = |error: io::Error| {
        // The kernel hides what a process that has dropped privileges runs, even from its own user.
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                format!(" (run this as root, or signal the server without this check: kill -USR2 {pid})")
            }
            _ => String::new(),
        };
        io::Error::new(error.kind(), format!("cannot examine process {pid}: {}{remedy}", io_cause(&error)))
    };
    let (theirs, ours) = (executable(&pid.to_string()).map_err(examine)?, executable("self")?);
    // Only the names, because an upgrade often begins with a new file, perhaps in another directory.
    if theirs.file_name() != ours.file_name() {
        let (theirs, ours) = (theirs.display(), ours.display());
        return Err(io::Error::other(format!("process {pid} runs {theirs}, not {ours}")));
    }
    let is_open = |descriptor: &fs::DirEntry| {
        fs::metadata(descriptor.path()).is_ok_and(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()))
    };
    let mut descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_err(examine)?.flatten();
    if !descriptors.any(|descriptor| is_open(&descriptor)) {
        return Err(io::Error::other(format!("process {pid} has not opened the PID file")));
    }
    Ok(server)
}

/// Returns the effective user of a process. `None` if the kernel does not tell.
fn effective_user(pid: Pid) -> io::Result<Option<u32>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.context(format_args!("cannot examine process {pid}"))?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    Ok(users.and_then(|users| users.split_whitespace().nth(1)?.parse().ok()))
}

/// Returns the path of the program that a process runs. `process` is a PID or `self`. If the file was removed or
/// replaced, returns the path that it had.
fn executable(process: &str) -> io::Result<PathBuf> {
    let path = fs::read_link(format!("/proc/{process}/exe"))?;
    let text = path.to_str().and_then(|text| text.strip_suffix(" (deleted)"));
    Ok(text.map_or(path.clone(), PathBuf::from))
}

/// Waits until the process has ended, for at most `timeout`. Returns whether it has ended.
fn has_ended_within(process: impl AsFd, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).ok();
    poll(&mut [PollFd::new(&process, PollFlags::IN)], timeout.as_ref()).is_ok_and(|count| count > 0)
}

/// Reads the PID file until two reads in a row agree, because a successor may be writing to it. Fails if the file
/// cannot be opened, or if it still changes at `deadline`.
fn read_settled(pid_file: &Path, deadline: Instant) -> io::Result<pid_file::Content> {
    while Instant::now() < deadline {
        let first = pid_file::read(pid_file)?;
        thread::sleep(POLL_INTERVAL);
        let second = pid_file::read(pid_file)?;
        if (first.pid, first.modified) == (second.pid, second.modified) {
            return Ok(second);
        }
    }
    Err(io::Error::other(format!("{} changes all the time", pid_file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::geteuid;
    use std::{
        os::unix::process::CommandExt,
        process::{Command, Stdio},
    };

    #[test]
    fn tells_the_effective_user_of_a_process() {
        let user = if geteuid().is_root() { 65_534 } else { geteuid().as_raw() };
        // Ends with its input.
        let mut child = Command::new("/bin/cat").uid(user).stdin(Stdio::piped()).spawn().expect("a process");
        let seen = effective_user(Pid::from_child(&child)).expect("a process");
        drop(child.stdin.take());
        child.wait().expect("its end");
        assert_eq!(seen, Some(user));
    }
}
