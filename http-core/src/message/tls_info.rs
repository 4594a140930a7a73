//! What client and server have negotiated with TLS.

/// What the client and the server have negotiated for a connection ([`Request::tls`](crate::Request::tls)).
///
/// ```
/// use http_core::{Request, Status, TlsInfo, testing::TestRequest};
///
/// /// Admits the client with this certificate only. A crate such as `x509-parser` finds the names in a certificate.
/// fn handler(request: &Request<'_>) -> Result<&'static str, Status> {
///     let certificate = request.tls().and_then(|tls| tls.client_certificate.as_deref());
///     if certificate == Some(b"DER") { Ok("Hello") } else { Err(Status::FORBIDDEN) }
/// }
///
/// let tls = TlsInfo {
///     protocol: "TLSv1.3",
///     cipher: "TLS_AES_128_GCM_SHA256",
///     server_name: None,
///     client_certificate: Some(b"DER".to_vec().into()),
/// };
/// assert_eq!(TestRequest::get("/").with_tls_info(tls).run(&handler).text(), "Hello");
/// assert_eq!(TestRequest::get("/").over_tls().run(&handler).status(), Status::FORBIDDEN);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// The version of the protocol, as in `TLSv1.3`.
    pub protocol: &'static str,
    /// The name that OpenSSL gives the cipher suite, as in `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The host that the client has asked for (SNI, RFC 6066 §3), in lower case.
    pub server_name: Option<Box<str>>,
    /// The certificate of the client, in DER; `None` if it has sent none. The server has verified that an authority
    /// which it accepts has issued the certificate, and that the client has its private key.
    pub client_certificate: Option<Box<[u8]>>,
}
