//! Corrects a response to what HTTP allows, and queues it.

use crate::{
    buffer::{segment::Segment, send_queue::SendQueue},
    codec::{
        encode::{self, ResponseHead},
        framing::BodyLength,
    },
    message::response::Response,
    types::{clock::Clock, method::Method, status::Status},
};

/// Corrects what a handler must not send in response to this method.
pub(super) fn correct(response: Response, method: Method) -> Response {
    match response.status {
        // RFC 9110 §15.5.6: every 405 must have an Allow header. An empty one means that no method is allowed.
        Status::METHOD_NOT_ALLOWED if response.header("Allow").is_none() => response.with_allow(&[]),
        // RFC 9110 §9.3.6: a success means that a tunnel is open, and this library opens none.
        status if method == Method::Connect && status.is_success() => {
            Response { on_sent: response.on_sent, ..Response::error(Status::NOT_IMPLEMENTED) }
        }
        _ => response,
    }
}

/// Queues the head and the body of a response whose body is valid.
#[inline]
pub(super) fn write(
    response: Response,
    method: Method,
    body: BodyLength,
    keep_alive: bool,
    out: &mut SendQueue,
    clock: &Clock,
) {
    let head = ResponseHead {
        status: response.status,
        shared_headers: response.shared_headers.as_ref().map_or(&[], |headers| headers.as_bytes()),
        headers: response.headers.as_bytes(),
        body,
        keep_alive,
    };
    out.write(|text| encode::response_head(text, &head, clock));
    let from = out.total_queued();
    if encode::carries_body(response.status, method) {
        response.body.queue(out, body == BodyLength::Chunked);
    }
    if let Some(on_sent) = response.on_sent {
        out.push(Segment::End { from, on_sent });
    }
}
