//! Basic authentication (RFC 7617): who may request the protected paths.
//!
//! To verify a password takes long. A thread does it, and then makes the reply. Credentials that were right are
//! accepted for a minute without being verified again.

use super::{
    attempts::Attempts, passwords::Users, protected_paths::ProtectedPaths, rate::RateLimit, times::Times,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http_engine::{Handler, OwnedRequest, Reply, Request, Responder, Response, Status};
use http_files::{Options, RewrittenPath};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// How long credentials are accepted after they were verified.
const VERIFIED_FOR: Duration = Duration::from_secs(60);

/// The number of credentials that a process remembers as verified.
const MAX_VERIFIED: usize = 4096;

/// The length of the longest password, and of the longest name, in bytes. SHA-crypt takes time for each byte.
pub(super) const MAX_LEN: usize = 256;

/// How many unverified credentials a client may send: the rate, and the number at once. A further request gets 429.
/// Clients behind one address share this. Credentials that were right before do not count.
const ATTEMPTS: (&str, u32) = ("10/s", 40);

/// What an operator chooses about authentication.
#[derive(Clone, Debug)]
pub struct LoginOptions {
    /// The password file.
    pub file: PathBuf,
    pub paths: ProtectedPaths,
    pub realm: Realm,
}

/// The name of what is protected. Browsers show it when they ask for a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(String);

impl FromStr for Realm {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Realm, &'static str> {
        if text.contains(char::is_control) {
            return Err("must not contain control characters");
        }
        Ok(Realm(text.to_owned()))
    }
}

