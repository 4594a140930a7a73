//! Starts the replies of a connection that has a thread of its own: on a pool, or by a responder.
//!
//! It never waits: the session waits for the outcome.

use super::wait::{ConnectionEvent, OutcomeReceiver, OutcomeSender};
use crate::{
    drive::RunReply,
    late::{LateReply, WaitsFor},
    pool::{Pool, PoolFull, Pools},
};
use http_core::{CatchDrop, Job, Rejection, Responder, catch_panic, drop_caught, io_cause};
use std::time::{Duration, Instant};

/// Starts one reply for the thread of its connection, which then waits for the outcome.
pub(super) struct ThreadReply<'t> {
    pub(super) pools: &'t Pools,
    pub(super) event: &'t ConnectionEvent<'t>,
    pub(super) now: Instant,
    pub(super) running: RunningReply,
}

impl ThreadReply<'_> {
    /// Creates the channel for the outcome. Fails if the system has no descriptors left.
    fn channel(&mut self, late: &LateReply) -> Result<OutcomeSender, Rejection> {
        let (sender, receiver) = self.event.channel().map_err(|error| {
            log::error!(
                "cannot wait for the response to {}: {}; responding 503",
                late.label,
                io_cause(&error)
            );
            Rejection::Overloaded
        })?;
        self.running.outcome = Some(receiver);
        Ok(sender)
    }

    /// Runs a job on a thread of `pool`.
    fn run_job(&mut self, pool: &Pool, job: Job, late: &mut LateReply) -> Result<(), Rejection> {
        let sender = match self.channel(late) {
            Ok(sender) => sender,
            Err(reason) => {
                drop_caught(job);
                return Err(reason);
            }
        };
        let token = late.token.clone();
        let task = Box::new(move || sender.send(catch_panic(|| job(&token)).map_err(Rejection::from)));
        let task = pool.submit(task).map_err(|PoolFull| Rejection::Overloaded)?;
        late.waits_for = WaitsFor::Task(task);
        Ok(())
    }
}

impl RunReply for ThreadReply<'_> {
    fn run_after(&mut self, delay: Duration, job: Job, late: &mut LateReply) {
        late.set_timer(self.now, delay);
        self.running.job = Some(CatchDrop::new(job));
    }

    fn offload(&mut self, job: Job, late: &mut LateReply) -> Result<(), Rejection> {
        self.run_job(&self.pools.jobs, job, late)
    }

    fn stream(&mut self, job: Job, late: &mut LateReply) -> Result<(), Rejection> {
        self.run_job(&self.pools.streaming, job, late)
    }

    fn responder(&mut self, late: &mut LateReply) -> Result<Responder, Rejection> {
        let sender = self.channel(late)?;
        late.waits_for = WaitsFor::Responder;
        Ok(Responder::new(late.token.clone(), move |outcome| sender.send(outcome)))
    }
}

/// What produces the outcome of a reply that has started.
#[derive(Default)]
pub(super) struct RunningReply {
    /// The job of a `Reply::After`.
    pub(super) job: Option<CatchDrop<Job>>,
    /// Receives the outcome of any other reply.
    pub(super) outcome: Option<OutcomeReceiver>,
}
