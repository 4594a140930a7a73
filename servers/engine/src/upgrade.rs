//! Upgrades on both engines: reserves the thread, and passes the connection to the application.
//!
//! It must not send a 101 for which there is no thread: the thread is reserved before the response is queued.

use crate::{label::RequestLabel, stream::StreamSupport, sys::wait_for, transport::Transport};
use http_core::{CancellationToken, Connection, OnUpgrade, Rejection, Upgraded, UpgradedTransport, io_cause};
use rustix::net::sockopt::Timeout;
use std::{io, net::Shutdown, sync::mpsc::channel, time::Duration};

/// Returns the function that takes over the connection when the 101 is sent. It calls `take` on the thread that drives
/// the connection, if that may wait for the client. Otherwise it passes the connection to a streaming thread, which is
/// reserved from now on: it is free again when `take` returns, or when the function is dropped. A panic of `take` is
/// logged with `label`.
///
/// # Errors
///
/// [`Rejection::Overloaded`] if all streaming threads are busy.
pub(crate) fn reserve_thread(
    take: OnUpgrade,
    label: RequestLabel,
    support: &dyn StreamSupport,
) -> Result<Box<dyn FnOnce(Upgraded) + Send>, Rejection> {
    let take = move |upgraded| {
        if take.call(upgraded).is_err() {
            log::error!(
                "the function that took over the connection of {label} has panicked; closing the connection"
            );
        }
    };
    if support.may_wait() {
        return Ok(Box::new(take));
    }
    let (sender, connection) = channel();
    // If the connection closes before the 101 is sent, the sender is dropped.
    support.spawn(Box::new(move || {
        if let Ok(upgraded) = wait_for(&connection) {
            take(upgraded);
        }
    }))?;
    Ok(Box::new(move |upgraded| drop(sender.send(upgraded))))
}

/// Passes the connection to the function that takes it over. Dropping `socket` closes the connection, and frees its
/// permit. `received` is what the client has sent after the head. `token` is cancelled when the shutdown begins.
pub(crate) fn hand_over<S>(conn: &mut Connection, socket: S, received: Vec<u8>, token: CancellationToken)
where
    S: AsRef<Transport> + Send + Sync + 'static,
{
    let Some(take) = conn.take_upgrade() else { return };
    let (socket, timeouts) = (UpgradedSocket(socket), conn.timeouts());
    let limited = socket.set_read_timeout(Some(timeouts.idle));
    match limited.and_then(|()| socket.set_write_timeout(Some(timeouts.write_stall))) {
        // `reserve_thread` has caught and logged a panic.
        Ok(()) => drop(take.call(Upgraded::new(socket, received, conn.client_addr(), token))),
        Err(error) => {
            log::error!(
                "cannot set the timeouts of an upgraded connection: {}; closing it",
                io_cause(&error)
            );
        }
    }
}

/// The socket of an upgraded connection. It closes when this is dropped.
struct UpgradedSocket<S>(S);

impl<S: AsRef<Transport> + Send + Sync> UpgradedTransport for UpgradedSocket<S> {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.as_ref().read(buffer)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.0.as_ref().write(data)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.as_ref().set_timeout(Timeout::Recv, timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.as_ref().set_timeout(Timeout::Send, timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.as_ref().shutdown(how)
    }
}
