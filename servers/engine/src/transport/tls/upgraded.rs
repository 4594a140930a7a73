//! Reads and writes of upgraded connections, which wait for the client, and which several threads may make at once.
//!
//! Never holds the lock of the session while it waits.

use super::{RECEIVE, RECORD, TlsStream, lock};
use rustix::{
    io::retry_on_intr,
    net::{RecvFlags, SendFlags, recv, send},
};
use std::{io, mem, os::fd::OwnedFd, sync::TryLockError};

impl TlsStream {
    /// As [`Transport::read`](crate::transport::Transport::read).
    ///
    /// # Errors
    ///
    /// Also [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), if the connection has ended without a notice: what was
    /// read may be incomplete.
    pub(in crate::transport) fn read(&self, socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
        let _reading = lock(&self.reading);
        let mut received = [0; RECEIVE];
        loop {
            {
                let mut session = self.lock();
                if !session.content.is_empty() || session.has_ended || buffer.is_empty() {
                    return Ok(session.take(buffer));
                }
            }
            // Without the lock of the session: another thread may write meanwhile.
            let count = retry_on_intr(|| recv(socket, &mut received[..], RecvFlags::empty()))?.0;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut session = self.lock();
            let mut incoming = mem::take(&mut session.incoming);
            incoming.extend_from_slice(&received[..count]);
            let processed = session.process(&mut incoming, buffer);
            incoming.drain(..*processed.as_ref().map_or(&0, |(used, _)| used));
            session.incoming = incoming;
            if !session.outgoing.is_empty() {
                drop(session);
                match self.writing.try_lock() {
                    // That thread sends it.
                    Err(TryLockError::WouldBlock) => {}
                    _writing => drop(self.lock().flush(socket)?),
                }
            }
            let (_, given) = processed?;
            if given > 0 {
                return Ok(given);
            }
        }
    }

    /// As [`Transport::write`](crate::transport::Transport::write). Bytes that are encrypted count as written, although
    /// the socket may not have taken them in time; then the next call fails.
    pub(in crate::transport) fn write(&self, socket: &OwnedFd, data: &[u8]) -> io::Result<usize> {
        let _writing = lock(&self.writing);
        self.flush_waiting(socket)?;
        let data = &data[..data.len().min(RECORD)];
        {
            let mut session = self.lock();
            let mut outgoing = Vec::new();
            let len = session.encrypt_into(data, &mut outgoing)?;
            outgoing.truncate(len);
            session.outgoing = outgoing;
        }
        match self.flush_waiting(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(data.len()),
        }
    }

    /// Sends what is encrypted, and waits for room. Never holds the lock of the session while it waits.
    fn flush_waiting(&self, socket: &OwnedFd) -> io::Result<()> {
        loop {
            let outgoing = mem::take(&mut self.lock().outgoing);
            let mut sent = 0;
            if outgoing.is_empty() {
                return Ok(());
            }
            while sent < outgoing.len() {
                match retry_on_intr(|| send(socket, &outgoing[sent..], SendFlags::NOSIGNAL)) {
                    Ok(count) => sent += count,
                    Err(error) => {
                        let mut session = self.lock();
                        let mut rest = outgoing[sent..].to_vec();
                        rest.append(&mut session.outgoing);
                        session.outgoing = rest;
                        session.is_complete = false;
                        return Err(error.into());
                    }
                }
            }
        }
    }
}
