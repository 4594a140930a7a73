//! The handler: takes what a path leads to from the cache or looks it up, and turns it into a response.
//!
//! For a cached document it makes no system call and no allocation. This file never touches the file system itself:
//! `lookup` does.

use crate::{
    byteranges,
    cache::{CacheCounts, Cached},
    compressor::Waiter,
    cors,
    disk::Pool,
    document::{Document, OpenDocument},
    listing::Listing,
    lookup::{Found, Redirect, Wanted, lookup},
    lookups::{LateLookup, Lookups},
    options::Options,
    pages::{self, ErrorDocument},
    root::Root,
    variants::{Selected, select},
};
use http_core::{
    Admit, Handler, Method, Rejected, Reply, Request, Response, Status,
    conditional::{self, Precondition, Validators},
    path::{self, RelativePath},
};
use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Weak},
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
    /// The beginning of the request paths that lead to the root, for example `static`: the path `/static/a` then names
    /// the file `a` in the root. It has no slash at either end. Empty if `/a` names that file.
    prefix: Box<[u8]>,
    options: Arc<Options>,
    lookups: Arc<Lookups>,
}

/// Reads how often the cache of one [`Files`] was asked. Does not keep the cache in memory.
#[derive(Clone, Debug)]
pub struct CacheCounter(Weak<Lookups>);

impl CacheCounter {
    /// Returns the present counts; `None` if the handler was dropped. Locks the cache while it reads the two numbers.
    pub fn read(&self) -> Option<CacheCounts> {
        Some(self.0.upgrade()?.counts())
    }
}

/// The path that [`Files`] serves in place of the requested one, in its normalised form. Middleware attaches it to the
/// request ([`Request::with_extension`]).
#[derive(Debug)]
pub struct RewrittenPath(pub Vec<u8>);

impl RewrittenPath {
    /// Returns the path to serve: the path attached to the request, or the requested path if none is attached.
    #[inline]
    pub fn of<'r>(request: &Request<'r>) -> &'r [u8] {
        request.extension::<RewrittenPath>().map_or(request.path_bytes(), |path| &path.0)
    }

    /// Returns the cache key of the path to serve: the path, but without its first slash if it was rewritten. So the
    /// two have different keys: with clean URLs, a rewritten path leads to a file, and the same path, requested, to a
    /// redirect.
    #[inline]
    fn key<'r>(request: &Request<'r>) -> &'r [u8] {
        match request.extension::<RewrittenPath>() {
            Some(RewrittenPath(path)) => path.strip_prefix(b"/").unwrap_or(path),
            None => request.path_bytes(),
        }
    }
}

/// The status of the error that [`Files`] responds with in place of a file, with the site's page for it. Middleware
/// attaches it to a request that it denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied(pub Status);

/// What a request for a path leads to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A document to send.
    Document(OpenDocument, Role),
    /// A directory to list.
    Listing(Arc<Listing>),
    /// A redirect to the URL of the file that the path names.
    Redirect(Redirect),
    /// An error page of the library with this status.
    Error(Status),
    /// An error with a page of the site, or the page of a single-page application for the requests that want it.
    ErrorDocument(Arc<ErrorDocument>),
}

/// Why a document is the response.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// The request names it.
    Requested,
    /// It is the page of a single-page application, in place of a file that does not exist.
    Fallback,
    /// It is the page of an error with this status. `has_fallback`: a request that prefers HTML gets the page of the
    /// application instead.
    ErrorPage { status: Status, has_fallback: bool },
}

