//! Late replies: how a reply starts that is not [`Reply::Now`], and what belongs to it until its outcome is known.
//!
//! It never waits: a timer, a pool thread or a responder passes the outcome to the engine.

use crate::{
    label::RequestLabel,
    pool::{Pool, Pools, QueuedTask},
};
use http_core::{
    CancellationToken, CatchDrop, ContentReader, ContentSender, IncompleteContent, Job, Rejection, Reply,
    Responder, Response, Sink, catch_panic, drop_caught,
};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// The longest delay of a [`Reply::After`]. A longer delay is shortened to this, because adding it to
/// an `Instant` could overflow.
const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The outcome of a reply: the response, or the reason why there is none.
pub type Outcome = Result<Response, Rejection>;

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

/// Where the content of a request goes as it comes. Dropping it tells the application that the rest will not come.
pub(crate) enum ContentTarget {
    /// The sink of a [`Reply::Receive`].
    Sink(CatchDrop<Box<dyn Sink>>),
    /// The pipe to the job of a [`Reply::Read`].
    Pipe(ContentSender),
}

impl fmt::Debug for ContentTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContentTarget::Sink(_) => "Sink",
            ContentTarget::Pipe(_) => "Pipe",
        })
    }
}

/// A reply whose outcome is not known. Dropping it cancels the reply: a task that has not started is dropped, and code
/// that runs sees the cancelled token. An engine drops it when the reply has timed out or the connection closes, and
/// when the outcome has arrived, after it has released the token.
#[derive(Debug)]
pub struct LateReply {
    pub(crate) token: CancellationToken,
    pub(crate) label: RequestLabel,
    /// When the request was received.
    pub(crate) received_at: Instant,
    pub(crate) waits_for: WaitsFor,
    /// Whether the application has requested the content. It gets no content when it requests that again.
    pub(crate) content_requested: bool,
    /// Where the content of the request goes as it comes; `None` if none is expected.
    pub(crate) content: Option<ContentTarget>,
    /// The other end of the pipe in `content`, until the job starts.
    pub(crate) reader: Option<ContentReader>,
}

impl LateReply {
    pub(crate) fn new(label: RequestLabel, received_at: Instant) -> LateReply {
        let token = CancellationToken::default();
        LateReply {
            token,
            label,
            received_at,
            waits_for: WaitsFor::Start,
            content_requested: false,
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

    /// Ends the reply because its request is rejected for this reason. Tells the job that reads the content why the
    /// rest will not come. Logs a reply that has timed out.
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

/// What an engine does to run a late reply. [`start_reply`] calls it.
pub(crate) trait RunReply {
    /// Returns the threads for jobs.
    fn pools(&self) -> &Pools;

    /// Makes `late` wait for a timer. The engine runs `job`, which produces the response, after `delay`.
    fn run_after(&mut self, delay: Duration, job: Job, late: &mut LateReply);

    /// Returns the function that passes the outcome of `late` to the engine. Any thread may call it.
    ///
    /// # Errors
    ///
    /// [`Rejection::Overloaded`] if the system has no descriptors left.
    fn sender(&mut self, late: &LateReply) -> Result<impl FnOnce(Outcome) + Send + 'static, Rejection>;
}

/// Starts a reply with the methods of `run`, and sets what `late` waits for. Returns the outcome if it is known on
/// return: there is no thread or descriptor for the reply, for example. Returns `None` if the engine gets it later.
pub(crate) fn start_reply(reply: Reply, late: &mut LateReply, run: &mut impl RunReply) -> Option<Outcome> {
    let started = match reply {
        Reply::Now(response) => return Some(Ok(response)),
        Reply::After(delay, job) => {
            run.run_after(delay, job, late);
            Ok(())
        }
        Reply::Offload(job) => start_job(job, late, run, |pools| &pools.jobs),
        Reply::Read(job) => match late.reader.take() {
            Some(reader) => start_job(Box::new(|_| job(reader)), late, run, |pools| &pools.streaming),
            None => {
                drop_caught(job);
                Err(Rejection::InvalidResponse)
            }
        },
        Reply::Deferred(start) => match run.sender(late) {
            Ok(send) => {
                late.waits_for = WaitsFor::Responder;
                let responder = Responder::new(late.token.clone(), send);
                catch_panic(|| start(responder)).map_err(Rejection::from)
            }
            Err(reason) => {
                drop_caught(start);
                Err(reason)
            }
        },
        unknown => {
            drop_caught(unknown);
            Err(Rejection::InvalidResponse)
        }
    };
    started.err().map(Err)
}

/// Runs a job on a thread of the pool that `select` returns.
///
/// # Errors
///
/// [`Rejection::Overloaded`] if the pool takes no more jobs, or the system has no descriptors left.
fn start_job(
    job: Job,
    late: &mut LateReply,
    run: &mut impl RunReply,
    select: fn(&Pools) -> &Pool,
) -> Result<(), Rejection> {
    let send = match run.sender(late) {
        Ok(send) => send,
        Err(reason) => {
            drop_caught(job);
            return Err(reason);
        }
    };
    let token = late.token.clone();
    let task = select(run.pools()).submit(Box::new(move || send(run_job(job, &token))))?;
    late.waits_for = WaitsFor::Task(task);
    Ok(())
}

/// Runs a job, and returns its outcome: its response, or that it has panicked.
pub(crate) fn run_job(job: Job, token: &CancellationToken) -> Outcome {
    catch_panic(|| job(token)).map_err(Rejection::from)
}
