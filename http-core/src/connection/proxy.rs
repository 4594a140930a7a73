//! The client behind a trusted proxy: the header of the PROXY protocol before the first request, and the headers in
//! each request.
//!
//! It must never believe a peer that is no trusted proxy.

use super::{
    Connection, Io, KeepAlive, TrustedProxy,
    state::{Event, RejectedHead, State},
    step::{CloseReason, Step},
};
use crate::{
    buffer::recv_buf::RecvBuf,
    codec::{framing::RequestFraming, head::Span, proxy_header},
    semantics::forwarded,
    types::{clock::deadline_after, error::ParseError, method::Method},
};
use std::{net::SocketAddr, time::Instant};

impl Connection {
    /// Sets the address of the peer, before the first poll: what the connection expects first depends on it.
    pub(super) fn with_peer(mut self, peer_addr: Option<SocketAddr>) -> Connection {
        self.set_peer(peer_addr);
        let (State::Idle { since, .. } | State::ProxyHeader { since, .. }) = self.state else { return self };
        (self.state, self.deadline) = if self.proxy.is_some() && self.config.proxies.proxy_protocol {
            (State::ProxyHeader { since, has_begun: false }, self.proxy_header_deadline(since, false))
        } else {
            (State::Idle { since, removed: 0 }, self.idle_deadline(since))
        };
        self
    }

    /// Returns whether the connection waits for a header of the PROXY protocol, or for the rest of it. An engine
    /// must then pass no bytes that belong to TLS: those that follow the header.
    pub fn awaits_proxy_header(&self) -> bool {
        matches!(self.state, State::ProxyHeader { .. })
    }

    fn set_peer(&mut self, peer_addr: Option<SocketAddr>) {
        let is_trusted = self.config.proxies.trust(peer_addr.map(|address| address.ip()));
        self.proxy = is_trusted.then(|| Box::new(TrustedProxy { addr: peer_addr }));
        self.client_addr = peer_addr;
    }

    /// The end of the time for the header on a connection that has waited for it since `since`. Until it has begun, the
    /// connection is idle.
    fn proxy_header_deadline(&self, since: Instant, has_begun: bool) -> Instant {
        let deadline = deadline_after(since, self.config.timeouts.head.min(self.config.timeouts.idle));
        if has_begun { deadline } else { deadline.min(self.idle_deadline(since)) }
    }

    /// Returns the step in [`State::ProxyHeader`]; `None` if the state has changed.
    #[cold]
    pub(super) fn poll_proxy_header(&mut self, since: Instant, io: &mut Io<'_>) -> Option<Step> {
        match proxy_header::parse(io.input.unread()) {
            Ok(Some(header)) => {
                io.input.consume(header.len);
                if header.client_addr.is_some() {
                    self.set_peer(header.client_addr);
                }
                self.deadline = self.idle_deadline(io.now);
                self.transition(Event::ProxyHeaderComplete, State::Idle { since: io.now, removed: 0 });
                Some(Step::ProxyHeader)
            }
            Ok(None) if self.keep_alive == KeepAlive::Disabled && io.input.is_empty() => {
                self.enter(Event::KeepAliveDisabled, State::Finishing { linger: false })
            }
            Ok(None) => {
                let has_begun = !io.input.is_empty();
                self.state = State::ProxyHeader { since, has_begun };
                let at_eof = if has_begun { CloseReason::Truncated } else { CloseReason::ClientClosed };
                self.receive(io, self.proxy_header_deadline(since, has_begun), at_eof, proxy_header::MAX_V2)
            }
            Err(error) => Some(self.reject_malformed(error, None, io.input, io.now)),
        }
    }

    /// Forgets the client that a trusted proxy has named: it may send the next request for another one.
    #[inline]
    pub(super) fn forget_client(&mut self) {
        if let Some(proxy) = &self.proxy {
            self.client_addr = proxy.addr;
        }
    }

    /// Reads in the head at the front of `input`, from a trusted proxy, what proxies say about the client. `validated`
    /// is the result of its validation, with its length. Returns it with the host and the scheme that the client has
    /// used.
    #[cold]
    pub(super) fn read_forwarded(
        &mut self,
        validated: Result<(RequestFraming, usize), ParseError>,
        input: &RecvBuf,
    ) -> Result<(RequestFraming, usize), ParseError> {
        self.forget_client();
        let (mut framing, head_len) = validated?;
        let (bytes, headers) = (input.unread(), input.index.header_spans());
        let forwarded = forwarded::read(&self.config.proxies, |name| {
            let named = headers.iter().rev().filter(move |header| is_named(header.name.of(bytes), name));
            named.map(move |header| header.value.of(bytes))
        });
        self.client_addr = forwarded.client_addr.or(self.client_addr);
        framing.is_https = forwarded.is_https.unwrap_or(framing.is_https);
        framing.authority = forwarded.host.and_then(|host| Span::of_part(host, bytes)).or(framing.authority);
        Ok((framing, head_len))
    }

    /// Rejects an idle connection.
    #[cold]
    pub(super) fn refuse(&mut self) {
        self.transition(Event::Rejected, State::Rejecting { method: Method::Get, head: RejectedHead::Gone });
    }
}

/// Whether a header has this name.
fn is_named(header: &[u8], name: &str) -> bool {
    header.eq_ignore_ascii_case(name.as_bytes())
}
