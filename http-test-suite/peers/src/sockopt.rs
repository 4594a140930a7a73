//! The one system call that no crate here offers in safe form.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Lets a listening socket hand out a connection only once something has arrived on it, or a second is over.
///
/// # Errors
///
/// Whatever `setsockopt` reports.
#[allow(unsafe_code)]
pub fn defer_accept(listener: impl AsFd) -> io::Result<()> {
    let seconds: libc::c_int = 1;
    // SAFETY: the descriptor is open while `listener` is borrowed; pointer and length are those of `seconds`, which
    // outlives the call and is only read.
    let outcome = unsafe {
        libc::setsockopt(
            listener.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of_val(&seconds) as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
