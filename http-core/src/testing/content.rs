//! What takes the content of a test's request as it comes: a sink, or the job that reads it.

use crate::{
    handler::{
        content_reader::{ContentReader, IncompleteContent},
        reply::{ReadJob, Reply},
        sink::Sink,
    },
    message::{rejection::Rejection, response::Response},
    types::{
        cancellation::CancellationToken,
        panic::{Panicked, catch_panic, drop_caught},
    },
};

/// Takes content piece by piece. A job gets all of it at its end, because it runs on the thread of the test.
pub(super) enum ContentTaker {
    Sink(Box<dyn Sink>),
    Job {
        job: ReadJob,
        content: Vec<u8>,
        /// The length of the whole content, if the job can know it.
        length: Option<u64>,
    },
}

impl ContentTaker {
    /// Passes on the next piece, unless it is empty. Returns the response of a sink that wants no more.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<Result<(), Response>, Panicked> {
        match self {
            _ if piece.is_empty() => Ok(Ok(())),
            ContentTaker::Sink(sink) => catch_panic(|| sink.write(piece)),
            ContentTaker::Job { content, .. } => {
                content.extend_from_slice(piece);
                Ok(Ok(()))
            }
        }
    }

    /// Ends the content, and returns the reply.
    pub(super) fn finish(self) -> Result<Reply, Panicked> {
        match self {
            ContentTaker::Sink(sink) => catch_panic(|| sink.finish()),
            ContentTaker::Job { job, content, length } => Ok(Reply::Offload(Box::new(move |token| {
                job(ContentReader::ended(content, Ok(()), length, token.clone()))
            }))),
        }
    }

    /// Drops a sink, whose request is rejected for this reason. A job reads what has arrived, and then an error; its
    /// response is dropped.
    pub(super) fn fail(self, reason: Rejection) {
        match self {
            ContentTaker::Sink(sink) => drop_caught(sink),
            ContentTaker::Job { job, content, length } => {
                let reason = match reason {
                    Rejection::Malformed(error) => IncompleteContent::Invalid(error),
                    Rejection::RequestTimeout => IncompleteContent::ClientTimeout,
                    _ => IncompleteContent::Aborted,
                };
                let reader = ContentReader::ended(content, Err(reason), length, CancellationToken::default());
                drop_caught(catch_panic(|| job(reader)));
            }
        }
    }
}
