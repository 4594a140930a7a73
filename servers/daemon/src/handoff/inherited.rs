//! Receives what the process that started this one hands over.

use super::{
    child::{ROLE_VARIABLE, Role},
    control_socket::{ControlSocket, Message},
};
use crate::error::Context;
use std::{
    env, io,
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// What a worker or a successor has received.
#[derive(Debug)]
pub struct Inherited {
    /// What this process was started for.
    pub role: Role,
    /// The sockets to accept connections from; at least one.
    pub listeners: Vec<TcpListener>,
    /// The document root.
    pub root: Option<OwnedFd>,
    /// The PID file, locked.
    pub pid_file: Option<OwnedFd>,
    /// The connection to the process that started this one.
    pub socket: ControlSocket,
}

impl Inherited {
    /// Receives the handoff. Returns `None` if this process was not started by another one of this program. Fails if
    /// standard input is not a control socket, or closes too early.
    pub fn receive() -> io::Result<Option<Inherited>> {
        let Some(role) = env::var_os(ROLE_VARIABLE) else { return Ok(None) };
        let role = role.to_string_lossy().parse().context(format_args!("invalid {ROLE_VARIABLE}"))?;
        let socket = ControlSocket::from(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?));
        let mut inherited = Inherited { role, listeners: Vec::new(), root: None, pid_file: None, socket };
        loop {
            match inherited.socket.receive()? {
                Some(Message::Listeners(sockets)) => {
                    inherited.listeners.extend(sockets.into_iter().map(TcpListener::from));
                }
                Some(Message::Root(root)) => inherited.root = Some(root),
                Some(Message::PidFile(file)) => inherited.pid_file = Some(file),
                Some(Message::Serve) if !inherited.listeners.is_empty() => return Ok(Some(inherited)),
                _ => return Err(io::Error::other("no listening sockets were received")),
            }
        }
    }
}
