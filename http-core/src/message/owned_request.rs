//! A copy of a request that outlives the handler, for jobs and other threads.

use super::{extensions::Link, request::Request, tls_info::TlsInfo};
use crate::codec::{framing::RequestFraming, head::HeadIndex};
use core::net::SocketAddr;
use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

/// A copy of a request: its head, its body, the parameters of its path, and the extensions that are in an `Arc`
/// ([`Request::with_shared_extension`]). It borrows nothing, so a job or another thread can take it.
///
/// It takes about 1 KiB of memory besides the head and the body. The engine's limits do not count it.
///
/// ```
/// use http_core::{Reply, Request};
///
/// fn handle(request: &Request<'_>) -> Reply {
///     let owned = request.to_owned();
///     Reply::offload(move || {
///         let request = owned.as_request();
///         format!("{} has {} bytes", request.path(), request.body().len())
///     })
/// }
/// ```
pub struct OwnedRequest {
    index: Box<HeadIndex>,
    /// The head, then the decoded body.
    bytes: Box<[u8]>,
    framing: RequestFraming,
    received_at: Instant,
    client_addr: Option<SocketAddr>,
    tls: Option<Arc<OnceLock<TlsInfo>>>,
    extensions: Option<Box<Link<'static>>>,
}

impl OwnedRequest {
    /// Returns the request.
    pub fn as_request(&self) -> Request<'_> {
        Request {
            index: &self.index,
            bytes: &self.bytes,
            body: &self.bytes[self.index.head_len()..],
            framing: self.framing,
            received_at: self.received_at,
            client_addr: self.client_addr,
            tls: self.tls.as_ref(),
            extensions: self.extensions.as_deref(),
        }
    }
}

impl Request<'_> {
    /// Copies the request, so that it outlives the handler. Extensions that are only borrowed
    /// ([`with_extension`](Request::with_extension)) are left out. [`OwnedRequest`] has an example.
    pub fn to_owned(&self) -> OwnedRequest {
        let head = self.bytes.get(..self.index.head_len()).unwrap_or_default();
        OwnedRequest {
            index: Box::new(self.index.clone()),
            bytes: [head, self.body].concat().into(),
            framing: self.framing,
            received_at: self.received_at,
            client_addr: self.client_addr,
            tls: self.tls.cloned(),
            extensions: self.extensions.and_then(Link::to_owned),
        }
    }
}

impl Clone for OwnedRequest {
    fn clone(&self) -> OwnedRequest {
        self.as_request().to_owned()
    }
}

impl std::fmt::Debug for OwnedRequest {
    /// Writes what the `Debug` of [`Request`] writes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_request().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ReceivedRequest;
    use std::{sync::Arc, thread};

    #[test]
    fn a_copy_is_the_same_request_without_the_bytes_after_it() {
        for line in ["POST /a/b?c=d", "POST /%61//caf%C3%A9/%ff?", "OPTIONS *", "CONNECT h:80"] {
            let text =
                format!("\r\n{line} HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\nContent-Length: 4\r\n\r\nbody");
            let received = ReceivedRequest::new(text.as_bytes(), Instant::now()).expect("a request");
            let client_addr = "192.0.2.1:80".parse().ok();
            let bytes = [text.as_bytes(), b"GET /next HTTP/1.1\r\n"].concat();
            let request = Request { client_addr, bytes: &bytes, ..received.as_request() };
            let owned = request.to_owned().clone();
            drop((received, bytes));
            assert_eq!(owned.bytes.len(), text.len());
            let shown = thread::spawn(move || {
                let copy = owned.as_request();
                assert_eq!(
                    (copy.body(), copy.cookie("a"), copy.host()),
                    (&b"body"[..], Some("b"), copy.host())
                );
                assert_eq!((copy.client_addr(), copy.framing), (client_addr, owned.framing));
                format!("{} {} {:?} {owned:?}", copy.path(), copy.raw_path(), copy.raw_query())
            });
            let received = ReceivedRequest::new(text.as_bytes(), Instant::now()).expect("a request");
            let request = received.as_request();
            let expected =
                format!("{} {} {:?} {request:?}", request.path(), request.raw_path(), request.raw_query());
            assert_eq!(shown.join().expect("no panic"), expected);
        }
    }

    #[test]
    fn a_copy_keeps_extensions_in_an_arc() {
        let received = ReceivedRequest::new(b"GET / HTTP/1.0\r\n\r\n", Instant::now()).expect("a request");
        let request = received.as_request().with_shared_extension(Arc::new("first"));
        let request = request.as_request();
        let request = request.with_extension(&7_u8);
        let request = request.as_request();
        let request = request.with_shared_extension(Arc::new("second"));
        let request = request.as_request();
        let request = request.with_extension(&8_u16);
        let request = request.as_request();
        let values = |request: &Request<'_>| {
            let texts: Vec<&str> = Link::values::<&str>(request.extensions).copied().collect();
            (texts, request.extension::<u8>().copied(), request.extension::<u16>().copied())
        };
        assert_eq!(values(&request), (vec!["second", "first"], Some(7), Some(8)));
        let owned = request.to_owned();
        assert_eq!(values(&owned.as_request()), (vec!["second", "first"], None, None));
        let request = owned.as_request().with_extension(&9_u8).as_request().to_owned();
        assert_eq!(values(&request.as_request()), (vec!["second", "first"], None, None));
    }
}
