//! Passes listening sockets, the document root and the PID file from one process to another.
//!
//! Worker processes and successors are this program started once more, not forked, so that no `unsafe` is needed. The
//! new process has one end of a socket pair as its standard input. It receives descriptors through it, sends one byte
//! back when it serves, and learns from its end that the other process has ended. A service manager passes sockets in
//! a different way: see [`socket_activation`].

mod child;
mod control_socket;
mod inherited;
pub mod socket_activation;

pub use child::{Child, Handoff, Role};
pub use control_socket::{ControlSocket, Message};
pub use inherited::Inherited;
