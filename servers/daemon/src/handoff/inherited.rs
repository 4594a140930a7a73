//! What a process gets from the one that started it.

use super::{
    child::{Role, VARIABLE},
    control_socket::{Line, Message},
};
use std::{
    env, io,
    net::TcpListener,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
};

/// A path that leads to an open directory, for as long as it is open.
pub fn path_of(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// The side of the process that was started, with what was handed over to it.
#[derive(Debug)]
pub struct Inherited {
    /// What this process is for.
    pub role: Role,
    /// What to accept from.
    pub listeners: Vec<TcpListener>,
    /// The document root.
    pub root: Option<OwnedFd>,
    /// The pid file, locked.
    pub pid_file: Option<OwnedFd>,
    /// To the process that started this one.
    pub line: Line,
}

impl Inherited {
    /// Takes over what was sent, if this process was started by another one of us.
    ///
    /// # Errors
    ///
    /// When standard input is not the line that such a process gets, or it ends too early.
    pub fn take() -> io::Result<Option<Inherited>> {
        let Some(role) = env::var_os(VARIABLE) else { return Ok(None) };
        let role = role.to_string_lossy().parse()?;
        let line = Line::from(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?));
        let mut inherited = Inherited { role, listeners: Vec::new(), root: None, pid_file: None, line };
        loop {
            match inherited.line.receive()? {
                Some(Message::Listeners(sockets)) => {
                    inherited.listeners.extend(sockets.into_iter().map(TcpListener::from));
                }
                Some(Message::Root(root)) => inherited.root = Some(root),
                Some(Message::PidFile(file)) => inherited.pid_file = Some(file),
                Some(Message::Serve) if !inherited.listeners.is_empty() => return Ok(Some(inherited)),
                _ => return Err(io::Error::other("no listening sockets have come")),
            }
        }
    }
}
