//! Reads bytes with a server connection of hyper over memory.

use crate::reading::{End, Reading, Request};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Response,
    body::{Bytes, Incoming},
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};
use std::{
    cell::RefCell,
    convert::Infallible,
    error::Error,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// The most polls of a connection.
const POLLS: usize = 1000;

/// A socket that has received all bytes, and sends everywhere at once.
struct Memory {
    received: Rc<RefCell<Vec<u8>>>,
}

/// Reads the bytes of one connection, after which the client ends its side.
pub fn read(bytes: &[u8]) -> Reading {
    let received = Rc::new(RefCell::new(bytes.to_vec()));
    let requests = RefCell::new(Vec::new());
    let broken = RefCell::new(None);
    let respond = async |request: hyper::Request<Incoming>| {
        let (head, body) = request.into_parts();
        match body.collect().await {
            Ok(body) => requests.borrow_mut().push(Request {
                method: head.method.to_string(),
                target: head.uri.to_string(),
                body: body.to_bytes().to_vec(),
            }),
            Err(error) => *broken.borrow_mut() = Some(error),
        }
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    };
    let memory = Memory { received: Rc::clone(&received) };
    let connection = http1::Builder::new().half_close(true).serve_connection(memory, service_fn(respond));
    let mut connection = pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    // The connection never waits for its memory, but it returns now and then for the sake of other tasks.
    let result = (0..POLLS).find_map(|_| match connection.as_mut().poll(&mut context) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    });
    let end = match (broken.take(), result) {
        (Some(error), _) | (None, Some(Err(error))) if is_incomplete(&error) => End::Unfinished,
        (Some(error), _) | (None, Some(Err(error))) => End::Rejected(describe(&error)),
        (None, Some(Ok(()))) => End::Closed(received.borrow().len()),
        (None, None) => End::Unfinished,
    };
    Reading { requests: requests.take(), end }
}

/// Whether the bytes end within a request.
fn is_incomplete(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message() || source.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// The text of an error and of its cause.
fn describe(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl Read for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut received = self.received.borrow_mut();
        let len = received.len().min(room.remaining());
        room.put_slice(&received[..len]);
        received.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
