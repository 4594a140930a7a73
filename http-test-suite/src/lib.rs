//! A black-box conformance suite for HTTP/1.1 servers: RFC 9112, RFC 9110, and what the RFCs leave to good sense.
//!
//! A case sends chosen bytes over a connection of its own, reads what comes back with a strict reader, and compares
//! it with what a requirement demands. It reads like the row of a table:
//!
//! ```
//! use http_test_suite::{case::must, expect::{not_served, status}};
//!
//! must("9112/3.2/1", "A request without Host is refused, and nothing behind it is served")
//!     .send("GET / HTTP/1.1\r\n\r\n")
//!     .smuggled()
//!     .expect([status(400), not_served()]);
//! ```
//!
//! # The ingredients
//!
//! **Level** ([`case`]): [`must`](case::must), [`should`](case::should), [`robust`](case::robust): what the RFC demands,
//! what it recommends, what it leaves open and good sense does not.
//!
//! **Bytes** ([`request`]): text or bytes as they shall stand on the wire, or [`get`](request::get),
//! [`head`](request::head), [`request`](request::request) with [`with`](request::Request::with),
//! [`content`](request::Request::content), [`chunked`](request::Request::chunked).
//!
//! **Script** ([`case::Case`]): [`send`](case::Case::send) (calls in a row make one write),
//! [`pause`](case::Case::pause), [`send_bytewise`](case::Case::send_bytewise),
//! [`await_replies`](case::Case::await_replies), [`await_continue`](case::Case::await_continue),
//! [`half_close`](case::Case::half_close), [`smuggled`](case::Case::smuggled);
//! [`after`](case::Case::after) and [`send_from`](case::Case::send_from) for what depends on an earlier reply.
//!
//! **Expectations** ([`expect`]), all of which must hold: about the first reply, about the [`nth`](expect::nth), about
//! [all of them](expect::replies), about [what was not served](expect::not_served) and
//! [how the connection ended](expect::closes).
//!
//! Whatever a case expects, it also fails if any reply breaks the rules that [`reply`] and [`always`] keep, or if more
//! replies come than were due. So no case says that a reply has a Date or is well framed.
//!
//! # How a conversation ends
//!
//! No case waits for silence if it can ask instead. Once the due replies are in, a *farewell*, a request that asks for
//! the connection to be closed, brings out whatever the server still had to say, and shows whether the connection was
//! open. Only [`not_served`](expect::not_served) listens to the silence for a moment before; a slow server can then
//! pass where it should fail, but none can fail where it should pass.
//!
//! # Rooms
//!
//! [`cases`] → [`case`], [`request`], [`expect`] → [`exchange`] → [`reply`], [`wire`]. [`runner`] carries cases out,
//! [`report`] tells. [`byteranges`] reads the parts of a reply 206. [`fixtures`] writes the document root that cases
//! expect. Nothing here is shared with a server: the judge must not inherit the bugs of the accused.

#![forbid(unsafe_code)]

pub mod always;
pub mod byteranges;
pub mod case;
pub mod cases;
pub mod escape;
pub mod exchange;
pub mod expect;
pub mod fixtures;
#[cfg(feature = "cli")]
pub mod lab;
#[cfg(feature = "cli")]
pub mod load;
pub mod reply;
pub mod report;
pub mod request;
pub mod runner;
#[cfg(feature = "cli")]
pub mod soak;
#[cfg(feature = "cli")]
pub mod versus;
pub mod wire;

pub use report::Report;
pub use runner::{Options, Target, run, run_with};
