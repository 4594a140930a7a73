//! Passes the content of a request to the application as it comes: pushes it to a sink, or sends it through a pipe to a
//! job.
//!
//! It never waits. While a pipe is full, the connection receives nothing.

use crate::{
    drive::{Action, Driver},
    late::{ContentTarget, LateReply, Outcome},
};
use http_core::{
    CatchDrop, ContentReader, Rejection, Reply, Sink, catch_panic, content_pipe, drop_caught, io_cause,
};

impl Driver<'_> {
    /// Begins a reply to the request that [`Step::Request`](http_core::Step::Request) has announced. Returns what the
    /// engine must do; `None` if the driver can go on.
    #[cold]
    pub(crate) fn begin_reply(&mut self, reply: Reply) -> Option<Action> {
        let received_at = self.received_at().unwrap_or(self.clock.now());
        *self.late = Some(Box::new(LateReply::new(self.label(), received_at)));
        self.continue_reply(reply)
    }

    /// Begins a reply that the handler has returned, or a sink at the end of its content. Returns what the engine must
    /// do; `None` if the driver can go on.
    fn continue_reply(&mut self, reply: Reply) -> Option<Action> {
        let begun = match reply {
            Reply::Now(response) => {
                self.complete(Ok(response));
                return None;
            }
            Reply::Receive(sink) => self.begin_sink(CatchDrop::new(sink)),
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
            self.fail(reason);
            None
        })
    }

    /// Begins to push content to a sink. If all content has arrived, pushes it at once, and continues with the sink's
    /// reply.
    ///
    /// # Errors
    ///
    /// The content is too long.
    fn begin_sink(&mut self, mut sink: SinkBox) -> Result<Option<Action>, Rejection> {
        match self.request_content()? {
            None => {
                if let Some(late) = self.late {
                    late.content = Some(ContentTarget::Sink(sink));
                }
                Ok(None)
            }
            Some(content) => match write(&mut sink, &content) {
                Ok(()) => Ok(self.finish_sink(sink)),
                Err(outcome) => {
                    self.complete(outcome);
                    Ok(None)
                }
            },
        }
    }

    /// Makes the reader of the content for a job: one end of a pipe, or the whole content if all of it has arrived.
    ///
    /// # Errors
    ///
    /// The content is too long, or the system has no descriptors left.
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

    /// Requests the content for the application. Returns `None` if it arrives later:
    /// [`pass_content`](Driver::pass_content) passes it on. Otherwise returns all of it, or nothing if the application
    /// has requested it before.
    ///
    /// # Errors
    ///
    /// The content is too long.
    fn request_content(&mut self) -> Result<Option<Vec<u8>>, Rejection> {
        let is_first =
            self.late.as_mut().is_some_and(|late| !std::mem::replace(&mut late.content_requested, true));
        if !is_first {
            return Ok(Some(Vec::new()));
        }
        if self.conn.receive_content(self.clock.now())? {
            return Ok(None);
        }
        let request = self.conn.request(&self.buffers.input);
        Ok(Some(request.map(|request| request.body().to_vec()).unwrap_or_default()))
    }

    /// Passes on the content that has arrived ([`Step::Content`](http_core::Step::Content)). Returns what the engine
    /// must do; `None` if the driver can go on.
    #[cold]
    pub(crate) fn pass_content(&mut self) -> Option<Action> {
        let content = self.conn.content(&self.buffers.input);
        let (count, written) = match self.late.as_mut().and_then(|late| late.content.as_mut()) {
            Some(ContentTarget::Sink(sink)) => (content.len(), write(sink, content)),
            Some(ContentTarget::Pipe(sender)) => (sender.send(content), Ok(())),
            None => (0, Ok(())),
        };
        self.conn.take_content(&mut self.buffers.input, count);
        match written {
            // The pipe is full, or its reader was dropped.
            Ok(()) if count == 0 => Some(Action::AwaitReply),
            Ok(()) => None,
            Err(outcome) => {
                self.complete(outcome);
                None
            }
        }
    }

    /// Puts content that has arrived into the pipe to a job, and returns whether there was room. The pipe wakes the
    /// engine only when it is half empty: a job that reads slowly has made room before that.
    #[cold]
    pub(crate) fn refill_pipe(&mut self) -> bool {
        !self.conn.content(&self.buffers.input).is_empty() && self.pass_content().is_none()
    }

    /// Passes on the end of the content ([`Step::ContentEnd`](http_core::Step::ContentEnd)). Returns what the engine
    /// must do; `None` if the driver can go on.
    #[cold]
    pub(crate) fn end_content(&mut self) -> Option<Action> {
        match self.late.as_mut()?.content.take()? {
            ContentTarget::Sink(sink) => self.finish_sink(sink),
            ContentTarget::Pipe(sender) => {
                sender.finish();
                None
            }
        }
    }

    /// Continues with the reply of a sink that has got all content.
    fn finish_sink(&mut self, sink: SinkBox) -> Option<Action> {
        let sink = sink.into_inner()?;
        match catch_panic(|| sink.finish()) {
            Ok(reply) => self.continue_reply(reply),
            Err(panicked) => {
                self.complete(Err(panicked.into()));
                None
            }
        }
    }
}

