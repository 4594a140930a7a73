//! `setsockopt(TCP_DEFER_ACCEPT)`: the only `unsafe` code of the workspace, because no maintained crate offers it.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

/// Makes a listening socket report a new connection only when its first bytes have arrived, or when `delay` (whole
/// seconds) is over (tcp(7), `TCP_DEFER_ACCEPT`). So the first receive on an accepted connection usually finds data.
///
/// # Errors
///
/// The descriptor is not a TCP socket.
#[allow(unsafe_code)]
pub fn defer_accept(socket: impl AsFd, delay: Duration) -> io::Result<()> {
    let seconds = libc::c_int::try_from(delay.as_secs()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open while `socket` is borrowed. Pointer and length describe `seconds`, which
    // outlives the call; the kernel only reads it.
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