impl From<Found> for Outcome {
    fn from(found: Found) -> Outcome {
        match found {
            Found::Document(document) => Outcome::Document(document, Role::Requested),
            Found::Listing(listing) => Outcome::Listing(listing),
            Found::Redirect(redirect) => Outcome::Redirect(redirect),
            Found::Error(status) => Outcome::Error(status),
            Found::ErrorDocument(page) => Outcome::ErrorDocument(page),
        }
    }
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
        Files { root, prefix: Box::default(), options: Arc::default(), lookups: Arc::default() }
    }

    /// Serves the root at request paths below `prefix`, for example `/static`: the path `/static/a` then names the file
    /// `a` in the root, and `/static` is redirected to `/static/`. A request for any other path gets 404. If `prefix`
    /// is empty or `/`, the path `/a` names that file.
    ///
    /// `prefix` is decoded: a `%` in it is just that character. A slash at its beginning or its end makes no
    /// difference.
    pub fn with_prefix(self, prefix: &str) -> Files {
        let path = path::from_decoded(prefix);
        let path = path.strip_prefix(b"/").unwrap_or(&path);
        let prefix: Box<[u8]> = path.strip_suffix(b"/").unwrap_or(path).into();
        Files { options: self.options.below(&prefix), prefix, ..self }
    }

    /// Sets how the files are served. Workers may share the options.
    pub fn with_options(self, options: impl Into<Arc<Options>>) -> Files {
        Files { options: options.into().below(&self.prefix), ..self }
    }

    /// Returns the counter of this handler's cache.
    pub fn cache_counter(&self) -> CacheCounter {
        CacheCounter(Arc::downgrade(&self.lookups))
    }

    /// Looks up what the path of a request leads to. `stale` is the document that an earlier lookup has found. If the
    /// lookup may block, a thread makes it, and responds later.
    fn look_up(&self, request: &Request<'_>, stale: Option<Arc<Document>>) -> Reply {
        let now = request.received_at();
        let path = match resolve(RewrittenPath::of(request), &self.prefix) {
            Ok(path) => path,
            Err(outcome) => return respond(request, outcome, &self.options).into(),
        };
        let wanted = Wanted::new(path, stale, Arc::clone(&self.options), (now, date_of_response(request)));
        let wanted = wanted.rewritten(request.extension::<RewrittenPath>().is_some());
        self.find(request, wanted, RewrittenPath::key(request))
    }

    /// Responds with the page of an error that middleware has decided.
    fn deny(&self, request: &Request<'_>, status: Status) -> Reply {
        let times = (request.received_at(), date_of_response(request));
        let wanted = Wanted::error_page(status, Arc::clone(&self.options), times);
        // No path contains NUL.
        self.find(request, wanted, format!("\0{}", status.code()).as_bytes())
    }

    /// Makes a lookup and responds. The result is cached under `key`.
    fn find(&self, request: &Request<'_>, wanted: Wanted, key: &[u8]) -> Reply {
        let found = match lookup(&self.root, &wanted, None) {
            Ok(found) => found,
            Err(pool) => return self.look_up_later(request, wanted, key, pool),
        };
        self.lookups.insert(key, &found, request.received_at());
        reply(&self.root, request, found.into(), &self.options)
    }

    /// Looks up what the path of a request leads to on a thread of `pool`.
    fn look_up_later(&self, request: &Request<'_>, wanted: Wanted, key: &[u8], pool: Arc<Pool>) -> Reply {
        let late = LateLookup {
            lookups: Arc::clone(&self.lookups),
            root: Arc::clone(&self.root),
            wanted,
            key: key.into(),
            client: request.client_addr().into(),
        };
        let request = request.to_owned();
        Reply::deferred(move |responder| late.begin(&pool, request, responder))
    }
}

impl Handler for Files {
    /// No file depends on content: the server drops it after the response.
    fn admit(&self, _: &Request<'_>) -> Admit {
        Admit::AtHead
    }

    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        if let Some(Denied(status)) = request.extension() {
            return self.deny(request, *status);
        }
        if !ALLOWED_METHODS.contains(&request.method()) {
            let response = if self.options.cors.is_some() && cors::is_preflight(request) {
                cors::preflight_response()
            } else {
                Response::method_not_allowed(request.method(), &ALLOWED_METHODS)
            };
            return self.options.complete(Some(request), response).into();
        }
        let outcome = match self.lookups.cached(RewrittenPath::key(request), request.received_at()) {
            Cached::Fresh(document) => Outcome::Document(document, Role::Requested),
            Cached::NotFound(None) => Outcome::Error(Status::NOT_FOUND),
            Cached::NotFound(Some(page)) => Outcome::ErrorDocument(page),
            Cached::Stale(document) => return self.look_up(request, Some(document)),
            Cached::Absent => return self.look_up(request, None),
        };
        reply(&self.root, request, outcome, &self.options)
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.options.complete(rejected.request.as_ref(), response)
    }
}

