//! The handler: takes the outcome of a request from the cache or looks it up, and turns it into a response.
//!
//! For a cached document it makes no system call and no allocation. This file never touches the file system itself:
//! `lookup` does.

use crate::{
    byteranges,
    cache::{Cache, Cached},
    document::Document,
    lookup::{Outcome, lookup},
    root::Root,
};
use http_core::{
    Admit, Handler, Method, Reply, Request, Response, Status,
    conditional::{self, Precondition, Validators},
    path::{PathError, RelativePath},
    uri,
};
use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// The methods that a file supports. Any other method is rejected before the path is looked up.
const ALLOWED_METHODS: [Method; 2] = [Method::Get, Method::Head];

/// Serves the files beneath a document root.
///
/// Give each worker its own `Files`: each has its own cache, so that workers do not wait for each other's lock.
/// Workers may share the [`Root`].
pub struct Files {
    root: Arc<Root>,
    /// The beginning of the request paths that lead to the root, for example `/static`: the path `/static/a` then names
    /// the file `a` in the root. Empty if `/a` names that file.
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

    /// Serves the root at request paths that begin with `prefix`, for example `/static`: the path `/static/a` then
    /// names the file `a` in the root. A request for any other path gets 404. If `prefix` is empty, `/a` names that
    /// file.
    ///
    /// A `prefix` that is not empty must begin with a slash and must not end with one. A debug build panics otherwise.
    /// A release build does not check this, and serves wrong paths.
    pub fn with_prefix(self, prefix: &'static str) -> Files {
        debug_assert!(prefix.is_empty() || prefix.starts_with('/') && !prefix.ends_with('/'), "{prefix}");
        Files { prefix, ..self }
    }

    /// Returns what the path and the query of a request lead to: a document, a redirect or an error.
    ///
    /// If the path leads to a document, but the query is not valid in a URI, this is a redirect to the same path: its
    /// Location has the query with percent-encoding.
    #[inline]
    fn outcome(&self, request: &Request<'_>) -> Outcome {
        let outcome = self.path_outcome(request);
        // Browsers send characters in a query that a URI must not hold (RFC 9112 §3).
        if matches!(outcome, Outcome::Document(_)) && !request.query().is_none_or(uri::is_valid) {
            let path = resolve(request.path(), self.prefix);
            return path.map_or_else(|outcome| outcome, |path| Outcome::Redirect(path.encode()));
        }
        outcome
    }

    /// Returns what the path of a request leads to: a document, a redirect or an error. Takes it from the cache, or
    /// looks the path up, and caches the outcome if it is a document or a 404.
    #[inline]
    fn path_outcome(&self, request: &Request<'_>) -> Outcome {
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

    /// Locks the cache. A panic in another thread that held the lock is ignored: the cache is valid at all times.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Files {
    /// No file depends on content: the server drops it after the response.
    fn admit(&self, _: &Request<'_>) -> Admit {
        Admit::AtHead
    }

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

/// Decodes a requested path and removes `prefix`. Returns the path to look up beneath the root.
///
/// # Errors
///
/// The outcome of the request, if no lookup is needed: 400 if the path is malformed, 403 if it leads above the root,
/// 404 if it does not begin with `prefix`, and a redirect to the percent-encoded path if it contains characters that a
/// URI must not contain.
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

/// Returns a 200 with the whole document.
#[inline]
fn full_response(document: &Document) -> Response {
    Response::new(Status::OK)
        .with_shared_headers(document.headers.clone())
        .with_body(document.body(0..document.len()))
}

/// Returns the response to a request with preconditions (such as If-None-Match) or a Range header: 304, 412, 206, 416,
/// or 200 with the whole document. Evaluates the headers in the order of RFC 9110 §13.2.2.
fn conditional_response(request: &Request<'_>, document: &Document) -> Response {
    let validators = Validators { etag: Some(&document.entity_tag), last_modified: document.last_modified };
    let response = match conditional::evaluate(true, request.headers(), &validators, SystemTime::now) {
        Precondition::NotModified => Response::new(Status::NOT_MODIFIED),
        Precondition::Failed => Response::error(Status::PRECONDITION_FAILED),
        Precondition::Passed => {
            // RFC 9110 §14.2: Range is defined for GET only.
            let range = request.header("Range").filter(|_| request.method() == Method::Get);
            let if_range = request.header("If-Range");
            return range
                .filter(|_| {
                    if_range.is_none() || conditional::range_applies(if_range, &validators, SystemTime::now())
                })
                .and_then(|range| byteranges::respond(document, range, if_range.is_some()))
                .unwrap_or_else(|| full_response(document));
        }
    };
    response.with_shared_headers(document.validator_headers.clone())
}

/// Returns a 301 whose Location is `prefix`, then `path`, then `?` and `query` if the request has a query.
///
/// `query` is the text after the question mark, or `None` if there is no question mark. In it, each character that a
/// URI must not contain is percent-encoded, and so is each `%` that begins no complete escape.
///
/// `path` is the result of [`RelativePath::encode`]. It begins with exactly one slash, so the redirect never leaves the
/// site.
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
