//! One connection of a client. It sends requests unchanged, and checks each reply as strictly as the suite does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_test_suite::always;
use http_test_suite::escape;
use http_test_suite::exchange::Exchange;
use http_test_suite::reply::{self, Asked, Reply};
use http_test_suite::wire::{End, Patience, Wire};

/// The timeout for connecting, for a write, and for a whole reply, under the load of all clients.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Expects a reply to GET.
pub(super) const GET: Asked = Asked { head: false, http10: false };

/// Expects a reply to HEAD.
pub(super) const HEAD: Asked = Asked { head: true, http10: false };

pub(super) struct Talk {
    wire: Wire,
}

impl Talk {
    pub(super) fn dial(server: SocketAddr) -> Result<Talk, String> {
        let patience = Patience { timeout: TIMEOUT, quiet: Duration::ZERO };
        let wire = Wire::dial(server, patience).map_err(|error| format!("no connection: {error}"))?;
        Ok(Talk { wire })
    }

    pub(super) fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        self.wire.send(&bytes.into());
    }

    pub(super) fn half_close(&mut self) {
        self.wire.half_close();
    }

    /// Waits for the next reply, and checks the rules for all replies. The caller checks the rest.
    pub(super) fn reply(&mut self, asked: Asked) -> Result<Reply, String> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some((reply, length)) =
                reply::read(&self.wire.received, asked, self.wire.end != End::Open)?
            {
                self.wire.received.drain(..length);
                return judged(reply);
            }
            if !self.wire.receive(deadline) {
                let came = escape::line(&self.wire.received, 60);
                return Err(format!("no whole reply in {} s, only {came:?}", TIMEOUT.as_secs()));
            }
        }
    }

    /// Waits for a reply, and checks its status and content.
    pub(super) fn expect(&mut self, asked: Asked, status: u16, content: &[u8]) -> Result<Reply, String> {
        let reply = self.reply(asked)?;
        exact(&reply, status, content)?;
        Ok(reply)
    }

    /// Waits for the end of the connection, and checks that no bytes come before it.
    pub(super) fn expect_end(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + TIMEOUT;
        while self.wire.receive(deadline) {}
        match self.wire.end {
            _ if !self.wire.received.is_empty() => {
                Err(format!("more than was asked for: {}", escape::line(&self.wire.received, 60)))
            }
            End::Open => Err(format!("the connection is not closed within {} s", TIMEOUT.as_secs())),
            End::Closed | End::Reset => Ok(()),
        }
    }
}

/// Checks status and content of a reply, byte by byte.
pub(super) fn exact(reply: &Reply, status: u16, content: &[u8]) -> Result<(), String> {
    if reply.status != status {
        return Err(format!("{} where {status} was due", reply.describe()));
    }
    if reply.body == content {
        return Ok(());
    }
    let same = reply.body.iter().zip(content).take_while(|(came, due)| came == due).count();
    Err(format!(
        "content of {} bytes, where {} were due, is wrong from byte {same} on",
        reply.body.len(),
        content.len()
    ))
}

fn judged(reply: Reply) -> Result<Reply, String> {
    // The end of the connection is checked in `expect_end`.
    let exchange = Exchange { replies: vec![reply], due: 1, left: true, ..Exchange::default() };
    match always::fault(&exchange) {
        Some(fault) => Err(fault),
        None => exchange.replies.into_iter().next().ok_or_else(|| "no reply".to_owned()),
    }
}
