//! Tests of handlers without a socket and an engine: a request goes in, the response that a client would receive comes
//! out.
//!
//! [`TestRequest`] is for tests of handlers, middleware and routers. [`ReceivedRequest`] is for code that only takes a
//! [`Request`](crate::Request).

mod content;
mod exchange;
mod received;
mod request;
mod response;
mod upgraded;

pub use received::{ReceiveError, ReceivedRequest};
pub use request::TestRequest;
pub use response::TestResponse;
