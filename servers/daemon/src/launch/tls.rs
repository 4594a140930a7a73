//! TLS of a server: its certificates, warnings before they expire, and redirects from the listeners without TLS.

use super::{
    listeners,
    settings::{Application, MakeHandler},
};
use crate::tls::{Tls, TlsError, TlsSettings};
use http_engine::{
    Admit, Middleware, Next, Reply, Request, Response, Server, Stack, Status, listener::Listener,
    path::RelativePath, uri,
};
use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The paths that are served without TLS, too: an ACME server looks there whether this server has a name (RFC 8555
/// §8.3).
const CHALLENGES: &[u8] = b"/.well-known/acme-challenge/";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the certificates are looked at.
pub(super) const CHECK_INTERVAL: Duration = DAY;
/// How long before a certificate expires the log has a warning, and an error.
const WARN_BEFORE: Duration = DAY.saturating_mul(30);
const ERROR_BEFORE: Duration = DAY.saturating_mul(7);

/// What secures the listeners of a process.
pub(super) struct Security {
    /// `None` without TLS.
    tls: Option<Tls>,
    certificates: Vec<Expiry>,
    /// The port of the URLs that requests without TLS are redirected to; `None` if there are no listeners without TLS.
    redirect_port: Option<u16>,
}

/// Where a certificate comes from, and when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) source: String,
    pub(crate) at: SystemTime,
}

impl Security {
    /// Loads the certificates of the application, which secure the `listeners`. `plain` are those without TLS beside
    /// them.
    pub(super) fn load(
        application: &dyn Application,
        listeners: &[Listener],
        plain: &[Listener],
    ) -> io::Result<Security> {
        let mut security = Security { tls: None, certificates: Vec::new(), redirect_port: None };
        if let Some(settings) = application.tls()? {
            security.certificates = expiries(&settings);
            security.tls = Some(Tls::new(settings).map_err(to_io)?);
        }
        if let (Some(redirects), false) = (application.redirects(), plain.is_empty()) {
            let mut bound = listeners.iter().filter_map(|listener| listener.local_addr().ok()?.tcp());
            let port = redirects.port.or_else(|| bound.next().map(|address| address.port()));
            security.redirect_port = Some(port.ok_or_else(listeners::no_https_port)?);
        }
        Ok(security)
    }

    /// Whether the listeners of the application have TLS.
    pub(super) fn is_on(&self) -> bool {
        self.tls.is_some()
    }

    /// Secures the connections from the listeners that `server` has so far.
    pub(super) fn apply(&self, server: Server) -> Server {
        #[cfg(feature = "tls")]
        let server = self.tls.iter().fold(server, Server::tls);
        server
    }

    pub(super) fn certificates(&self) -> &[Expiry] {
        &self.certificates
    }

    /// Secures new connections with what a reload has loaded.
    pub(super) fn replace(&mut self, settings: Option<TlsSettings>) -> io::Result<()> {
        let settings = match (&self.tls, settings) {
            (Some(tls), Some(settings)) => Some((tls, settings)),
            (None, None) => None,
            _ => {
                return Err(io::Error::other(
                    "cannot begin or end to use TLS while the server runs: restart it",
                ));
            }
        };
        if let Some((tls, settings)) = settings {
            let certificates = expiries(&settings);
            tls.replace(settings).map_err(to_io)?;
            self.certificates = certificates;
        }
        Ok(())
    }

    /// Returns a function that makes the same handlers as `make`, but redirects requests without TLS to `https` URLs if
    /// there are listeners for that.
    pub(super) fn wrap(&self, make: MakeHandler) -> MakeHandler {
        let Some(port) = self.redirect_port else { return make };
        Arc::new(move |worker| Arc::new(Stack::new(make(worker)).wrap(RedirectToHttps { port })))
    }

    /// Logs which certificates expire soon at the time `now`. Those that have expired are left out if they were loaded
    /// just now: loading has logged them.
    pub(super) fn check_expiry(&self, now: SystemTime, is_loaded: bool) {
        for certificate in &self.certificates {
            if let Some((level, left, message)) = certificate.warning(now)
                && !(left.is_zero() && is_loaded)
            {
                log::log!(level, "{message}");
            }
        }
    }
}

/// Returns when each certificate expires, each once.
fn expiries(settings: &TlsSettings) -> Vec<Expiry> {
    let mut expiries = Vec::new();
    for certificate in settings.certificates() {
        let expiry = Expiry { source: certificate.source().to_string(), at: certificate.not_after() };
        if !expiries.contains(&expiry) {
            expiries.push(expiry);
        }
    }
    expiries
}

impl Expiry {
    /// Returns the level and the text of what the log says at the time `now`, and how long the certificate is valid.
    fn warning(&self, now: SystemTime) -> Option<(log::Level, Duration, String)> {
        let source = &self.source;
        let left = self.at.duration_since(now).unwrap_or_default();
        let level = match left {
            left if left <= ERROR_BEFORE => log::Level::Error,
            left if left <= WARN_BEFORE => log::Level::Warn,
            _ => return None,
        };
        let days = left.as_secs() / DAY.as_secs();
        let when = match (left, days) {
            (Duration::ZERO, _) => "has expired".to_owned(),
            (_, 0) => "expires in less than a day".to_owned(),
            (_, 1) => "expires in 1 day".to_owned(),
            (_, days) => format!("expires in {days} days"),
        };
        Some((level, left, format!("the certificate {source} {when}: replace it, and reload the server")))
    }
}

fn to_io(error: TlsError) -> io::Error {
    io::Error::other(error)
}

