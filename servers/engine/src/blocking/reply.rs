//! Starts the late replies of a connection that has a thread of its own.
//!
//! It never waits: the session waits for the outcome.

use super::wait::{ConnectionEvent, OutcomeReceiver};
use crate::{
    late::{LateReply, Outcome, RunReply},
    pool::Pools,
};
use http_core::{CatchDrop, Job, Rejection, io_cause};
use std::time::{Duration, Instant};

/// Starts one reply for the thread of its connection, which then waits for the outcome.
pub(super) struct ThreadReply<'t> {
    pub(super) pools: &'t Pools,
    pub(super) event: &'t ConnectionEvent<'t>,
    pub(super) now: Instant,
    pub(super) running: RunningReply,
}

/// What produces the outcome of a reply that has started.
#[derive(Default)]
pub(super) struct RunningReply {
    /// The job of a `Reply::After`.
    pub(super) job: Option<CatchDrop<Job>>,
    /// Receives the outcome of any other reply.
    pub(super) outcome: Option<OutcomeReceiver>,
}

impl RunReply for ThreadReply<'_> {
    fn pools(&self) -> &Pools {
        self.pools
    }

    fn run_after(&mut self, delay: Duration, job: Job, late: &mut LateReply) {
        late.set_timer(self.now, delay);
        self.running.job = Some(CatchDrop::new(job));
    }

    fn sender(&mut self, late: &LateReply) -> Result<impl FnOnce(Outcome) + Send + 'static, Rejection> {
        let (sender, receiver) = self.event.channel().map_err(|error| {
            log::error!(
                "cannot wait for the response to {}: {}; responding 503",
                late.label,
                io_cause(&error)
            );
            Rejection::Overloaded
        })?;
        self.running.outcome = Some(receiver);
        Ok(move |outcome| sender.send(outcome))
    }
}
