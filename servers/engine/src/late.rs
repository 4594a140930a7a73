//! A reply whose outcome the engine awaits, and what it holds until then.

use crate::{label::RequestLabel, pool::QueuedTask};
use http_core::{
    CancellationToken, CatchDrop, ContentReader, ContentSender, IncompleteContent, Rejection, Sink,
};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// The longest delay of a [`Reply::After`](http_core::Reply::After). A longer delay is shortened to this, because adding it to
/// an `Instant` could overflow.
const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What produces the outcome of a late reply.
#[derive(Debug)]
pub(crate) enum WaitsFor {
    /// Nothing yet: the reply has not started.
    Start,
    /// A timer, until this time.
    Timer(Instant),
    /// A task in the queue of a pool, or on one of its threads.
    Task(QueuedTask),
    /// A responder.
    Responder,
}

/// What takes the content of a request as it comes. Dropping it tells the application that the rest will not come.
#[derive(Debug)]
pub(crate) enum ContentTarget {
    /// The sink of a [`Reply::Receive`](http_core::Reply::Receive).
    Sink(CatchDrop<SinkBox>),
    /// The pipe to the job of a [`Reply::Read`](http_core::Reply::Read).
    Pipe(ContentSender),
}

/// The sink of an application.
pub(crate) struct SinkBox(pub(crate) Box<dyn Sink>);

impl fmt::Debug for SinkBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// A reply that has started and whose outcome is not known. Dropping it cancels the reply: a task that has not started is
/// dropped, and code that runs sees the cancelled token. An engine drops it when the reply has timed out, when the connection
/// closes, and when the outcome has arrived: then it first releases the token.
#[derive(Debug)]
pub struct LateReply {
    pub(crate) token: CancellationToken,
    pub(crate) label: RequestLabel,
    pub(crate) waits_for: WaitsFor,
    /// Whether the application has got the content, or takes it: it gets none again.
    pub(crate) has_content: bool,
    /// What takes the content of the request; `None` if nothing does (any more).
    pub(crate) content: Option<ContentTarget>,
    /// The other end of the pipe in `content`, until the job starts.
    pub(crate) reader: Option<ContentReader>,
}

impl LateReply {
    pub(crate) fn new(label: RequestLabel) -> LateReply {
        let token = CancellationToken::default();
        LateReply {
            token,
            label,
            waits_for: WaitsFor::Start,
            has_content: false,
            content: None,
            reader: None,
        }
    }

    /// Makes the reply wait for a timer, which starts `now`. Returns when the timer is over.
    pub(crate) fn set_timer(&mut self, now: Instant, delay: Duration) -> Instant {
        let due = now + delay.min(MAX_DELAY);
        self.waits_for = WaitsFor::Timer(due);
        due
    }

    /// Logs that the application has dropped its responder, if the reply waits for one.
    #[cold]
    pub(crate) fn log_failure(&self) {
        if let WaitsFor::Responder = self.waits_for {
            log::error!("the handler dropped the responder of {}; responding 500", self.label);
        }
    }

    /// Ends the reply because its request is rejected for this reason. Tells the job that reads the content why the rest will
    /// not come. Logs a reply that has timed out.
    #[cold]
    pub(crate) fn reject(&mut self, reason: Rejection) {
        if reason == Rejection::ReplyTimeout {
            log::warn!("no response to {} within the reply timeout; responding 503", self.label);
        }
        self.end_content(match reason {
            Rejection::RequestTimeout => IncompleteContent::ClientTimeout,
            Rejection::ReplyTimeout => IncompleteContent::ReaderTimeout,
            Rejection::Malformed(error) => IncompleteContent::Invalid(error),
            _ => IncompleteContent::Aborted,
        });
    }

    /// Tells the job that reads the content why the rest will not come, and drops the sink.
    pub(crate) fn end_content(&mut self, reason: IncompleteContent) {
        if let Some(ContentTarget::Pipe(sender)) = self.content.take() {
            sender.fail(reason);
        }
    }
}

impl Drop for LateReply {
    fn drop(&mut self) {
        self.token.cancel();
        if let WaitsFor::Task(task) = &self.waits_for {
            task.cancel();
        }
    }
}
