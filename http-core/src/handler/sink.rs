//! Content that is pushed to the application as it comes: the sink of a [`Reply::Receive`], and the sinks that
//! [`Reply::map`] and [`Reply::recover`] wrap around it.

use super::reply::Reply;
use crate::{
    message::{rejection::Rejection, response::Response},
    types::panic::catch_panic,
};

/// Takes the content of a request piece by piece: what a [`Reply::Receive`] contains.
///
/// The engine calls [`write`](Sink::write) for each piece in the order received, and then [`finish`](Sink::finish). If
/// the content remains incomplete, the engine drops the sink without calling `finish`: when the client leaves, sends
/// too slowly or sends malformed or too long content, and when the grace period of a shutdown is over.
///
/// Neither method must block, because an event loop calls them on its own thread. Content for a disk or a parser that
/// may block is for [`Reply::Read`].
///
/// ```
/// use http_core::{Admit, Handler, Reply, Request, Response, Sink};
///
/// /// Responds with the number of lines in the content, however long that is.
/// struct CountLines;
///
/// impl Handler for CountLines {
///     fn admit(&self, _: &Request<'_>) -> Admit {
///         Admit::AtHead
///     }
///
///     fn handle(&self, _: &Request<'_>) -> Reply {
///         Reply::receive(Lines(0))
///     }
/// }
///
/// struct Lines(usize);
///
/// impl Sink for Lines {
///     fn write(&mut self, data: &[u8]) -> Result<(), Response> {
///         self.0 += data.iter().filter(|byte| **byte == b'\n').count();
///         Ok(())
///     }
///
///     fn finish(self: Box<Self>) -> Reply {
///         Response::text(self.0.to_string()).into()
///     }
/// }
/// ```
pub trait Sink: Send {
    /// Takes the next piece of the content, which is not empty and has at most the size of the receive buffer, unless
    /// the content was buffered ([`Admit::Buffer`](crate::Admit::Buffer)).
    ///
    /// # Errors
    ///
    /// The response, if the sink wants no more. The engine sends it, and drops the sink and the rest of the content, as
    /// [`Admit::AtHead`](crate::Admit::AtHead) says.
    fn write(&mut self, data: &[u8]) -> Result<(), Response>;

    /// Replies to the request, whose content has ended.
    fn finish(self: Box<Self>) -> Reply;
}

/// A sink whose response `change` changes.
pub(super) struct MappedSink<F> {
    pub(super) sink: Box<dyn Sink>,
    /// `None` after the call.
    pub(super) change: Option<F>,
}

impl<F: FnOnce(Response) -> Response + Send + 'static> Sink for MappedSink<F> {
    fn write(&mut self, data: &[u8]) -> Result<(), Response> {
        self.sink.write(data).map_err(|response| match self.change.take() {
            Some(change) => change(response),
            None => response,
        })
    }

    fn finish(self: Box<Self>) -> Reply {
        let reply = self.sink.finish();
        match self.change {
            Some(change) => reply.map(change),
            None => reply,
        }
    }
}

/// A sink whose panic becomes a response of `fallback`.
pub(super) struct RecoveringSink<F> {
    pub(super) sink: Box<dyn Sink>,
    /// `None` after the call.
    pub(super) fallback: Option<F>,
}

impl<F: FnOnce(Rejection) -> Response + Send + 'static> Sink for RecoveringSink<F> {
    fn write(&mut self, data: &[u8]) -> Result<(), Response> {
        catch_panic(|| self.sink.write(data)).unwrap_or_else(|panicked| {
            let reason = Rejection::from(panicked);
            Err(self.fallback.take().map_or_else(|| reason.response(), |fallback| fallback(reason)))
        })
    }

    fn finish(self: Box<Self>) -> Reply {
        let RecoveringSink { sink, fallback } = *self;
        match (catch_panic(|| sink.finish()), fallback) {
            (Ok(reply), Some(fallback)) => reply.recover(fallback),
            (Ok(reply), None) => reply,
            (Err(panicked), Some(fallback)) => fallback(panicked.into()).into(),
            (Err(panicked), None) => Rejection::from(panicked).response().into(),
        }
    }
}
