//! Passes the content of a request to the application as it comes: pushes it to a sink, or sends it through a pipe to a job.
//!
//! It never waits. While a pipe is full, the connection receives nothing.

use crate::{
    drive::{Action, Driver},
    late::{ContentTarget, LateReply, SinkBox},
};
use http_core::{
    CatchDrop, ContentReader, Panicked, Rejection, Reply, Response, Step, catch_panic, content_pipe,
    drop_caught, io_cause,
};

impl Driver<'_> {
    /// Begins a reply to the request that [`Step::Request`] has announced. Returns what the engine
    /// must do; `None` if the driver can go on.
    #[cold]
    pub(crate) fn begin_reply(&mut self, reply: Reply) -> Option<Action> {
        *self.late = Some(Box::new(LateReply::new(self.label())));
        self.continue_reply(reply)
    }

    /// Begins a reply to the request that `late` belongs to. Its content may have been received.
    fn continue_reply(&mut self, reply: Reply) -> Option<Action> {
        match reply {
            Reply::Now(response) => {
                self.complete(Ok(response));
                None
            }
            Reply::Receive(sink) => self.begin_sink(CatchDrop::new(SinkBox(sink))),
            Reply::Read(job) => match self.open_pipe() {
                Ok(()) => Some(Action::StartReply(Reply::Read(job))),
                Err(reason) => {
                    drop_caught(job);
                    self.respond_rejected(reason);
                    None
                }
            },
            later => Some(Action::StartReply(later)),
        }
    }

    /// Begins to push content to a sink. If there is none to receive, pushes the body at once, and ends the content.
    fn begin_sink(&mut self, mut sink: CatchDrop<SinkBox>) -> Option<Action> {
        match self.conn.receive_content(self.clock.now()) {
            Ok(true) => {
                self.set_target(ContentTarget::Sink(sink));
                None
            }
            Ok(false) => {
                let request = self.conn.request(&self.buffers.input);
                let body = request.as_ref().map_or(&b""[..], http_core::Request::body);
                let written = if body.is_empty() { Ok(Ok(())) } else { write(&mut sink, body) };
                self.written(written, Some(sink))
            }
            Err(reason) => {
                drop(sink);
                self.respond_rejected(reason);
                None
            }
        }
    }

    /// Makes the pipe of a job that reads content, or a reader of the body if there is no content to receive.
    fn open_pipe(&mut self) -> Result<(), Rejection> {
        let Some(late) = self.late.as_deref() else { return Err(Rejection::Overloaded) };
        let (token, label) = (late.token.clone(), late.label.clone());
        let request = self.conn.request(&self.buffers.input);
        let length = request.as_ref().and_then(http_core::Request::content_length);
        let body = request.map(|request| request.body().to_vec()).unwrap_or_default();
        let (target, reader) = if self.conn.receive_content(self.clock.now())? {
            let waker = self.streams.waker().map_err(|error| {
                log::error!(
                    "cannot make a waker for the content of {label}: {}; responding 503",
                    io_cause(&error)
                );
                self.conn.reject();
                Rejection::Overloaded
            })?;
            let (sender, reader) = content_pipe(length, token, waker);
            (Some(ContentTarget::Pipe(sender)), reader)
        } else {
            (None, ContentReader::from(body).with_token(token))
        };
        if let Some(late) = self.late {
            (late.content, late.reader) = (target, Some(reader));
        }
        Ok(())
    }

    /// Passes on the content that has arrived ([`Step::Content`]), or its end ([`Step::ContentEnd`]). Returns what the engine
    /// must do; `None` if the driver can go on.
    #[cold]
    pub(crate) fn pass_content(&mut self, step: Step) -> Option<Action> {
        let target = self.late.as_mut().map(|late| &mut late.content);
        if step == Step::ContentEnd {
            return match target?.take()? {
                ContentTarget::Sink(sink) => self.written(Ok(Ok(())), Some(sink)),
                ContentTarget::Pipe(sender) => {
                    sender.finish();
                    None
                }
            };
        }
        let content = self.conn.content(&self.buffers.input);
        let length = content.len();
        let (written, count) = match target.and_then(Option::as_mut) {
            Some(ContentTarget::Sink(sink)) => (write(sink, content), length),
            Some(ContentTarget::Pipe(sender)) => (Ok(Ok(())), sender.send(content)),
            None => (Ok(Ok(())), 0),
        };
        self.conn.take_content(&mut self.buffers.input, count);
        // The pipe is full, or its reader was dropped.
        if count == 0 { Some(Action::AwaitReply) } else { self.written(written, None) }
    }

    /// Continues after a write into a sink: responds if the sink wants no more or has panicked. `complete` is the sink if it
    /// has all content: then replies as it says.
    fn written(&mut self, written: Written, complete: Option<CatchDrop<SinkBox>>) -> Option<Action> {
        match (written, complete) {
            (Ok(Ok(())), None) => None,
            (Ok(Ok(())), Some(sink)) => {
                let SinkBox(sink) = sink.into_inner()?;
                match catch_panic(|| sink.finish()) {
                    Ok(reply) => self.continue_reply(reply),
                    Err(panicked) => {
                        self.fail(panicked.into());
                        None
                    }
                }
            }
            (Ok(Err(response)), _) => {
                self.complete(Ok(response));
                None
            }
            (Err(panicked), _) => {
                self.fail(panicked.into());
                None
            }
        }
    }

    fn set_target(&mut self, target: ContentTarget) {
        if let Some(late) = self.late {
            late.content = Some(target);
        }
    }
}

/// The result of a write into a sink, which may panic.
type Written = Result<Result<(), Response>, Panicked>;

/// Writes into a sink.
fn write(sink: &mut CatchDrop<SinkBox>, content: &[u8]) -> Written {
    catch_panic(|| sink.get_mut().map_or(Ok(()), |sink| sink.0.write(content)))
}
