//! Which requests reach the files: by the client's address, by how many it sends, and by its credentials.
//!
//! | file | what it does |
//! |---|---|
//! | `networks` | allows and denies networks |
//! | `rate` | limits the requests of each client |
//! | `login` | Basic authentication |
//! | `passwords` | the file of users and hashes of passwords |
//! | `times` | a bounded table, which `rate` and `login` use |
//!
//! This module knows nothing of files. Without an option, no request passes through it.

pub mod login;
pub mod networks;
mod passwords;
pub mod rate;
mod times;

use http_engine::{Admit, Handler, Rejected, Reply, Request, Response, Status};
use login::{Access, Login, LoginOptions};
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

    /// Reads the password file. Returns what the workers of a process share, or `None` if all requests are permitted.
    /// `root` is the served directory.
    ///
    /// # Errors
    ///
    /// If the password file cannot be read, is no password file, or is in `root`.
    pub fn open(&self, root: &Path) -> io::Result<Option<Arc<Rules>>> {
        let AccessOptions { networks, rate, login } = self;
        if let Some(file) = self.file()
            && let (Ok(file), Ok(root)) = (file.canonicalize(), root.canonicalize())
            && file.starts_with(root)
        {
            let file = file.display();
            return Err(io::Error::other(format!(
                "the password file {file} must not be in the served directory"
            )));
        }
        let login = login.as_ref().map(Login::open).transpose()?.map(Arc::new);
        let rate = rate.map(|(rate, burst)| RateLimit::new(rate, burst));
        let is_open = networks.is_empty() && rate.is_none() && login.is_none();
        Ok((!is_open).then(|| Arc::new(Rules { networks: networks.clone(), rate, login })))
    }
}

/// The rules that each request must satisfy, in this order: those that cost least first.
pub struct Rules {
    networks: Networks,
    rate: Option<RateLimit>,
    login: Option<Arc<Login>>,
}

impl Rules {
    /// Returns what a request gets.
    fn check(&self, request: &Request<'_>) -> Access {
        let client = request.client_addr().map(|address| address.ip());
        if !self.networks.allow(client) {
            return Access::Denied(Response::error(Status::FORBIDDEN));
        }
        if let Some(Err(wait)) = self.rate.as_ref().map(|rate| rate.take(client, request.received_at())) {
            return Access::Denied(too_many_requests(wait));
        }
        self.login.as_ref().map_or(Access::Granted, |login| login.check(request))
    }
}

/// Returns the 429 for a client that may send another request after this time.
fn too_many_requests(wait: Duration) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Response::error(Status::TOO_MANY_REQUESTS).with_header("Retry-After", seconds.to_string())
}

/// A handler behind rules. It replies at once or later ([`Reply::Now`], [`Reply::Deferred`]), and in no other way.
pub struct Guarded {
    rules: Arc<Rules>,
    handler: Arc<dyn Handler>,
}

impl Guarded {
    /// Passes the requests that satisfy `rules` to `handler`.
    pub fn new(rules: Arc<Rules>, handler: impl Handler + 'static) -> Guarded {
        Guarded { rules, handler: Arc::new(handler) }
    }
}

impl Handler for Guarded {
    fn admit(&self, head: &Request<'_>) -> Admit {
        self.handler.admit(head)
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        match self.rules.check(request) {
            Access::Granted => self.handler.handle(request),
            Access::Denied(response) => response.into(),
            Access::Unverified(login, credentials) => {
                login.verify_later(credentials, request.to_owned(), Arc::clone(&self.handler))
            }
        }
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.handler.rejected(rejected, response)
    }
}