/// The sink of an application.
type SinkBox = CatchDrop<Box<dyn Sink>>;

/// Writes content into a sink, unless it is empty.
///
/// # Errors
///
/// The outcome of the reply, if the sink wants no more content, or panics.
fn write(sink: &mut SinkBox, content: &[u8]) -> Result<(), Outcome> {
    let Some(sink) = sink.get_mut().filter(|_| !content.is_empty()) else { return Ok(()) };
    match catch_panic(|| sink.write(content)) {
        Ok(written) => written.map_err(Ok),
        Err(panicked) => Err(Err(panicked.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Counters;
    use http_core::{Admit, Buffers, Clock, Connection, Handler, Request, Response};
    use std::{
        io::Read,
        sync::Arc,
        time::{Instant, SystemTime},
    };

    struct Upload;

    impl Handler for Upload {
        fn admit(&self, _: &Request<'_>) -> Admit {
            Admit::AtHead
        }

        fn handle(&self, _: &Request<'_>) -> Reply {
            Reply::read(|_| Response::text("done"))
        }
    }

    /// At the deadline, the job has read too little to wake the engine.
    #[test]
    fn a_job_that_reads_slowly_has_more_time() {
        let mut clock = Clock::new("test", Instant::now(), SystemTime::now());
        let mut conn = Connection::new(Arc::default(), clock.now());
        let (mut buffers, mut late) = (Buffers::default(), None);
        buffers.input.extend(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        buffers.input.extend(&[b'x'; 100_000]);
        let mut reader: Option<ContentReader> = None;
        for (bytes_read, expires) in [(0, false), (1, false), (1, false), (0, true)] {
            let mut read = vec![0; bytes_read];
            reader.iter_mut().for_each(|reader| reader.read_exact(&mut read).expect("content"));
            let mut driver = Driver {
                conn: &mut conn,
                buffers: &mut buffers,
                handler: &Upload,
                clock: &clock,
                streams: &(),
                late: &mut late,
                counters: &Counters::default(),
            };
            assert_eq!(driver.expire().is_some(), expires, "the job has read {bytes_read} bytes");
            let mut action = driver.drive(&mut u32::MAX.clone());
            if let Action::StartReply(_) = action {
                reader = driver.late.as_mut().and_then(|late| late.reader.take());
                action = driver.drive(&mut u32::MAX.clone());
            }
            assert_eq!(matches!(action, Action::AwaitReply), !expires, "{action:?}");
            clock.update(conn.deadline(), SystemTime::now);
        }
    }
}
