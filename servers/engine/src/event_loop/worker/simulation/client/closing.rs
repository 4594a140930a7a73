//! For what reasons the server may close the connection of a client, and what it must have done when it has nothing to
//! do.

use super::{
    super::{MAX_DELAY, TIMEOUTS, application::Application, plan::Kind},
    Behaviour, Client,
};
use crate::{
    admission::REFUSED_LINGER,
    sys::simulated::{Kernel, Peer},
};
use std::time::Instant;

impl Client {
    /// The server has closed the connection. Reads what is left, and returns what is wrong with that, or with the
    /// close.
    pub(in super::super) fn note_close(
        &mut self,
        kernel: &mut Kernel,
        app: &Application,
    ) -> Result<(), String> {
        self.has_ended = true;
        let has_stalled = self.unread_since.is_some_and(|since| since + TIMEOUTS.write_stall <= app.now);
        self.receive(kernel, app, usize::MAX)?;
        let is_permitted = self.has_left
            || self.is_last
            || has_stalled
            || app.grace_end.is_some_and(|end| end <= app.now)
            || self.permits_close(&kernel.peers[self.number], app);
        self.has_left = true;
        match is_permitted {
            true => Ok(()),
            false => Err(format!("the server closed the connection of {self:?}")),
        }
    }

    /// Whether the server may close the connection of a client that has not left, and whose last response does not say
    /// so.
    fn permits_close(&self, peer: &Peer, app: &Application) -> bool {
        let passed = |since: Option<Instant>, timeout| since.is_some_and(|since| since + timeout <= app.now);
        let awaited = self.awaited(&app.plans);
        let previous = self.next.checked_sub(1).map(|previous| &app.plans[self.requests[previous]]);
        if let (Some(echoed), Some(previous)) = (self.echoed, previous) {
            let is_complete = echoed == previous.len || peer.has_fin;
            return is_complete || app.draining_since.is_some() || passed(previous.handled_at, TIMEOUTS.idle);
        }
        // A request whose response the server has begun, or owes.
        if let Some(plan) = awaited.filter(|plan| peer.total_received > plan.span.start) {
            let is_broken = plan.kind == Kind::BrokenChannel && self.body_at.is_some();
            // The client has closed its sending side within the request.
            let is_truncated = peer.has_fin && peer.total_received < plan.span.end;
            return is_broken || is_truncated;
        }
        // The server drops content of the previous request, of which the rest has not come.
        let is_late = previous.is_some_and(|plan| {
            peer.total_received < plan.span.end && passed(plan.begun_at, TIMEOUTS.body_idle)
        });
        let awaits_header =
            self.next == 0 && awaited.is_some_and(|plan| peer.total_received < plan.span.start);
        let idle = if awaits_header { TIMEOUTS.head } else { TIMEOUTS.idle };
        peer.has_fin
            || is_late
            || app.has_low_limits
            || passed(app.draining_since, TIMEOUTS.idle_grace)
            || passed(Some(self.server_sent.0), idle)
    }

    /// Returns what the server should have done, if it has done everything that it can do now.
    pub(in super::super) fn check_settled(&self, kernel: &Kernel, app: &Application) -> Result<(), String> {
        let peer = &kernel.peers[self.number];
        if peer.is_reset && peer.is_settled() && !peer.is_closed && !peer.is_upgraded {
            return Err("the connection stays open after its client has reset it".to_owned());
        }
        let is_refused = self.is_last && self.next == 1 && app.plans[self.requests[0]].handled_at.is_none();
        if is_refused && self.reader.status() == 503 && !peer.is_closed {
            let since = app.now - self.server_sent.0;
            return match since <= REFUSED_LINGER + MAX_DELAY {
                true => Ok(()),
                false => Err(format!("a refused connection is open after {since:?}")),
            };
        }
        let is_done = self.has_ended || self.has_left || self.is_last || peer.is_closed || peer.unread() > 0;
        if is_done || !peer.is_settled() || self.echoed.is_some() {
            return Ok(());
        }
        match self.awaited(&app.plans) {
            Some(plan)
                if self.sent >= plan.span.end && plan.owes_until.is_none_or(|until| until < app.now) =>
            {
                Err(format!("request {} gets no response: {plan:?}", self.requests[self.next]))
            }
            None if peer.has_fin && self.behaviour == Behaviour::HalfCloses => {
                Err("the connection stays open after the last response to a client that has half-closed it"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }
}
