//! The client of an upgraded connection, in memory: it has sent everything before the application reads.

use crate::{
    message::upgrade::{OnUpgrade, Upgraded, UpgradedTransport},
    types::cancellation::CancellationToken,
};
use std::{
    io::{self, Cursor, Read},
    net::{Shutdown, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, SyncSender},
    },
    time::Duration,
};

/// Passes a connection to `take`. Its client has sent `received` and then shut down its sending side. Waits until the
/// application drops the connection, and returns what the application has written.
///
/// # Errors
///
/// `take` panics, or the application holds the connection for longer than `timeout` after `take` has returned.
pub(super) fn hand_over(
    take: OnUpgrade,
    received: Vec<u8>,
    client_addr: Option<SocketAddr>,
    timeout: Duration,
) -> (Vec<u8>, io::Result<()>) {
    let (open, closed) = mpsc::sync_channel(0);
    let state =
        Arc::new(Mutex::new(MemoryState { received: Cursor::new(received), ..MemoryState::default() }));
    let transport = MemoryTransport { state: Arc::clone(&state), _open: open };
    let taken = take.call(Upgraded::new(transport, Vec::new(), client_addr, CancellationToken::default()));
    let result = match (taken, closed.recv_timeout(timeout)) {
        (Err(panicked), _) => Err(io::Error::other(panicked)),
        (Ok(()), Err(RecvTimeoutError::Timeout)) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the application did not drop the upgraded connection within {timeout:?}"),
        )),
        _ => Ok(()),
    };
    (std::mem::take(&mut lock(&state).written), result)
}

/// Carries the bytes of a connection without a socket. Nothing waits.
struct MemoryTransport {
    state: Arc<Mutex<MemoryState>>,
    /// Disconnects the channel when the transport is dropped.
    _open: SyncSender<()>,
}

#[derive(Default)]
struct MemoryState {
    received: Cursor<Vec<u8>>,
    written: Vec<u8>,
    is_write_closed: bool,
}

impl UpgradedTransport for MemoryTransport {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        lock(&self.state).received.read(buffer)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.state);
        if state.is_write_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.written.extend_from_slice(data);
        Ok(data.len())
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        check_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        check_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut state = lock(&self.state);
        if how != Shutdown::Write {
            state.received = Cursor::default();
        }
        state.is_write_closed |= how != Shutdown::Read;
        Ok(())
    }
}

/// Fails as a socket does if the timeout is zero.
fn check_timeout(timeout: Option<Duration>) -> io::Result<()> {
    if timeout == Some(Duration::ZERO) { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(()) }
}

fn lock(state: &Mutex<MemoryState>) -> MutexGuard<'_, MemoryState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
