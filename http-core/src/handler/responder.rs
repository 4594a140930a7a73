//! The way to respond later: a responder takes the response of a deferred reply, once and from any thread.

use crate::{
    message::{rejection::Rejection, response::Response},
    types::{cancellation::CancellationToken, panic::catch_panic},
};

/// Passes a response to the engine, or the reason why there is none.
type Deliver = Box<dyn FnOnce(Result<Response, Rejection>) + Send>;

/// Takes the response of a [`Reply::Deferred`](crate::Reply::Deferred), once and from any thread. If the responder is
/// dropped without a response, the engine responds with 500.
///
/// ```
/// use http_core::{Reply, Request, Responder, Response, testing::TestRequest};
/// use std::{sync::mpsc, thread};
///
/// // One thread responds to all requests.
/// let (sender, receiver) = mpsc::channel::<Responder>();
/// thread::spawn(move || {
///     for (number, responder) in receiver.into_iter().enumerate() {
///         responder.respond(Response::text(format!("response number {number}")));
///     }
/// });
/// let handler = move |_: &Request<'_>| {
///     let sender = sender.clone();
///     // If that thread has ended, this drops the responder, and the client gets 500.
///     Reply::deferred(move |responder| _ = sender.send(responder))
/// };
/// assert_eq!(TestRequest::get("/").run(&handler).text(), "response number 0");
/// ```
pub struct Responder {
    /// The function to call with the response; `None` after the call.
    deliver: Option<Deliver>,
    token: CancellationToken,
}

impl Responder {
    /// Creates a responder, for engines. It calls `deliver` once: with the response, or with
    /// [`Rejection::HandlerPanicked`] if it is dropped without a response. The engine cancels a clone of `token` when
    /// it no longer wants the response.
    pub fn new(
        token: CancellationToken,
        deliver: impl FnOnce(Result<Response, Rejection>) + Send + 'static,
    ) -> Responder {
        Responder { deliver: Some(Box::new(deliver)), token }
    }

    /// Returns whether the response is no longer wanted: the client has left, the reply has timed out, or the grace
    /// period of a shutdown is over. The application may then drop the responder. [`CancellationToken`] has the
    /// details.
    pub fn is_closed(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Calls `f` once when the response is no longer wanted; at once if that is so already. Drops `f` without a call
    /// when the engine takes the response.
    ///
    /// The engine calls `f` on a thread that serves connections: it must not block. A panic of `f` is caught.
    ///
    /// ```
    /// use http_core::{Reply, Responder, Response};
    /// use std::{collections::BTreeMap, sync::{Arc, Mutex}};
    ///
    /// /// The clients that wait for news, by number.
    /// type Waiting = Arc<Mutex<BTreeMap<u64, Responder>>>;
    ///
    /// fn wait_for_news(waiting: &Waiting, number: u64) -> Reply {
    ///     let waiting = Arc::clone(waiting);
    ///     Reply::deferred(move |responder| {
    ///         let list = Arc::clone(&waiting);
    ///         responder.on_closed(move || drop(list.lock().unwrap().remove(&number)));
    ///         waiting.lock().unwrap().insert(number, responder);
    ///     })
    /// }
    /// ```
    pub fn on_closed(&self, f: impl FnOnce() + Send + 'static) {
        self.token.on_cancelled(f);
    }

    /// Passes the response to the engine. The engine drops the response if the connection has ended or the reply has
    /// timed out.
    pub fn respond(mut self, response: Response) {
        if let Some(deliver) = self.deliver.take() {
            deliver(Ok(response));
        }
    }

    /// Returns a responder that applies `change` to its response, and passes the result to `self`. If the returned
    /// responder is dropped without a response, `self` is dropped too, and `change` is not called.
    pub(super) fn map(self, change: impl FnOnce(Response) -> Response + Send + 'static) -> Responder {
        Responder::new(self.token.clone(), move |result| match result {
            Ok(response) => self.respond(change(response)),
            // Dropping `self` delivers the rejection.
            Err(_) => drop(self),
        })
    }

    /// Returns a responder that passes its response to `self`. If the returned responder is dropped without a response,
    /// it passes the response of `fallback`.
    pub(super) fn recover(self, fallback: impl FnOnce(Rejection) -> Response + Send + 'static) -> Responder {
        Responder::new(self.token.clone(), move |result| self.respond(result.unwrap_or_else(fallback)))
    }
}

/// Delivers [`Rejection::HandlerPanicked`] if no response was delivered.
impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(deliver) = self.deliver.take() {
            // `deliver` may contain code of middleware. A panic in a destructor aborts the process if another one
            // unwinds.
            let _ = catch_panic(|| deliver(Err(Rejection::HandlerPanicked)));
        }
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responder")
    }
}
