//! Expectations of cases. Every function here makes one [`Expectation`]; a case passes if all its expectations hold.
//!
//! Unless it says otherwise, an expectation is about the first final response; [`nth`] moves it to a later response.

mod expectation;
mod one_response;
mod whole_exchange;

pub use expectation::{Expectation, check_response, of_exchange, response_that};
pub use one_response::*;
pub use whole_exchange::*;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectionEnd;
    use crate::exchange::Exchange;
    use crate::reader::RequestKind;
    use crate::response::Response;

    const NO: &str = "HTTP/1.1 405 No\r\nAllow: GET, HEAD\r\nContent-Length: 2\r\n\r\nno";
    const OK: &str = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 0\r\n\r\n";

    fn parse(text: &str) -> Response {
        Response::read(text.as_bytes(), RequestKind::GET, true).unwrap().unwrap()
    }

    fn exchange(responses: &[&str]) -> Exchange {
        let responses = responses.iter().map(|text| parse(text)).collect();
        Exchange { responses, expected_responses: 1, ..Exchange::default() }
    }

    /// Checks each expectation; the text is the error, and `None` stands for success.
    fn check<const N: usize>(exchange: &Exchange, expected: [(Expectation, Option<&str>); N]) {
        for (expectation, error) in expected {
            assert_eq!(expectation.check(exchange).err().as_deref(), error, "expected {expectation:?}");
        }
    }

    #[test]
    fn checks_one_response() {
        check(
            &exchange(&[NO]),
            [
                (status(405), None),
                (any_of([400, 501]), Some("status 405 No")),
                (client_error(), None),
                (header("allow", "GET, HEAD"), None),
                (header("Allow", listing("head")), None),
                (header("Allow", listing("PUT")), Some("Allow: GET, HEAD")),
                (header("ETag", any_value()), Some("status 405 No without ETag")),
                (no_header("Allow"), Some("Allow: GET, HEAD")),
                (body("no"), None),
                (body(""), Some("status 405 No with the body \"no\"")),
                (interim(100), Some("status 405 No without it")),
            ],
        );
        check(&exchange(&[]), [(status(200), Some("no response within the timeout"))]);
    }

    #[test]
    fn checks_several_responses() {
        check(
            &exchange(&[OK, NO]),
            [
                (responses([200, 405]), None),
                (responses([200]), Some("[200, 405]")),
                (nth(1, status(405)), None),
                (nth(2, status(200)), Some("only 2 of 3 responses within the timeout")),
                (not_served(), Some("one more response")),
                (either(status(405), responses([200, 405])), None),
                (either(status(405), no_response()), Some("status 200 OK")),
            ],
        );
    }

    #[test]
    fn checks_the_connection() {
        let ended = |end| Exchange { end, ..exchange(&[OK]) };
        check(&ended(ConnectionEnd::Open), [(closes(), Some("open")), (in_time(), None)]);
        check(&ended(ConnectionEnd::Closed), [(stays_open(), Some("closed"))]);
        check(&ended(ConnectionEnd::Reset), [(closes(), None), (no_reset(), Some("reset"))]);
        let late = Exchange { timed_out: true, ..exchange(&[OK]) };
        check(&late, [(in_time(), Some("only after that, if at all"))]);
        let open = Exchange { closing_response: Some(parse(OK)), ..ended(ConnectionEnd::Closed) };
        check(&open, [(stays_open(), None), (closes(), Some("open"))]);
    }

    #[test]
    fn compares_with_the_prior_response() {
        let other_tag = OK.replace("\"a\"", "\"b\"");
        for (now, expectation, error) in [
            (OK, same_as_get(), None),
            (NO, same_as_get(), Some("status 405 No, by GET status 200 OK")),
            (&other_tag, same_as_get(), Some("ETag: \"b\", by GET \"a\"")),
            (&OK.replace("ETag", "X"), same_as_get(), Some("no ETag, by GET \"a\"")),
            (&OK.replace("Content-Length: 0\r\n", ""), same_as_get(), None),
            (&other_tag, same_header("ETag"), Some("ETag: \"b\", before \"a\"")),
        ] {
            check(&Exchange { prior: Some(parse(OK)), ..exchange(&[now]) }, [(expectation, error)]);
        }
    }
}
