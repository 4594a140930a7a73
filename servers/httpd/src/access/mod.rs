//! Which requests reach the files: by the client's address, by how many it sends, and by its credentials.
//!
//! | file | what it does |
//! |---|---|
//! | `networks` | allows and denies networks |
//! | `rate` | limits the requests of each client |
//! | `login` | Basic authentication |
//! | `protected_paths` | the paths that need a password |
//! | `attempts` | the passwords that wait to be verified |
//! | `passwords` | the file of users and hashes of passwords |
//! | `times` | a bounded table, which `rate` and `login` use |
//!
//! This module knows of files only which paths lead to the same one. Without an option, no request passes through it.

mod attempts;
pub mod login;
pub mod networks;
mod passwords;
pub mod protected_paths;
pub mod rate;
pub mod times;

use http_engine::{Admit, Handler, Rejected, Reply, Request, Response, Status};
use http_files::{Denied, Options, is_preflight};
use login::{Access, Login, LoginOptions, keep_private};
use networks::Networks;
use rate::{Rate, RateLimit};
use std::{io, path::Path, sync::Arc, time::Duration};

/// What an operator chooses about access.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    pub networks: Networks,
    /// The requests that each client may send, and how many of them at once if that differs.
    pub rate: Option<(Rate, Option<u32>)>,
    pub login: Option<LoginOptions>,
}

impl AccessOptions {
    /// Returns the password file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.login.as_ref().map(|login| &*login.file)
    }

    /// Returns `options` without the automatic error pages that need a password.
    pub fn exclude_pages(&self, prefix: &str, options: &Arc<Options>) -> Arc<Options> {
        let pages = self.login.as_ref().map(|login| login.paths.error_pages(prefix, options));
        match pages.filter(|pages| !pages.is_empty()) {
            Some(excluded_pages) => Arc::new(Options { excluded_pages, ..Options::clone(options) }),
            None => Arc::clone(options),
        }
    }

    /// Reads the password file. Returns what the workers of a process share, or `None` if all requests are permitted.
    /// A directory is served at the path `prefix` with `options`.
    ///
    /// # Errors
    ///
    /// If the password file cannot be read or is no password file, or if a page that needs a password would be sent for
    /// paths that need none.
    pub fn open(&self, prefix: &str, options: &Arc<Options>) -> io::Result<Option<Arc<AccessRules>>> {
        let AccessOptions { networks, rate, login } = self;
        if let Some(LoginOptions { paths, .. }) = login {
            paths.check_pages(prefix, options).map_err(io::Error::other)?;
        }
        let login = login.as_ref().map(|login| Login::open(login, options)).transpose()?.map(Arc::new);
        let rate = rate.map(|(rate, burst)| RateLimit::new(rate, burst));
        let is_open = networks.is_empty() && rate.is_none() && login.is_none();
        let (networks, options) = (networks.clone(), Arc::clone(options));
        Ok((!is_open).then(|| Arc::new(AccessRules { networks, rate, login, options })))
    }
}

/// The rules that each request must satisfy, in this order: those that cost least first.
pub struct AccessRules {
    networks: Networks,
    rate: Option<RateLimit>,
    login: Option<Arc<Login>>,
    options: Arc<Options>,
}

impl AccessRules {
    /// Returns whether a request may reach the files.
    fn check(&self, request: &Request<'_>) -> Access {
        let client = request.client_addr().map(|address| address.ip());
        if !self.networks.allow(client) {
            return Access::Denied(Response::error(Status::FORBIDDEN));
        }
        if let Some(Err(wait)) = self.rate.as_ref().map(|rate| rate.take(client, request.received_at())) {
            return Access::Denied(too_many_requests(wait));
        }
        match &self.login {
            // Browsers send a preflight request without credentials.
            Some(login) if self.options.cors.is_none() || !is_preflight(request) => login.check(request),
            _ => Access::Public,
        }
    }
}