/// Whether the client uses `https`: with this server, or with a trusted proxy in front of it. A redirect to the proxy
/// would come back without end.
fn is_https(request: &Request<'_>) -> bool {
    request.is_secure() || request.scheme() == "https"
}

/// Redirects requests without TLS to the same URL with `https` and this port, except those for [`CHALLENGES`].
struct RedirectToHttps {
    port: u16,
}

impl RedirectToHttps {
    fn applies_to(request: &Request<'_>) -> bool {
        !is_https(request) && !request.path_bytes().starts_with(CHALLENGES)
    }

    /// Returns the redirect, or 400 if the request names no host, or no path.
    fn redirect(&self, request: &Request<'_>) -> Response {
        let path = RelativePath::new(request.path_bytes());
        let Some((host, path)) = request.host().filter(|host| !host.is_empty()).zip(path) else {
            return Response::error(Status::BAD_REQUEST);
        };
        let name = match host.rfind(':') {
            // The last colon may be part of an IPv6 address.
            Some(colon) if !host.ends_with(']') => &host[..colon],
            _ => host,
        };
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        let query = request.raw_query().map(|query| format!("?{}", uri::normalize_query(query)));
        let location = format!("https://{name}{port}{}{}", path.encode(), query.unwrap_or_default());
        Response::error(Status::PERMANENT_REDIRECT).with_header("Location", location)
    }
}

impl Middleware for RedirectToHttps {
    fn admit(&self, head: &Request<'_>, next: Next<'_>) -> Admit {
        if RedirectToHttps::applies_to(head) { Admit::AtHead } else { next.admit(head) }
    }

    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        if RedirectToHttps::applies_to(request) {
            return self.redirect(request).into();
        }
        let reply = next.run(request);
        // RFC 6797 §7.2: not without TLS.
        if is_https(request) {
            reply
        } else {
            reply.map(|response| response.remove_header("Strict-Transport-Security"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::{
        Config, Handler, Proxies,
        testing::{ReceivedRequest, TestRequest},
    };
    use std::time::Instant;

    #[test]
    fn redirects_requests_without_tls() {
        let check = |port, request: TestRequest, status: u16, location: Option<&str>| {
            let inner =
                |_: &Request<'_>| Response::text("x").with_header("Strict-Transport-Security", "max-age=1");
            let inner: Arc<dyn Handler> = Arc::new(inner);
            let response = request.run(&Stack::new(inner).wrap(RedirectToHttps { port }));
            let seen = (response.status().code(), response.header("Location"));
            assert_eq!(seen, (status, location.map(str::as_bytes)));
            response.header("Strict-Transport-Security").is_some()
        };
        let get = |target: &str, host: &str| TestRequest::get(target).header("Host", host);
        check(443, get("/a%20b/?c=d", "a.example"), 308, Some("https://a.example/a%20b/?c=d"));
        check(8443, get("/", "a.example:8080"), 308, Some("https://a.example:8443/"));
        check(8443, get("/", "[::1]"), 308, Some("https://[::1]:8443/"));
        check(8443, get("/", "[::1]:80"), 308, Some("https://[::1]:8443/"));
        check(443, get("//b.example/..//x", "a.example"), 308, Some("https://a.example/x"));
        check(443, TestRequest::get("/").http10(), 400, None);
        assert!(!check(443, get("/.well-known/acme-challenge/x", "a.example"), 200, None));
        assert!(check(443, get("/", "a.example").over_tls(), 200, None));
        let proxied = |unix, scheme: &str| {
            let headers = "x-forwarded-for,x-forwarded-proto".parse().expect("headers");
            let proxies = Proxies { unix, headers, ..Proxies::default() };
            let config = Config { proxies, ..Config::default() };
            get("/", "a.example").config(config).header("X-Forwarded-Proto", scheme)
        };
        assert!(check(443, proxied(true, "https"), 200, None));
        check(443, proxied(true, "http"), 308, Some("https://a.example/"));
        check(443, proxied(false, "https"), 308, Some("https://a.example/"));
        assert!(check(443, proxied(true, "http").over_tls(), 200, None));
    }

    #[test]
    fn a_request_that_is_redirected_needs_no_content() {
        let inner: Arc<dyn Handler> = Arc::new(|_: &Request<'_>| Response::text("x"));
        let handler = Stack::new(inner).wrap(RedirectToHttps { port: 443 });
        for (path, expected) in [("/", Admit::AtHead), ("/.well-known/acme-challenge/x", Admit::Buffer)] {
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            let received = ReceivedRequest::new(head.as_bytes(), Instant::now()).expect("a request");
            assert_eq!(handler.admit(&received.as_request()), expected, "{path}");
        }
    }

    #[test]
    fn warns_before_a_certificate_expires() {
        let now = SystemTime::UNIX_EPOCH + 1000 * DAY;
        let check = |left: Duration, expected: Option<(log::Level, &str)>| {
            let certificate = Expiry { source: "a.pem".to_owned(), at: now + left };
            let warning = certificate.warning(now).map(|(level, _, message)| (level, message));
            let expected = expected.map(|(level, when)| {
                (level, format!("the certificate a.pem {when}: replace it, and reload the server"))
            });
            assert_eq!(warning, expected);
        };
        check(31 * DAY, None);
        check(30 * DAY, Some((log::Level::Warn, "expires in 30 days")));
        check(8 * DAY, Some((log::Level::Warn, "expires in 8 days")));
        check(7 * DAY, Some((log::Level::Error, "expires in 7 days")));
        check(DAY + DAY / 2, Some((log::Level::Error, "expires in 1 day")));
        check(DAY / 2, Some((log::Level::Error, "expires in less than a day")));
        check(Duration::ZERO, Some((log::Level::Error, "has expired")));
    }
}
