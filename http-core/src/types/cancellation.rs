//! The signal with which an engine tells a late reply that its response is no longer wanted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Tells a [`Job`](crate::Job) whether its response is still wanted. Clones share the signal.
///
/// The engine cancels the token when the client has left (after a reset, a hang-up or a failed write), when the reply has timed out, and when the grace period of a
/// shutdown is over. Then the engine drops a job that has not started. A running job should return early: the engine drops
/// its response.
///
/// A client that closes its socket without a reset, as most clients do, looks as if it had only ended its sending side:
/// TCP does not tell one from the other. Such a client may still get its response, so the token is not cancelled.
///
/// ```
/// use http_core::{Reply, Response};
///
/// let reply = Reply::offload_with(|token| {
///     let steps = (0..1_000u32).take_while(|_| !token.is_cancelled());
///     Response::text(steps.count().to_string())
/// });
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancellationToken {
    cancelled: Arc<AtomicBool>,
}

impl CancellationToken {
    /// Returns whether the response is no longer wanted. Costs as much as reading a variable, so that a job may ask often.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Cancels the token and its clones, for engines. There is no way back.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}