/// Replies to a request that is not permitted: with `response`, or with the site's page for its status, which `handler`
/// sends.
fn refuse(options: &Options, handler: &dyn Handler, request: &Request<'_>, response: Response) -> Reply {
    let status = response.status();
    let refusal = complete(options, request, response);
    if !options.has_page_for(status) {
        return refusal.into();
    }
    let denied = request.with_shared_extension(Arc::new(Denied(status)));
    handler.handle(&denied.as_request()).map(move |page| {
        // A handler that ignores `Denied` must not send what is denied.
        if page.status() != status {
            return refusal;
        }
        let headers = ["WWW-Authenticate", "Retry-After", "Cache-Control"].into_iter();
        let headers = headers.filter_map(|name| Some((name, refusal.header(name)?)));
        headers.fold(page, |page, (name, value)| page.with_header(name, value))
    })
}

/// Completes the response to a request that does not reach the files. No cache may store it, whatever the headers of
/// the site say: it would be sent to clients that are permitted.
fn complete(options: &Options, request: &Request<'_>, response: Response) -> Response {
    options.complete(Some(request), response).with_header("Cache-Control", "no-store")
}

/// Returns the 429 for a client that may send another request after this time.
fn too_many_requests(wait: Duration) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Response::error(Status::TOO_MANY_REQUESTS).with_header("Retry-After", seconds.to_string())
}

/// A handler behind rules. It replies at once or later ([`Reply::Now`], [`Reply::Deferred`]), and in no other way.
pub struct Guarded {
    rules: Arc<AccessRules>,
    handler: Arc<dyn Handler>,
}

impl Guarded {
    /// Passes the requests that satisfy `rules` to `handler`.
    pub fn new(rules: Arc<AccessRules>, handler: Arc<dyn Handler>) -> Guarded {
        Guarded { rules, handler }
    }
}

impl Handler for Guarded {
    fn admit(&self, head: &Request<'_>) -> Admit {
        self.handler.admit(head)
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        match self.rules.check(request) {
            Access::Public => self.handler.handle(request),
            Access::Verified => self.handler.handle(request).map(keep_private),
            Access::Denied(response) => refuse(&self.rules.options, &*self.handler, request, response),
            Access::Unverified(login, credentials) => {
                login.verify_later(credentials, request.to_owned(), Arc::clone(&self.handler))
            }
        }
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.handler.rejected(rejected, response)
    }
}

#[cfg(test)]
mod tests {
    use super::{protected_paths::ProtectedPaths, *};
    use http_engine::testing::TestRequest;
    use std::fs;

    /// Passes requests for `/private` with a right password to a handler that sends this Cache-Control. Expects
    /// another, when the password is verified and when it is known.
    fn check(cache_control: Option<&'static str>, expected: Option<&str>) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("users");
        let user = "alice:$2y$04$lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m";
        fs::write(&file, user).expect("a file");
        let paths = ProtectedPaths(vec!["/private".parse().expect("a path")]);
        let login = LoginOptions { file, paths, realm: "Test".parse().expect("a realm") };
        let options = AccessOptions { login: Some(login), ..AccessOptions::default() };
        let rules = options.open("", &Arc::default()).expect("a password file").expect("rules");
        let handler = move |_: &Request<'_>| {
            let response = Response::text("text");
            match cache_control {
                Some(value) => response.with_header("Cache-Control", value),
                None => response,
            }
        };
        let handler = Guarded::new(rules, Arc::new(handler));
        for (target, expected) in [("/private", expected), ("/private/a", expected), ("/a", cache_control)] {
            let request = TestRequest::get(target).header("Authorization", "Basic YWxpY2U6c2VjcmV0");
            let response = request.run(&handler);
            assert_eq!(response.header("Cache-Control"), expected.map(str::as_bytes), "{target}");
            assert_eq!((response.status(), response.text()), (Status::OK, "text"));
        }
        assert_eq!(TestRequest::get("/private").run(&handler).status(), Status::UNAUTHORIZED);
        assert_eq!(TestRequest::get("/a").run(&handler).status(), Status::OK);
    }

    #[test]
    fn no_shared_cache_may_store_a_protected_response() {
        check(None, None);
        check(Some("public, max-age=3600, must-revalidate"), Some("private, max-age=3600, must-revalidate"));
        check(Some("max-age=1,S-MaxAge=2 , PUBLIC"), Some("private, max-age=1"));
        check(Some("no-cache"), Some("private, no-cache"));
        check(Some("private"), Some("private"));
        check(Some(""), Some("private"));
    }
}
