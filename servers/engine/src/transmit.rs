//! A send queue meets a socket.

use http_core::{SendQueue, Transmit};
use rustix::{
    fs::sendfile,
    io::Errno,
    net::{SendAncillaryBuffer, SendFlags, send, sendmsg},
};
use std::{io, os::fd::BorrowedFd};

/// How a round of sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The queue is empty.
    All,
    /// The peer takes no more for now.
    Blocked,
    /// This round's share is used up.
    Share,
}

/// The most that one `sendfile` is asked for, so that a turn stays short whatever the socket would take.
const FILE_AT_ONCE: u64 = 1024 * 1024;

/// Sends what is queued until all is gone, the peer takes no more, or at least `share` bytes went.
///
/// # Errors
///
/// The connection is broken, or a file is shorter than its answer promised; in both cases only closing is left.
#[inline]
pub fn transmit(socket: BorrowedFd<'_>, out: &mut SendQueue, mut share: u64) -> io::Result<Sent> {
    loop {
        // Asked before the queue is: what that says of a source that failed, it says once.
        if share == 0 && !out.is_empty() {
            return Ok(Sent::Share);
        }
        let outcome = match out.transmit() {
            Transmit::Empty => return Ok(Sent::All),
            Transmit::Broken(error) => return Err(error),
            Transmit::Bytes { slices, more } => {
                let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
                match &*slices {
                    [one] => send(socket, one, flags),
                    many => sendmsg(socket, many, &mut SendAncillaryBuffer::default(), flags),
                }
            }
            Transmit::File { slice, .. } => {
                let mut offset = slice.offset;
                let count = slice.len.min(FILE_AT_ONCE) as usize;
                match sendfile(socket, &slice.file, Some(&mut offset), count) {
                    // The file has shrunk: its promised length cannot be kept, and asking again would spin.
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    outcome => outcome,
                }
            }
        };
        match outcome {
            Ok(count) => {
                out.sent(count);
                share = share.saturating_sub(count as u64);
            }
            Err(Errno::AGAIN) => return Ok(Sent::Blocked),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
