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

    /// Begins a reply to the request that `late` belongs to. The application may have got its content.
    fn continue_reply(&mut self, reply: Reply) -> Option<Action> {
        let begun = match reply {
            Reply::Now(response) => {
                self.complete(Ok(response));
                return None;
            }
            Reply::Receive(sink) => self.begin_sink(CatchDrop::new(SinkBox(sink))),
            Reply::Read(job) => match self.open_pipe() {
                Ok(()) => Ok(Some(Action::StartReply(Reply::Read(job)))),
                Err(reason) => {
                    drop_caught(job);
                    Err(reason)
                }
            },
            later => return Some(Action::StartReply(later)),
        };
        begun.unwrap_or_else(|reason| {
            self.respond_rejected(reason);
            None
        })
    }

    /// Begins to push content to a sink. If the content is here, pushes all of it, and replies as the sink says.
    ///
    /// # Errors
    ///
    /// The content is too long: the request is rejected.
    fn begin_sink(&mut self, mut sink: CatchDrop<SinkBox>) -> Result<Option<Action>, Rejection> {
        match self.request_content()? {
            None => {
                if let Some(late) = self.late {
                    late.content = Some(ContentTarget::Sink(sink));
                }
                Ok(None)
            }
            Some(content) => {
                let written = if content.is_empty() { Ok(Ok(())) } else { write(&mut sink, &content) };
                Ok(self.written(written, Some(sink)))
            }
        }
    }

    /// Makes the pipe to a job that reads content, or a reader of the content if that is here.
    ///
    /// # Errors
    ///
    /// The content is too long, or the system has no descriptors left: the request is rejected.
    fn open_pipe(&mut self) -> Result<(), Rejection> {
        let length = self.conn.request(&self.buffers.input).and_then(|request| request.content_length());
        let content = self.request_content()?;
        let Some(late) = self.late else { return Ok(()) };
        let reader = match content {
            Some(content) => ContentReader::from(content).with_token(late.token.clone()),
            None => {
                let waker = self.streams.waker().map_err(|error| {
                    let cause = io_cause(&error);
                    log::error!("cannot receive the content of {}: {cause}; responding 503", late.label);
                    self.conn.reject();
                    Rejection::Overloaded
                })?;
                let (sender, reader) = content_pipe(length, late.token.clone(), waker);
                late.content = Some(ContentTarget::Pipe(sender));
                reader
            }
        };
        late.reader = Some(reader);
        Ok(())
    }

    /// Requests the content for the application. Returns `None` if it is passed on as it comes. Otherwise returns all of it:
    /// nothing if the application has requested it before.
    ///
    /// # Errors
    ///
    /// The content is too long: the request is rejected.
    fn request_content(&mut self) -> Result<Option<Vec<u8>>, Rejection> {
        let is_first = self.late.as_mut().is_some_and(|late| !std::mem::replace(&mut late.has_content, true));
        if !is_first {
            return Ok(Some(Vec::new()));
        }
        if self.conn.receive_content(self.clock.now())? {
            return Ok(None);
        }
        let request = self.conn.request(&self.buffers.input);
        Ok(Some(request.map(|request| request.body().to_vec()).unwrap_or_default()))
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
}

/// The result of a write into a sink, which may panic.
type Written = Result<Result<(), Response>, Panicked>;

/// Writes into a sink.
fn write(sink: &mut CatchDrop<SinkBox>, content: &[u8]) -> Written {
    catch_panic(|| sink.get_mut().map_or(Ok(()), |sink| sink.0.write(content)))
}
