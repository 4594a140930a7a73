//! The one system call that no kept crate offers in safe form.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

/// Lets a listening socket hand out a connection only once its first bytes are there, or `patience` is over.
///
/// An accepted connection can then be read at once, and one that asks for one thing never needs epoll at all.
///
/// # Errors
///
/// Whatever `setsockopt` reports.
#[allow(unsafe_code)]
pub fn defer_accept(socket: impl AsFd, patience: Duration) -> io::Result<()> {
    let seconds = libc::c_int::try_from(patience.as_secs()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the pointer and length describe
    // `seconds`, which outlives the call; the kernel only reads it.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
