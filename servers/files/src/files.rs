//! The handler: takes a document from the cache or looks it up, and turns the outcome into a response.
//!
//! A cached document is sent without a system call or an allocation. This file never touches the file system itself:
//! `lookup` does.

use crate::{
    byteranges,
    cache::{Cache, Cached},
    document::Document,
    lookup::{Outcome, lookup},
    root::Root,
};
use http_core::{
    Handler, Method, Reply, Request, Response, Status,
    conditional::{self, Precondition, Validators},
    path::{PathError, RelativePath},
    uri,
};
use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const ALLOWED_METHODS: [Method; 2] = [Method::Get, Method::Head];

/// Serves the files beneath a document root.
///
/// Give each worker its own `Files`: each has its own cache, so that workers do not wait for each other's lock.
/// Workers may share the [`Root`].
pub struct Files {
    root: Arc<Root>,
    /// The directory of the site under which the root appears, for example `/static`; empty for the whole site.
    prefix: &'static str,
    cache: Mutex<Cache>,
}

impl Files {
    /// Opens the document root at `path` and serves its files.
    ///
    /// # Errors
    ///
    /// See [`Root::open`].
    pub fn new(path: &Path) -> io::Result<Files> {
        Ok(Files::from_root(Arc::new(Root::open(path)?)))
    }

    /// Serves the files of an open document root.
    pub fn from_root(root: Arc<Root>) -> Files {
        Files { root, prefix: "", cache: Mutex::default() }
    }

    /// Serves the root as the directory `prefix` of the site, for example `/static`. Every path outside it is a 404.
    pub fn with_prefix(self, prefix: &'static str) -> Files {
        Files { prefix, ..self }
    }

    #[inline]
    fn outcome(&self, request: &Request<'_>) -> Outcome {
        let outcome = self.find(request);
        // Browsers send characters in a query that a URI must not hold (RFC 9112 §3).
        if matches!(outcome, Outcome::Document(_)) && !request.query().is_none_or(uri::is_valid) {
            let path = resolve(request.path(), self.prefix);
            return path.map_or_else(|outcome| outcome, |path| Outcome::Redirect(path.encode()));
        }
        outcome
    }

    #[inline]
    fn find(&self, request: &Request<'_>) -> Outcome {
        let (key, now) = (request.path_bytes(), request.received_at());
        let stale = match self.cache().get(key, now) {
            Cached::Fresh(outcome) => return outcome,
            Cached::Stale(document) => Some(document),
            Cached::Absent => None,
        };
        let path = match resolve(request.path(), self.prefix) {
            Ok(path) => path,
            Err(outcome) => return outcome,
        };
        // The lock is not held during the system calls.
        let outcome = lookup(&self.root, &path, stale.as_ref());
        self.cache().insert(key, &outcome, now);
        outcome
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Files {
    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        if !ALLOWED_METHODS.contains(&request.method()) {
            return Response::method_not_allowed(request.method(), &ALLOWED_METHODS).into();
        }
        let response = match self.outcome(request) {
            Outcome::Document(document) if request.is_conditional() => {
                conditional_response(request, &document)
            }
            Outcome::Document(document) => full_response(&document),
            Outcome::Redirect(path) => redirect(self.prefix, &path, request.query()),
            Outcome::Error(status) => Response::error(status),
        };
        response.into()
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("root", &self.root).finish_non_exhaustive()
    }
}

/// The path to look up beneath the root, or the outcome if the requested path alone decides it: malformed, outside
/// `prefix`, or spelled with characters that a URI must not hold, which is redirected to the valid spelling.
fn resolve<'r>(requested: &'r str, prefix: &str) -> Result<RelativePath<'r>, Outcome> {
    let mut path = RelativePath::parse(requested).map_err(|error| {
        Outcome::Error(match error {
            PathError::NotAbsolute | PathError::BadEscape | PathError::Nul => Status::BAD_REQUEST,
            PathError::AboveRoot => Status::FORBIDDEN,
            PathError::EncodedSlash => Status::NOT_FOUND,
        })
    })?;
    if let Some(prefix) = prefix.strip_prefix('/') {
        path = path.strip_prefix(prefix.as_bytes()).ok_or(Outcome::Error(Status::NOT_FOUND))?;
    }
    if uri::is_valid(requested) { Ok(path) } else { Err(Outcome::Redirect(path.encode())) }
}

#[inline]
fn full_response(document: &Document) -> Response {
    Response::new(Status::OK)
        .with_shared_headers(document.headers.clone())
        .with_body(document.body(0..document.len()))
}

/// Evaluates preconditions, then ranges (RFC 9110 §13.2.2).
fn conditional_response(request: &Request<'_>, document: &Document) -> Response {
    let validators = Validators { etag: Some(&document.entity_tag), last_modified: document.last_modified };
    let response = match conditional::evaluate(true, request.headers(), &validators) {
        Precondition::NotModified => Response::new(Status::NOT_MODIFIED),
        Precondition::Failed => Response::error(Status::PRECONDITION_FAILED),
        Precondition::Passed => {
            // RFC 9110 §14.2: Range is defined for GET only.
            let range = request.header("Range").filter(|_| request.method() == Method::Get);
            let if_range = request.header("If-Range");
            return range
                .filter(|_| conditional::range_applies(if_range, &validators))
                .and_then(|range| byteranges::respond(document, range, if_range.is_some()))
                .unwrap_or_else(|| full_response(document));
        }
    };
    response.with_shared_headers(document.validator_headers.clone())
}

/// Redirects to `path` beneath `prefix`, with the query of the request in a valid spelling.
///
/// `path` begins with exactly one slash ([`RelativePath::encode`]), so the redirect never leaves the site.
fn redirect(prefix: &str, path: &str, query: Option<&str>) -> Response {
    let location = match query {
        Some(query) => format!("{prefix}{path}?{}", uri::normalize_query(query)),
        None => format!("{prefix}{path}"),
    };
    Response::error(Status::MOVED_PERMANENTLY).with_header("Location", location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_valid_paths_and_decides_the_outcome_of_others() {
        let check = |prefix: &str, path: &str, expected: Result<&str, Outcome>| {
            let path = resolve(path, prefix).map(|path| path.encode());
            assert_eq!(format!("{path:?}"), format!("{expected:?}"), "{prefix} {path:?}");
        };
        let redirect = |path: &str| Err(Outcome::Redirect(path.to_owned()));
        check("", "/a%20b/../c", Ok("/c"));
        check("", "/a|b", redirect("/a%7Cb"));
        check("", "//evil.example\\", redirect("/evil.example%5C"));
        for malformed in ["a", "/%zz", "/%00"] {
            check("", malformed, Err(Outcome::Error(Status::BAD_REQUEST)));
        }
        check("", "/../a|", Err(Outcome::Error(Status::FORBIDDEN)));
        check("", "/a%2Fb", Err(Outcome::Error(Status::NOT_FOUND)));
        check("/static", "/static/", Ok("/"));
        check("/static", "/static/a|", redirect("/a%7C"));
        for outside in ["/static", "/statica", "/a", "/static/../a"] {
            check("/static", outside, Err(Outcome::Error(Status::NOT_FOUND)));
        }
    }
}
