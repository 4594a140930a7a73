//! The description of a load: which requests to send, how often, over how many connections, and which responses are
//! right. It does no I/O.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A load: the requests that [`run`](super::run) sends to one server, and how it sends them.
#[derive(Clone, Debug)]
pub struct Load {
    /// The address and the port of the server.
    pub address: SocketAddr,
    /// The requests and their expected responses. The driver sends them in turn, and starts again after the last. At
    /// least one.
    pub exchanges: Vec<Exchange>,
    /// The number of simultaneous connections. At least one.
    pub connections: usize,
    /// Whether connections are kept alive. If not, each request uses a new connection, and should have
    /// `Connection: close`: like `ab`, the driver then waits for the server to close, so that the server's socket
    /// enters TIME-WAIT.
    pub keep_alive: bool,
    /// The number of requests that a connection sends together (RFC 9112 §9.3.2); it sends the next batch when it has
    /// received all responses. At least one; more only with keep-alive. If a connection closes
    /// early, its requests without a complete response fail.
    pub pipeline: usize,
    /// When the driver starts no more requests. It then waits for the requests in progress, no longer than the timeout.
    pub until: Until,
    /// Requests per second, at even intervals, whether or not the server keeps up (an *open* loop). A request may have
    /// to wait for a free connection; its latency counts from its scheduled time. `None`: each connection sends the
    /// next request as soon as it has received the last response (a *closed* loop).
    pub rate: Option<f64>,
    /// Requests that are due earlier than this after the start do not count in
    /// [`Stats::latencies`](super::Stats::latencies): the connections are opened then.
    pub opening: Duration,
    /// The name of the server for TLS, or its address; `None` without TLS.
    pub tls: Option<String>,
    /// The number of driver threads, which divide the connections among them. At least one.
    pub threads: usize,
    /// The longest time that a request may take, from the start of its latency. Checked about twenty times per timeout.
    pub timeout: Duration,
    /// The response header whose values are counted in [`Stats::by_header`](super::Stats::by_header); upper and lower
    /// case are equal.
    pub count_header: Option<&'static str>,
}

/// When a load ends: after a number of requests, or after a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// The load ends after this many requests, failed ones included.
    Requests(u64),
    /// No request starts later than this time after the start of the load.
    Time(Duration),
}

/// A request, and the response that is expected to it. By default, any well-formed response is right.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The bytes of the request, as the driver sends them.
    pub request: Vec<u8>,
    /// Whether the method is HEAD, so that the response has no content (RFC 9112 §6.3).
    pub is_head: bool,
    /// The expected status code; `None` if every one is right.
    pub status: Option<u16>,
    /// The name of a header and its expected value; `None` if every one is right.
    pub header: Option<(&'static str, &'static str)>,
    /// The expected content, with any transfer coding removed; `None` if its bytes are not known.
    pub body: Option<Arc<[u8]>>,
    /// The expected length of the content in bytes, if `body` is `None`; `None` if every length is right.
    pub length: Option<usize>,
}

impl Exchange {
    /// Makes an exchange of a request: text, bytes or a [`Request`](http_test_suite::request::Request). Any well-formed
    /// response is right.
    pub fn new(request: impl Into<Vec<u8>>) -> Exchange {
        let request = request.into();
        let is_head = request.starts_with(b"HEAD ");
        Exchange { is_head, request, status: None, header: None, body: None, length: None }
    }

    /// Sets the expected status code.
    pub fn expect_status(mut self, status: u16) -> Exchange {
        self.status = Some(status);
        self
    }

    /// Sets the expected value of a header.
    pub fn expect_header(mut self, name: &'static str, value: &'static str) -> Exchange {
        self.header = Some((name, value));
        self
    }

    /// Sets the expected length of the content, in bytes.
    pub fn expect_length(mut self, length: usize) -> Exchange {
        self.length = Some(length);
        self
    }

    /// Sets the expected content.
    pub fn expect_body(mut self, body: impl Into<Arc<[u8]>>) -> Exchange {
        self.body = Some(body.into());
        self
    }
}

impl Load {
    /// A load that repeats one exchange: fifty keep-alive connections, a closed loop, one thread, ten seconds, and a
    /// timeout of two seconds.
    pub fn new(address: SocketAddr, exchange: Exchange) -> Load {
        Load {
            address,
            exchanges: vec![exchange],
            connections: 50,
            keep_alive: true,
            pipeline: 1,
            until: Until::Time(Duration::from_secs(10)),
            rate: None,
            opening: Duration::ZERO,
            tls: None,
            threads: 1,
            timeout: Duration::from_secs(2),
            count_header: None,
        }
    }

    /// Checks that the driver can run the load. The error names what is wrong with it.
    pub(super) fn check(&self) -> Result<()> {
        let fault = match self {
            _ if self.exchanges.iter().all(|exchange| exchange.request.is_empty()) => "no request",
            _ if self.exchanges.iter().any(|exchange| exchange.request.is_empty()) => "an empty request",
            Load { connections: 0, .. } => "no connection",
            Load { threads: 0, .. } => "no thread",
            Load { pipeline: 0, .. } => "a pipeline of 0 requests",
            Load { pipeline: 2.., keep_alive: false, .. } => "pipelining without keep-alive",
            _ if self.timeout.is_zero() => "a timeout of 0",
            Load { rate: Some(rate), .. } if !(rate.is_finite() && *rate > 0.0) => {
                "a rate that is not positive"
            }
            _ => return Ok(()),
        };
        Err(Error::new(ErrorKind::InvalidInput, format!("cannot run the load: it has {fault}")))
    }
}
