//! What client and server have negotiated with TLS.

/// What the client and the server have negotiated for a connection ([`Request::tls`](crate::Request::tls)).
///
/// ```
/// use http_core::Request;
///
/// fn describe(request: &Request<'_>) -> String {
///     match request.tls() {
///         Some(tls) => format!("{} with {}", tls.protocol, tls.cipher),
///         None => "not secured".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// The version of the protocol, as in `TLSv1.3`.
    pub protocol: &'static str,
    /// The name that OpenSSL gives the cipher suite, as in `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The host that the client has asked for (SNI, RFC 6066 §3), in lower case.
    pub server_name: Option<Box<str>>,
}