/// Replies to a request with this outcome: a document in the encoding that the client prefers. If a document must be
/// compressed first, a thread does that and responds.
#[inline]
pub(super) fn reply(root: &Root, request: &Request<'_>, outcome: Outcome, options: &Arc<Options>) -> Reply {
    let (document, role) = match outcome {
        Outcome::Document(document, role) => (document, role),
        Outcome::ErrorDocument(page) => match page.document_for(request) {
            Some(found) => found,
            None => return respond(request, Outcome::ErrorDocument(page), options).into(),
        },
        outcome => return respond(request, outcome, options).into(),
    };
    let document = match select(document, request) {
        Selected::Ready(document) => document,
        Selected::ToCompressWhileSent(original) => root.compressor.compress_while_sent(original, request),
        Selected::ToCompress(original) => match root.compressor.find(original) {
            Ok(document) => document,
            Err(original) => {
                let (compressor, options) = (root.compressor.clone(), Arc::clone(options));
                let request = request.to_owned();
                return Reply::deferred(move |responder| {
                    compressor.begin(Waiter { original, role, request, options, responder });
                });
            }
        },
    };
    respond(request, Outcome::Document(document, role), options).into()
}

/// Returns the response to a request with this outcome.
#[inline]
pub(super) fn respond(request: &Request<'_>, outcome: Outcome, options: &Options) -> Response {
    let response = match outcome {
        Outcome::Document(document, Role::Requested) => document_response(request, document),
        Outcome::Document(document, Role::Fallback) => {
            document_response(request, document).append_header("Vary", "Accept")
        }
        Outcome::Document(document, Role::ErrorPage { status, has_fallback }) => {
            with_retry_after(error_response(request, document, status, has_fallback))
        }
        // Relative references in the listing need the path as it is written here.
        Outcome::Listing(_) if !is_plain(request) => redirect_response(request, Redirect::Directory),
        Outcome::Listing(listing) => return listing.respond(request, options),
        // The path was rewritten: the redirect would lead to the requested path again.
        Outcome::Redirect(Redirect::Directory) if request.path_bytes().ends_with(b"/") => {
            Response::error(Status::NOT_FOUND)
        }
        Outcome::Redirect(redirect) => redirect_response(request, redirect),
        Outcome::ErrorDocument(page) => with_retry_after(page.library_page()),
        Outcome::Error(status) => with_retry_after(Response::error(status)),
    };
    options.complete(Some(request), response)
}

/// Adds a Retry-After header to a 503: descriptors, memory or threads of a file system are lacking, and other responses
/// will release some.
fn with_retry_after(response: Response) -> Response {
    match response.status() {
        Status::SERVICE_UNAVAILABLE => response.with_header("Retry-After", "1"),
        _ => response,
    }
}

/// Returns the response to a request for a document.
#[inline]
fn document_response(request: &Request<'_>, document: OpenDocument) -> Response {
    if request.is_conditional() {
        conditional_response(request, document)
    } else {
        full_response(request, document)
    }
}

/// Returns the response with the page of an error.
fn error_response(request: &Request<'_>, page: OpenDocument, status: Status, has_fallback: bool) -> Response {
    let mut response = Response::new(status);
    for name in ["Content-Type", "Content-Encoding"] {
        if let Some(value) = page.headers.get(name) {
            response = response.with_header(name, value);
        }
    }
    if page.compression.is_on() {
        response = response.append_header("Vary", "Accept-Encoding");
    }
    if has_fallback {
        response = response.append_header("Vary", "Accept");
    }
    response.with_body(page.into_body(request.client_addr()))
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Removes `prefix` from the path of a request, as [`Request::path_bytes`] returns it. Returns the path to look up
/// beneath the root.
///
/// # Errors
///
/// The outcome of the request, if no lookup is needed: 404 if the path is neither `prefix` nor below it, and a redirect
/// if it is `prefix` without a slash at its end.
fn resolve<'r>(path: &'r [u8], prefix: &[u8]) -> Result<RelativePath<'r>, Outcome> {
    let path = RelativePath::new(path).and_then(|path| path.strip_prefix(prefix));
    match path {
        Some(path) if path.as_bytes().is_empty() && !path.is_directory() => {
            Err(Outcome::Redirect(Redirect::Directory))
        }
        Some(path) => Ok(path),
        None => Err(Outcome::Error(Status::NOT_FOUND)),
    }
}

