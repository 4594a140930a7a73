//! Serves the files beneath a document root: decides what a path leads to, then answers with it.

mod byteranges;
mod cache;
mod document;
mod mime;
mod negative_cache;
mod root;

pub use root::Root;

use cache::Cache;
use document::{Document, Found};
use http_core::{
    Handler, Method, Reply, Request, Response, Status,
    conditional::{self, Verdict},
    path::{PathError, RelativePath},
    range::{self, Ranges},
    spelling,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// What can be done with a file.
const ALLOWED: [Method; 2] = [Method::Get, Method::Head];

/// The most ranges that one answer is cut into: more is nothing that a viewer or a download wants.
const MAX_PARTS: usize = 16;

/// Answers with the files of a document root.
///
/// Each worker wants one of its own: it remembers what paths led to, and a memory that is shared is waited for.
pub struct Files {
    root: Arc<Root>,
    /// The directory of the site that the root takes the place of, as `/static`; empty for the site itself.
    mount: &'static str,
    cache: Mutex<Cache>,
}

impl Files {
    /// Serves what lies beneath `root`.
    ///
    /// # Errors
    ///
    /// See [`Root::open`].
    pub fn new(root: &Path) -> std::io::Result<Files> {
        Ok(Files::beneath(Arc::new(Root::open(root)?)))
    }

    /// Serves what lies beneath a root that is open.
    pub fn beneath(root: Arc<Root>) -> Files {
        Files { root, mount: "", cache: Mutex::default() }
    }

    /// Serves it as the directory `mount` of the site, as `/static`; what lies outside of that is not found.
    pub fn mounted(self, mount: &'static str) -> Files {
        Files { mount, ..self }
    }

    #[inline]
    fn find(&self, request: &Request<'_>) -> Result<Found, PathError> {
        let (octets, now) = (request.path_bytes(), request.received());
        let known = match self.cache().find(octets, now) {
            Some((found, true)) => return Ok(found),
            stale => stale.map(|(found, _)| found),
        };
        let path = request.path();
        let mut relative = RelativePath::parse(path)?;
        if let Some(mount) = self.mount.strip_prefix('/') {
            let Some(below) = relative.below(mount.as_bytes()) else {
                return Ok(Found::Refused(Status::NOT_FOUND));
            };
            relative = below;
        }
        // The lock is free while the file system is asked.
        let found = if spelling::is_sound(path) {
            Found::look_up(&self.root, &relative, known.as_ref())
        } else {
            Found::Moved(relative.encode().into())
        };
        self.cache().keep(octets, &found, now);
        Ok(found)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Files {
    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        if !ALLOWED.contains(&request.method()) {
            return Response::method_refused(request.method(), &ALLOWED).into();
        }
        let response = match self.find(request) {
            Ok(Found::Document(_)) if !request.query().is_none_or(spelling::is_sound) => respelled(request),
            Ok(Found::Document(document)) if request.is_conditional() => {
                conditional_answer(request, &document)
            }
            Ok(Found::Document(document)) => whole(&document),
            Ok(Found::Moved(path)) => moved(&format!("{}{path}", self.mount), request.query()),
            Ok(Found::Refused(status)) => Response::error(status),
            Err(error) => Response::error(status(error)),
        };
        response.into()
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("root", &self.root).finish_non_exhaustive()
    }
}

fn status(error: PathError) -> Status {
    match error {
        PathError::NotAbsolute | PathError::BadEscape | PathError::Nul => Status::BAD_REQUEST,
        PathError::AboveRoot => Status::FORBIDDEN,
        PathError::EncodedSlash => Status::NOT_FOUND,
    }
}

#[inline]
fn whole(document: &Document) -> Response {
    Response::new(Status::OK).with_ready(document.fields.clone()).with_body(document.whole())
}

/// Preconditions first, then ranges (RFC 9110 §13.2.2).
fn conditional_answer(request: &Request<'_>, document: &Document) -> Response {
    let validators = document.validators();
    let bare = |status| Response::new(status).with_ready(document.validators.clone());
    match conditional::evaluate(true, request.fields(), &validators) {
        Verdict::NotModified => return bare(Status::NOT_MODIFIED),
        Verdict::PreconditionFailed => {
            return Response::error(Status::PRECONDITION_FAILED).with_ready(document.validators.clone());
        }
        Verdict::Proceed => {}
    }
    // RFC 9110 §14.2: Range is defined for GET alone.
    let range = request.field("Range").filter(|_| request.method() == Method::Get);
    let if_range = request.field("If-Range");
    match range.filter(|_| conditional::range_applies(if_range, &validators)) {
        Some(field) => partial(document, field, if_range.is_some()),
        None => whole(document),
    }
}

/// The parts that a Range field asks for. Who knows the document already is not told again what it is
/// (RFC 9110 §15.3.7).
fn partial(document: &Document, field: &[u8], known: bool) -> Response {
    let ranges = match range::resolve(field, document.len(), MAX_PARTS) {
        Ranges::Whole => return whole(document),
        Ranges::Unsatisfiable => {
            return Response::error(Status::RANGE_NOT_SATISFIABLE)
                .with_ready(document.validators.clone())
                .header("Content-Range", range::unsatisfied(document.len()));
        }
        Ranges::Partial(ranges) => ranges,
    };
    let [one] = ranges[..] else { return byteranges::answer(document, &ranges) };
    let response = Response::new(Status::PARTIAL_CONTENT)
        .header("Content-Range", one.content_range(document.len()))
        .with_body(document.part(one));
    if known {
        response.header("ETag", document.entity_tag())
    } else {
        response.with_ready(document.fields.clone())
    }
}

/// A redirect to the same target, spelled as it may be (RFC 9112 §3).
fn respelled(request: &Request<'_>) -> Response {
    match RelativePath::parse(request.path()) {
        Ok(path) => moved(&path.encode(), request.query()),
        Err(error) => Response::error(status(error)),
    }
}

/// A path that is ours, on this site, and the query as it came, or as it ought to have come.
fn moved(path: &str, query: Option<&str>) -> Response {
    let location = match query {
        Some(query) => format!("{path}?{}", spelling::mended_query(query)),
        None => path.to_owned(),
    };
    Response::error(Status::MOVED_PERMANENTLY).header("Location", location)
}
