//! One connection of a client. Requests go out as they are given; replies come back one by one, judged as strictly as
//! any of the suite's.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::always;
use crate::escape;
use crate::exchange::Exchange;
use crate::reply::{self, Asked, Reply};
use crate::wire::{End, Patience, Wire};

/// How long connecting, a write, or a whole reply may take while all the others want something, too.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A reply to GET is awaited.
pub(super) const GET: Asked = Asked { head: false, http10: false };

/// A reply to HEAD is awaited.
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

    /// Awaits the next reply and what every reply must have; the rest is for the caller to judge.
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

    /// Awaits a reply with this status and content.
    pub(super) fn expect(&mut self, asked: Asked, status: u16, content: &[u8]) -> Result<Reply, String> {
        let reply = self.reply(asked)?;
        exact(&reply, status, content)?;
        Ok(reply)
    }

    /// Awaits the end of the connection, and that nothing comes before it.
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

/// Whether a reply is what was expected, to the byte.
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
    // How the connection ends is looked at elsewhere.
    let exchange = Exchange { replies: vec![reply], due: 1, left: true, ..Exchange::default() };
    match always::fault(&exchange) {
        Some(fault) => Err(fault),
        None => exchange.replies.into_iter().next().ok_or_else(|| "no reply".to_owned()),
    }
}