/// Returns a 200 with the whole document.
#[inline]
fn full_response(request: &Request<'_>, document: OpenDocument) -> Response {
    let headers = document.headers.clone();
    Response::new(Status::OK)
        .with_shared_headers(headers)
        .with_body(document.into_body(request.client_addr()))
}

/// Returns the response to a request with preconditions (such as If-None-Match) or a Range header: 304, 412, 206, 416,
/// or 200 with the whole document. Evaluates the headers in the order of RFC 9110 §13.2.2.
fn conditional_response(request: &Request<'_>, document: OpenDocument) -> Response {
    let validators = Validators { etag: Some(&document.entity_tag), last_modified: document.last_modified };
    match conditional::evaluate(true, request.headers(), &validators, SystemTime::now) {
        Precondition::NotModified => {
            Response::new(Status::NOT_MODIFIED).with_shared_headers(document.not_modified_headers.clone())
        }
        Precondition::Failed => Response::error(Status::PRECONDITION_FAILED)
            .with_shared_headers(document.validator_headers.clone()),
        Precondition::Passed => {
            // RFC 9110 §14.2: Range is defined for GET only.
            let range = request.header("Range").filter(|_| request.method() == Method::Get);
            let if_range = request.header("If-Range");
            // Only If-Range needs the date, and so a look at the clock.
            let applies = || {
                if_range.is_none()
                    || conditional::range_applies(if_range, &validators, date_of_response(request))
            };
            range
                .filter(|_| applies())
                .and_then(|range| {
                    byteranges::respond(&document, range, if_range.is_some(), request.client_addr())
                })
                .unwrap_or_else(|| full_response(request, document))
        }
    }
}

/// Returns the time at which the response to a request that arrived just now originates: that of its Date header,
/// unless it is sent later.
fn date_of_response(request: &Request<'_>) -> SystemTime {
    // The engine formats the date when it receives, so that the present time can be a second later.
    let now = SystemTime::now();
    now.checked_sub(request.received_at().elapsed()).unwrap_or(now)
}

/// Returns whether the path as sent has the same segments as the normalised one, and a slash at its end.
fn is_plain(request: &Request<'_>) -> bool {
    let slashes = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count();
    let raw = request.raw_path().as_bytes();
    raw.ends_with(b"/") && slashes(raw) == slashes(request.path_bytes())
}

/// Returns a 301 to the URL of the file that the requested path names, with the same query. The Location is a relative
/// reference.
fn redirect_response(request: &Request<'_>, redirect: Redirect) -> Response {
    let path = request.path_bytes();
    let path = match redirect {
        Redirect::Directory => RelativePath::new(path).map(RelativePath::as_directory),
        Redirect::Page => RelativePath::new(path.strip_suffix(b"/").unwrap_or(path)),
        Redirect::CleanUrl => RelativePath::new(pages::clean_path(path).unwrap_or(path)),
    };
    let location = path.map(|path| request.reference_to(path)).unwrap_or_default();
    Response::error(Status::MOVED_PERMANENTLY).with_header("Location", location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_paths_below_the_prefix() {
        let check = |prefix: &str, path: &str, expected: Result<&str, Outcome>| {
            let path = resolve(path.as_bytes(), prefix.as_bytes()).map(|path| path.encode());
            assert_eq!(format!("{path:?}"), format!("{expected:?}"), "{prefix} {path:?}");
        };
        check("", "/", Ok("/"));
        check("", "/a", Ok("/a"));
        check("a/b", "/a/b/", Ok("/"));
        check("a/b", "/a/b/c/", Ok("/c/"));
        check("a/b", "/a/b", Err(Outcome::Redirect(Redirect::Directory)));
        for outside in ["/a/bc", "/a", "/", "/b/a/b", "*", ""] {
            check("a/b", outside, Err(Outcome::Error(Status::NOT_FOUND)));
        }
    }
}
