//! A black-box conformance suite for HTTP/1.1 servers: RFC 9112, RFC 9110, and robustness beyond the RFCs.
//!
//! A case sends chosen bytes over a connection of its own, reads the responses with a strict reader, and compares them
//! with a requirement. It is written like a row of a table:
//!
//! ```
//! use http_test_suite::{case::must, expect::{not_served, status}};
//!
//! must("9112/3.2/1", "A request without Host is rejected, and nothing behind it is served")
//!     .send("GET / HTTP/1.1\r\n\r\n")
//!     .smuggled()
//!     .expect([status(400), not_served()]);
//! ```
//!
//! # The parts of a case
//!
//! **Level** ([`case`]): [`must`](case::must) for what the RFC requires, [`should`](case::should) for what it
//! recommends, [`robust`](case::robust) for what it leaves open but this suite requires.
//!
//! **Bytes** ([`request`]): text or bytes exactly as they are sent, or [`get`](request::get),
//! [`head`](request::head), [`request`](request::request) with [`with`](request::Request::with),
//! [`content`](request::Request::content), [`chunked`](request::Request::chunked).
//!
//! **Script** ([`case::Case`]): [`send`](case::Case::send) (consecutive calls make one write),
//! [`pause`](case::Case::pause), [`send_bytewise`](case::Case::send_bytewise),
//! [`await_responses`](case::Case::await_responses), [`await_continue`](case::Case::await_continue),
//! [`half_close`](case::Case::half_close), [`smuggled`](case::Case::smuggled);
//! [`after`](case::Case::after) and [`send_from`](case::Case::send_from) for what depends on an earlier response.
//!
//! **Expectations** ([`expect`]), all of which must hold: about the first response, about the [`nth`](expect::nth), about
//! [all of them](expect::responses), about [what was not served](expect::not_served) and
//! [how the connection ended](expect::closes).
//!
//! Every case also fails if any response breaks the rules in [`response`] and [`rules`], or if more responses come than were
//! due. So no case repeats that a response has a Date or is well framed.
//!
//! # How a conversation ends
//!
//! Waiting for a timeout is avoided where a request can give the answer. After the due responses have arrived, the suite
//! sends a *closing request*: a request with `Connection: close`. Its response shows that the connection was open, and any stray
//! bytes arrive before it. Only [`not_served`](expect::not_served) first waits a moment for further bytes; a slow
//! server can then pass where it should fail, but no server can fail where it should pass.
//!
//! # Modules
//!
//! [`cases`] → [`case`], [`request`], [`expect`] → [`exchange`] → [`response`], [`connection`]. [`runner`] runs cases,
//! [`report`] shows the outcomes. [`byteranges`] reads the parts of a response 206, [`location`] resolves the target of a
//! redirect. [`fixtures`] writes the document root that cases expect. The suite shares no code with any server, so that
//! it cannot share a bug.

#![forbid(unsafe_code)]

pub mod byteranges;
pub mod case;
pub mod cases;
pub mod connection;
pub mod duration;
pub mod exact_form;
pub mod exchange;
pub mod expect;
pub mod fixtures;
pub mod location;
pub mod reader;
pub mod report;
pub mod request;
pub mod response;
pub mod rules;
pub mod runner;

pub use report::Report;
pub use runner::{Options, Target, run, run_with};
