//! An answer's last corrections, and its way into the queue.

use crate::{
    buffer::{segment::Piece, send_queue::SendQueue},
    codec::encode::{self, Delimiter},
    message::response::Response,
    types::{clock::Clock, method::Method, status::Status},
};

/// Turns what an application must not say to this request into what it may.
pub(super) fn corrected(response: Response, method: Method) -> Response {
    match response.status {
        // RFC 9110 §15.5.6 wants the field on every 405; an empty one says that nothing is allowed.
        Status::METHOD_NOT_ALLOWED if response.field("Allow").is_none() => response.allow(&[]),
        // RFC 9110 §9.3.6: success would mean that a tunnel is open, and there are none here.
        status if method == Method::Connect && status.is_success() => {
            Response { when_sent: response.when_sent, ..Response::error(Status::NOT_IMPLEMENTED) }
        }
        _ => response,
    }
}

/// Queues an answer, head and content.
#[inline]
pub(super) fn write(
    response: Response,
    method: Method,
    delimiter: Delimiter,
    keep_alive: bool,
    out: &mut SendQueue,
    clock: &Clock,
) {
    let head = encode::Head {
        status: response.status,
        ready: response.ready.as_ref().map_or(&[], |ready| ready.as_bytes()),
        fields: response.fields.as_bytes(),
    };
    encode::head(out, head, delimiter, keep_alive, clock);
    let from = out.total_queued();
    if encode::carries_content(response.status, method) {
        response.body.queue(out, delimiter == Delimiter::Chunked);
    }
    if let Some(then) = response.when_sent {
        out.push(Piece::End { from, then });
    }
}
