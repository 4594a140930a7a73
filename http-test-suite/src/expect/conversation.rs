//! Expectations about the conversation: how many replies came, what was served, how the connection ended.

use crate::exchange::{Ending, Exchange};
use crate::wire::End;

use super::{Expect, whole};

/// Exactly these replies come, by status, in this order.
pub fn replies<const N: usize>(statuses: [u16; N]) -> Expect {
    whole(format!("replies {statuses:?}"), N, None, move |exchange| {
        let came: Vec<_> = exchange.replies.iter().map(|reply| reply.status).collect();
        if came == statuses { Ok(()) } else { Err(format!("{came:?}")) }
    })
}

/// `expect`, but about reply number `index`; the first reply is 0.
pub fn nth(index: usize, expect: Expect) -> Expect {
    let Expect { says, due, judge, .. } = expect;
    let judge = Box::new(move |exchange: &Exchange, first| judge(exchange, first + index));
    Expect { says: format!("in reply {}, {says}", index + 1), due: due + index, judge, ..expect }
}

/// The server sends no reply, and closes the connection.
pub fn silence() -> Expect {
    let expect = whole("no reply, and the connection closed", 0, Some(Ending::Close), |exchange| {
        match (exchange.replies.first(), exchange.end) {
            (Some(reply), _) => Err(reply.describe()),
            (None, End::Open) => Err("no reply, but the connection stays open".into()),
            (None, _) => Ok(()),
        }
    });
    Expect { allows_silence: true, ..expect }
}

/// No further reply comes: the server does not take bytes behind the expected requests, or inside their content, for a
/// request.
pub fn not_served() -> Expect {
    // `always` finds the surplus reply in every case; this expectation makes the conversation wait for it.
    whole("nothing behind it served", 1, Some(Ending::Quiet), |exchange| {
        if exchange.replies.len() > exchange.due { Err("one more reply".into()) } else { Ok(()) }
    })
}

/// The reply that the script waited for came before the timeout, without further bytes from the client.
pub fn in_time() -> Expect {
    whole("a reply before more was sent", 1, None, |exchange| {
        if exchange.in_vain { Err("only after that, if at all".into()) } else { Ok(()) }
    })
}

/// At least one of the two holds.
pub fn either(one: Expect, other: Expect) -> Expect {
    Expect {
        says: format!("{}, or {}", one.says, other.says),
        due: one.due.max(other.due),
        ending: one.ending.filter(|_| one.ending == other.ending),
        wants_get: one.wants_get || other.wants_get,
        allows_silence: one.allows_silence || other.allows_silence,
        judge: Box::new(move |exchange, index| {
            (one.judge)(exchange, index).or_else(|_| (other.judge)(exchange, index))
        }),
    }
}

/// The server closes the connection after the due replies.
pub fn closes() -> Expect {
    whole("the connection closed", 1, Some(Ending::Close), |exchange| match exchange.end {
        _ if exchange.farewell.is_some() => Err("open".into()),
        End::Open => Err("open".into()),
        End::Closed | End::Reset => Ok(()),
    })
}

/// The connection does not end by a reset, which can cost a client the reply (RFC 9112 §9.6). Use it together with
/// [`closes`]: otherwise the suite sends a farewell, and a server that is just closing may answer that with a reset.
pub fn no_reset() -> Expect {
    whole("no reset of the connection", 1, None, |exchange| match exchange.end {
        End::Reset => Err("reset".into()),
        End::Open | End::Closed => Ok(()),
    })
}

/// The connection is open after the due replies, and one more request on it is served.
pub fn stays_open() -> Expect {
    whole("the connection open for one more request", 1, Some(Ending::Farewell), |exchange| {
        match (&exchange.farewell, exchange.end) {
            (Some(_), _) => Ok(()),
            (None, End::Open) => Err("open, but one more request is not answered".into()),
            (None, _) => Err("closed".into()),
        }
    })
}