impl Realm {
    /// Returns the value of WWW-Authenticate.
    fn challenge(&self) -> String {
        let realm = self.0.replace('\\', r"\\").replace('"', r#"\""#);
        format!(r#"Basic realm="{realm}", charset="UTF-8""#)
    }
}

impl Default for Realm {
    fn default() -> Realm {
        Realm("Restricted".to_owned())
    }
}

/// Whether a request may reach the files.
pub enum Access {
    /// It needs no credentials.
    Public,
    /// Its credentials were verified lately. The response must pass [`keep_private`].
    Verified,
    /// It gets this response instead.
    Denied(Response),
    /// Its credentials must be verified: see [`Login::verify_later`].
    Unverified(Arc<Login>, Credentials),
}

/// A name and a password that a client has sent.
pub struct Credentials {
    name: String,
    password: String,
}

impl Credentials {
    /// Decodes the value of Authorization. Returns `None` if it is malformed, or so long that no user can have it.
    fn decode(value: &[u8]) -> Option<Credentials> {
        let (scheme, encoded) = value.split_at_checked(b"Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let decoded = BASE64_STANDARD.decode(encoded.trim_ascii_start()).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (name, password) = decoded.split_once(':')?;
        // RFC 7617 §2: no control characters. bcrypt would read NUL as the end of the password.
        let is_valid = |text: &str| text.len() <= MAX_LEN && !text.contains(char::is_control);
        (is_valid(name) && is_valid(password))
            .then(|| Credentials { name: name.to_owned(), password: password.to_owned() })
    }
}

/// Says who may request the protected paths. All workers of a process share one.
pub struct Login {
    paths: ProtectedPaths,
    /// How the files behind the paths are served.
    options: Arc<Options>,
    challenge: String,
    users: Users,
    attempt_limit: RateLimit,
    /// Until when the credentials with this fingerprint are accepted.
    verified: Times<u128>,
    /// The key of the fingerprints.
    key: RandomState,
    /// The moment at which `verified` begins to count.
    start: Instant,
    /// The threads start with the first attempt, because a process must have a single one until it has dropped its
    /// privileges.
    attempts: OnceLock<Attempts<Attempt>>,
}

impl Login {
    /// Reads the password file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is no password file.
    pub fn open(login: &LoginOptions, options: &Arc<Options>) -> io::Result<Login> {
        let users = Users::read(&login.file).map_err(|error| {
            let file = login.file.display();
            io::Error::new(
                error.kind(),
                format!("cannot use the password file {file}: {}", http_engine::io_cause(&error)),
            )
        })?;
        let (rate, burst) = ATTEMPTS;
        Ok(Login {
            paths: login.paths.clone(),
            options: Arc::clone(options),
            challenge: login.realm.challenge(),
            users,
            attempt_limit: RateLimit::new(rate.parse().map_err(io::Error::other)?, Some(burst)),
            verified: Times::new(MAX_VERIFIED),
            key: RandomState::new(),
            start: Instant::now(),
            attempts: OnceLock::new(),
        })
    }

    /// Returns what a request gets. Does not verify a password.
    pub fn check(self: &Arc<Login>, request: &Request<'_>) -> Access {
        let rewritten = request.extension().map(|RewrittenPath(path)| &**path);
        let mut paths = [Some(request.path_bytes()), rewritten].into_iter().flatten();
        if !paths.any(|path| self.paths.contains(path, &self.options)) {
            return Access::Public;
        }
        let mut values = request.header_values("Authorization");
        let credentials = match (values.next(), values.next()) {
            (Some(value), None) => Credentials::decode(value),
            _ => None,
        };
        let Some(credentials) = credentials else { return Access::Denied(self.unauthorized()) };
        let now = request.received_at();
        let until = self.verified_until(&credentials);
        if self.time(now) < until {
            return Access::Verified;
        }
        // They were right before and do not count, so that clients that guess do not lock out others behind the same
        // address.
        if !until.is_zero() {
            return Access::Unverified(Arc::clone(self), credentials);
        }
        match self.attempt_limit.take(request.client_addr().map(|address| address.ip()), now) {
            Ok(()) => Access::Unverified(Arc::clone(self), credentials),
            Err(wait) => Access::Denied(super::too_many_requests(wait)),
        }
    }

    /// Verifies credentials on another thread. If they are right, `handler` makes the reply there: at once or deferred.
    pub fn verify_later(
        self: Arc<Login>,
        credentials: Credentials,
        request: OwnedRequest,
        handler: Arc<dyn Handler>,
    ) -> Reply {
        Reply::deferred(move |responder| {
            let client = request.as_request().client_addr().map(|address| address.ip());
            let attempt = Attempt { login: Arc::clone(&self), credentials, request, handler, responder };
            let attempts = self.attempts.get_or_init(|| Attempts::start(Attempt::run));
            if let Some(attempt) = attempts.push(client, attempt) {
                let response = Response::error(Status::SERVICE_UNAVAILABLE).with_header("Retry-After", "1");
                let response = super::complete(&self.options, &attempt.request.as_request(), response);
                attempt.responder.respond(response);
            }
        })
    }

    /// Returns the time until which credentials are accepted. Zero if they were not right before.
    fn verified_until(&self, credentials: &Credentials) -> Duration {
        self.verified.update(self.fingerprint(credentials), |until| *until)
    }

    /// Verifies credentials, and accepts them from now on if they are right. Takes long, unless another request with
    /// the same has been verified since this one has arrived.
    fn verify(&self, credentials: &Credentials) -> bool {
        if self.time(Instant::now()) < self.verified_until(credentials) {
            return true;
        }
        let is_right = self.users.verify(&credentials.name, credentials.password.as_bytes());
        if is_right {
            let until = self.time(Instant::now()) + VERIFIED_FOR;
            self.verified.update(self.fingerprint(credentials), |time| *time = until);
        }
        is_right
    }

    /// The response to a request without right credentials.
    fn unauthorized(&self) -> Response {
        Response::error(Status::UNAUTHORIZED).with_header("WWW-Authenticate", &self.challenge)
    }

    /// Returns a moment as [`Login::verified`] counts it.
    fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// Returns a keyed hash of the credentials, 128 bits of SipHash: no client can find others with the same, and the
    /// process does not keep the password.
    fn fingerprint(&self, credentials: &Credentials) -> u128 {
        let half =
            |number: u8| u128::from(self.key.hash_one((number, &*credentials.name, &*credentials.password)));
        half(0) << 64 | half(1)
    }
}

/// A request whose credentials a thread verifies.
struct Attempt {
    login: Arc<Login>,
    credentials: Credentials,
    request: OwnedRequest,
    handler: Arc<dyn Handler>,
    responder: Responder,
}

impl Attempt {
    /// Verifies the credentials and replies, unless the client has left.
    fn run(self) {
        let Attempt { login, credentials, request, handler, responder } = self;
        if responder.is_closed() {
            return;
        }
        let reply = if login.verify(&credentials) {
            handler.handle(&request.as_request()).map(keep_private)
        } else {
            super::refuse(&login.options, &*handler, &request.as_request(), login.unauthorized())
        };
        match reply {
            Reply::Now(response) => responder.respond(response),
            Reply::Deferred(start) => start(responder),
            // Dropping the responder responds with 500.
            reply => log::error!("cannot reply to a request with a password: no support for {reply:?}"),
        }
    }
}

/// Keeps shared caches from storing the response to a request with credentials, which they may do if Cache-Control
/// permits it (RFC 9111 §3.5): they would serve it to clients without any.
pub fn keep_private(response: Response) -> Response {
    let Some(value) = response.header("Cache-Control") else { return response };
    let value = String::from_utf8_lossy(value);
    let is_kept = |directive: &&str| {
        let name = directive.split('=').next().unwrap_or_default();
        !["", "public", "private", "s-maxage"].iter().any(|dropped| name.eq_ignore_ascii_case(dropped))
    };
    let kept = value.split(',').map(str::trim).filter(is_kept);
    let private = ["private"].into_iter().chain(kept).collect::<Vec<_>>().join(", ");
    response.with_header("Cache-Control", private)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::testing::TestRequest;

    #[test]
    fn credentials_that_were_right_need_no_attempt() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("users");
        let user = "alice:$2y$04$lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m";
        std::fs::write(&file, user).expect("a file");
        let options = LoginOptions { file, paths: ProtectedPaths(Vec::new()), realm: Realm::default() };
        let login = Arc::new(Login::open(&options, &Arc::default()).expect("a password file"));
        let client = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        let later = login.start + Duration::from_secs(1000);
        while login.attempt_limit.take(Some(client.ip()), later).is_ok() {}
        let tested = Arc::clone(&login);
        let handler = move |request: &Request<'_>| {
            Response::text(match tested.check(request) {
                Access::Public => "public",
                Access::Verified => "verified",
                Access::Denied(_) => "denied",
                Access::Unverified(..) => "to be verified",
            })
        };
        let check = |password: &str, until: Duration, expected: &str| {
            let credentials = Credentials { name: "alice".to_owned(), password: password.to_owned() };
            login.verified.update(login.fingerprint(&credentials), |time| *time = until);
            let encoded = BASE64_STANDARD.encode(format!("alice:{password}"));
            let request = TestRequest::get("/").header("Authorization", format!("Basic {encoded}"));
            assert_eq!(request.client_addr(client).run(&handler).text(), expected, "{password}");
            // The password of this user is another one.
            assert_eq!(login.verify(&credentials), expected == "verified", "{password}");
        };
        check("present", Duration::from_secs(1000), "verified");
        check("past", Duration::from_nanos(1), "to be verified");
        check("unknown", Duration::ZERO, "denied");
    }

    #[test]
    fn decodes_credentials() {
        let check = |value: &str, expected: Option<(&str, &str)>| {
            let credentials = Credentials::decode(value.as_bytes());
            let decoded =
                credentials.as_ref().map(|credentials| (&*credentials.name, &*credentials.password));
            assert_eq!(decoded, expected, "{value}");
        };
        let encode = |text: &[u8]| format!("Basic {}", BASE64_STANDARD.encode(text));
        check("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame")));
        check("bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame")));
        check(&encode("test:123£:".as_bytes()), Some(("test", "123£:")));
        check(&encode(b":"), Some(("", "")));
        let long = |len| format!("a:{}", "x".repeat(len));
        check(&encode(long(MAX_LEN).as_bytes()), Some(("a", &"x".repeat(MAX_LEN))));
        check(&encode(long(MAX_LEN + 1).as_bytes()), None);
        check(&encode(long(24_000).as_bytes()), None);
        for text in [&b"no colon"[..], b"a:secret\0", b"a\n:secret", b"a:\xff", b""] {
            check(&encode(text), None);
        }
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic QQ",
            "Basic !!!!",
            "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
            "BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Basic QTpC QTpC",
        ] {
            check(value, None);
        }
    }

    #[test]
    fn quotes_the_realm() {
        let realm: Realm = r#"The "back\slash""#.parse().expect("a realm");
        assert_eq!(realm.challenge(), r#"Basic realm="The \"back\\slash\"", charset="UTF-8""#);
        assert!("a\r\nSet-Cookie: b".parse::<Realm>().is_err());
    }
}
