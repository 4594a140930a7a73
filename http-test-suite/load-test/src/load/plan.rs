//! The description of a load: what to ask, how often, over how many connections, and which answers are right. Data
//! only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A load, for [`run`](super::run).
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// The requests, sent in turn. At least one.
    pub asks: Vec<Ask>,
    /// Simultaneous connections, one for each client. At least one.
    pub connections: usize,
    /// Whether connections are kept alive. If not, each request uses a new connection, and should have
    /// `Connection: close`: like `ab`, the driver then waits for the server to close, so that the server's socket
    /// enters TIME-WAIT.
    pub keep_alive: bool,
    /// Requests that a connection sends together (RFC 9112 §9.3.2); it sends the next batch when all are answered. At
    /// least one; more only with keep-alive. A connection that ends early fails all requests on it.
    pub pipeline: usize,
    /// When the load ends. The driver then waits for requests in progress, no longer than the timeout.
    pub until: Until,
    /// Requests per second, at even intervals, whether or not the server keeps up (an *open* loop). A request may have
    /// to wait for a free connection; its latency counts from its scheduled time. `None`: each connection sends the
    /// next request as soon as the last is answered (a *closed* loop).
    pub rate: Option<f64>,
    /// Driver threads, which share the connections. At least one.
    pub threads: usize,
    /// The longest time that a request may take, from the start of its latency. Checked about twenty times per timeout.
    pub timeout: Duration,
    /// A header field, in any case of letters, whose values are counted in [`Tally::by_field`](super::Tally::by_field).
    pub count_field: Option<&'static str>,
}

/// When a load ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// After this many requests, answered or failed.
    Requests(u64),
    /// After this time.
    Time(Duration),
}

/// One request, and the expected answer.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The bytes of the request.
    pub bytes: Vec<u8>,
    /// Whether the method is HEAD, so that the answer has no content (RFC 9112 §6.3).
    pub head: bool,
    /// What makes the answer right.
    pub expect: Expect,
}

/// What makes an answer right. By default, any well-formed answer is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The status code.
    pub status: Option<u16>,
    /// The content, with any transfer coding removed.
    pub body: Option<Arc<[u8]>>,
    /// The length of the content in bytes, if its bytes are not known.
    pub length: Option<usize>,
}

impl Ask {
    /// Makes an ask of a request: text, bytes or a [`Request`](http_test_suite::request::Request). Any well-formed answer is
    /// right.
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
    /// A load that repeats `ask`: fifty keep-alive connections, a closed loop, one thread, ten seconds, and a timeout
    /// of two seconds.
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
