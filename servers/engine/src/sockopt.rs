//! The options of TCP sockets that no maintained crate offers without further dependencies: the only `unsafe` code of
//! the workspace.

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
pub fn defer_accept(socket: impl AsFd, delay: Duration) -> io::Result<()> {
    set(socket, libc::TCP_DEFER_ACCEPT, delay.as_secs())
}

/// Makes a socket count as writable only while the kernel holds fewer unsent bytes than `bytes` (tcp(7),
/// `TCP_NOTSENT_LOWAT`).
///
/// # Errors
///
/// The descriptor is not a TCP socket.
pub(crate) fn notsent_lowat(socket: impl AsFd, bytes: u64) -> io::Result<()> {
    set(socket, libc::TCP_NOTSENT_LOWAT, bytes)
}

/// Sets the TCP option with the number `option`, whose value is an `int`. A higher value counts as the highest.
#[allow(unsafe_code)]
fn set(socket: impl AsFd, option: libc::c_int, value: u64) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open while `socket` is borrowed. Pointer and length describe `value`, which outlives
    // the call; the kernel only reads it.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
