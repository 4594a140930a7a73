//! What a process gets from the one that started it: listening sockets, the document root, and a line to it.
//!
//! No fork without exec, and so no `unsafe`: worker and successor are this program once more, with one end of a
//! socket pair as standard input. Through it come the descriptors; back goes a byte once the process serves; and
//! when it closes, the other side is gone. A service manager hands its sockets over in a way of its own:
//! [`socket_activation`].

mod child;
mod control_socket;
mod inherited;
pub mod socket_activation;

pub use child::{Bequest, Heir, Role};
pub use control_socket::{Line, Message};
pub use inherited::{Inherited, path_of};
