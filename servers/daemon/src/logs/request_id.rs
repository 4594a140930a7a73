//! An ID for each request, in the header `X-Request-Id`: taken over from the client (usually a proxy), or made.

use http_engine::{Middleware, Next, Rejected, Reply, Request, Response};
use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// The header of the request, and of the response.
pub(super) const HEADER: &str = "X-Request-Id";

/// The maximum length of an ID that is taken over, in bytes.
pub(super) const MAX_LEN: usize = 128;

/// Middleware that gives each request an ID, and sends it back in the header `X-Request-Id`. The handler finds it as
/// the extension [`RequestId`].
#[derive(Debug, Default)]
pub struct RequestIds {
    /// A random key: the IDs cannot be guessed, and differ between workers and processes.
    key: RandomState,
    /// The number of IDs made so far.
    made: AtomicU64,
}

/// The ID of a request: an extension of the [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

impl RequestIds {
    /// Returns the client's ID if it is valid, or else a new one of 128 bits, in hexadecimal.
    fn id(&self, request: Option<&Request<'_>>) -> RequestId {
        let own = request.and_then(|request| request.header_text(HEADER)).filter(|id| is_valid(id));
        RequestId(own.map_or_else(|| self.make(), str::to_owned))
    }

    fn make(&self) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let [high, low] = [0_u8, 1].map(|half| self.key.hash_one((number, half)));
        format!("{high:016x}{low:016x}")
    }
}

impl Middleware for RequestIds {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let id = self.id(Some(request));
        let reply = next.run(&request.with_extension(&id).as_request());
        reply.map(move |response| response.with_header(HEADER, id.0))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        response.with_header(HEADER, self.id(rejected.request.as_ref()).0)
    }
}

/// Whether an ID of a client can be taken over: not too long, and only characters that are plain text in a log, a URL
/// or a shell.
fn is_valid(id: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(&byte);
    (1..=MAX_LEN).contains(&id.len()) && id.bytes().all(is_safe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::{Stack, testing::TestRequest};

    /// Returns the ID that the response has. Checks that the handler has seen the same.
    fn id(stack: &Stack, sent: Option<&str>) -> String {
        let request =
            sent.into_iter().fold(TestRequest::get("/"), |request, id| request.header("x-request-ID", id));
        let response = request.run(stack);
        let id = String::from_utf8_lossy(response.header(HEADER).expect("an ID")).into_owned();
        assert_eq!(response.text(), id);
        id
    }

    #[test]
    fn takes_over_valid_ids_and_makes_others() {
        let handler = |request: &Request<'_>| {
            Response::text(request.extension::<RequestId>().expect("an ID").0.clone())
        };
        let stack = Stack::new(handler).wrap(RequestIds::default());
        for valid in ["a", "4bf92f3577b34da6", "Root=1-5e:a/b+c_d.e", &"x".repeat(128)] {
            assert_eq!(id(&stack, Some(valid)), valid);
        }
        let invalid = [None, Some("a b"), Some("a\"b"), Some("a,b"), Some("$(a)"), Some(&*"x".repeat(129))]
            .map(|sent| {
                let made = id(&stack, sent);
                assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
                made
            });
        assert!((1..invalid.len()).all(|index| !invalid[..index].contains(&invalid[index])), "{invalid:?}");
    }
}
