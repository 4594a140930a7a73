//! What to ask, how often, over how many connections, and what a right answer is. Data; nothing here acts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A load, for [`run`](super::run).
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// What is asked, in turn. At least one.
    pub asks: Vec<Ask>,
    /// Connections at the same time: clients. At least one.
    pub connections: usize,
    /// Whether a connection is used again. If not, each request has one of its own, and should say
    /// `Connection: close`: like `ab`, the driver then waits for the server to close, so that it is the server's
    /// port that stays in TIME-WAIT.
    pub keep_alive: bool,
    /// Requests that a connection sends together, before the first of them is answered (RFC 9112 §9.3.2); the next ones
    /// follow when all are. At least one; more only if connections are kept alive. A connection that ends early fails
    /// all that were on it.
    pub pipeline: usize,
    /// When it is over. What has begun by then is waited for, no longer than the timeout.
    pub until: Until,
    /// Requests per second, at even intervals, whether or not the server keeps up (an *open* loop): a request's
    /// latency then counts from the time at which it was to start, and it waits for a free connection if it must.
    /// `None`: each connection asks again as soon as it is answered (a *closed* loop).
    pub rate: Option<f64>,
    /// Threads among which the connections are shared out. At least one.
    pub threads: usize,
    /// How long a request may take, from the start of its latency. Looked at some twenty times a timeout.
    pub timeout: Duration,
    /// A header field whose values are counted in [`Tally::by_field`](super::Tally::by_field), in any case.
    pub count_field: Option<&'static str>,
}

/// When a load is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// After so many requests, answered or failed.
    Requests(u64),
    /// After this time.
    Time(Duration),
}

/// One request, and the answer to expect.
#[derive(Clone, Debug)]
pub struct Ask {
    /// As they go over the wire.
    pub bytes: Vec<u8>,
    /// Whether the method is HEAD, so that the answer has no content (RFC 9112 §6.3).
    pub head: bool,
    /// What makes the answer right.
    pub expect: Expect,
}

/// What makes an answer right. The default: that it is well-formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The status code.
    pub status: Option<u16>,
    /// The content, without any transfer coding.
    pub body: Option<Arc<[u8]>>,
    /// The length of the content in bytes, where that is all that is known of it.
    pub length: Option<usize>,
}

impl Ask {
    /// A request as text, as bytes, or as a [`Request`](crate::request::Request), with nothing expected.
    pub fn new(request: impl Into<Vec<u8>>) -> Ask {
        let bytes = request.into();
        Ask { head: bytes.starts_with(b"HEAD "), bytes, expect: Expect::default() }
    }

    /// Expects this status code.
    pub fn expect_status(mut self, status: u16) -> Ask {
        self.expect.status = Some(status);
        self
    }

    /// Expects content of this length, in bytes.
    pub fn expect_length(mut self, length: usize) -> Ask {
        self.expect.length = Some(length);
        self
    }

    /// Expects this content.
    pub fn expect_body(mut self, body: impl Into<Arc<[u8]>>) -> Ask {
        self.expect.body = Some(body.into());
        self
    }
}

impl Load {
    /// `ask` over and over: fifty keep-alive connections, closed loop, one thread, for ten seconds, with two seconds
    /// for each answer. Change what shall be otherwise.
    pub fn new(address: SocketAddr, ask: Ask) -> Load {
        Load {
            address,
            asks: vec![ask],
            connections: 50,
            keep_alive: true,
            pipeline: 1,
            until: Until::Time(Duration::from_secs(10)),
            rate: None,
            threads: 1,
            timeout: Duration::from_secs(2),
            count_field: None,
        }
    }
}
