//! Reads bytes with http-core, as its engines do.

use crate::reading::{End, Reading, Request};
use http_core::{
    Buffers, Clock, CloseReason, Connection, RecvBuf, Rejection, Response, SendQueue, Step, Transmit,
};
use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

/// Reads the bytes of one connection, after which the client ends its side.
pub fn read(bytes: &[u8]) -> Reading {
    let clock = Clock::new("differential", Instant::now(), SystemTime::UNIX_EPOCH);
    let mut connection = Connection::new(Arc::default(), clock.now());
    let Buffers { mut input, mut out } = Buffers::default();
    let mut rest = bytes;
    let mut requests = Vec::new();
    let mut rejected = None;
    let end = loop {
        match connection.poll(&mut input, &mut out, clock.now()) {
            Step::Receive if rest.is_empty() => connection.receive_eof(),
            Step::Receive => receive(&mut rest, &mut input),
            Step::Request => {
                requests.extend(connection.request(&input).as_ref().map(request_of));
                respond(&mut connection, Response::text(""), &mut out, &clock);
            }
            Step::Reject(reason) => {
                let response = connection.rejected(reason, &input).response();
                let is_redirect = reason == Rejection::TargetNotEncoded;
                match connection.request(&input).filter(|request| is_redirect && !has_content(request)) {
                    // The connection stays open after a redirect of a request without content.
                    Some(request) => requests.push(request_of(&request)),
                    None => rejected = Some(reason.to_string()),
                }
                respond(&mut connection, response, &mut out, &clock);
            }
            Step::Flush => send(&mut out),
            Step::ShutdownWrite => break End::Closed(input.unread().len() + rest.len()),
            Step::Close(CloseReason::Truncated) => break End::Unfinished,
            Step::Close(CloseReason::ClientClosed) => break End::Idle,
            Step::Close(_) => break End::Closed(input.unread().len() + rest.len()),
            Step::Head => {}
            step => unreachable!("{step:?} without content in pieces, an upgrade or a proxy"),
        }
    };
    Reading { requests, end: rejected.map_or(end, End::Rejected) }
}

/// The parts of a request that are compared.
fn request_of(request: &http_core::Request<'_>) -> Request {
    let [method, target] = [request.method_token(), request.target()].map(str::to_owned);
    Request { method, target, body: request.body().to_vec() }
}

/// Whether the head of a request announces content.
fn has_content(request: &http_core::Request<'_>) -> bool {
    ["Content-Length", "Transfer-Encoding"].iter().any(|name| request.header(name).is_some())
}

/// Moves bytes from `rest` to the receive buffer, as many as it has room for.
fn receive(rest: &mut &[u8], input: &mut RecvBuf) {
    let spare = input.spare();
    let (now, later) = rest.split_at(rest.len().min(spare.len()));
    spare[..now.len()].copy_from_slice(now);
    input.filled(now.len());
    *rest = later;
}

/// Queues a response that the connection always accepts.
fn respond(connection: &mut Connection, response: Response, out: &mut SendQueue, clock: &Clock) {
    assert_eq!(connection.respond(response, out, clock), Ok(()));
}

/// Drops the bytes of the responses.
fn send(out: &mut SendQueue) {
    while let Transmit::Bytes { slices, .. } = out.transmit() {
        let len = slices.iter().map(|slice| slice.len()).sum();
        out.sent(len);
    }
}
