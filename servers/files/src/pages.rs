//! What is served for a path that names no plain file: clean URLs, the page of a single-page application, error pages.

use crate::{
    document::{Document, OpenDocument},
    files::Role,
};
use http_core::{Method, Request, Response, Status, negotiate, path};
use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The extension that clean URLs omit.
const PAGE_EXTENSION: &[u8] = b".html";

/// The name of an automatic error page for 404.
const MISSING_PAGE: &[u8] = b"404.html";

/// The maximum number of directories of a path, from the root downwards, in which an automatic error page is looked
/// for. A client chooses the depth of a path, and each directory costs a system call.
const MAX_DEPTH: usize = 16;

/// The maximum number of pages in [`PageDocuments`].
const MAX_PAGES: usize = 64;

/// The path of a file that is served for other paths, relative to the document root.
///
/// ```
/// use http_files::PagePath;
///
/// assert!("/errors/missing.html".parse::<PagePath>().is_ok());
/// assert!("errors/".parse::<PagePath>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PagePath(Box<[u8]>);

impl PagePath {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for PagePath {
    type Err = PageError;

    fn from_str(text: &str) -> Result<PagePath, PageError> {
        let path = path::from_decoded(text);
        match path.strip_prefix(b"/") {
            Some(path) if !path.is_empty() && !path.ends_with(b"/") && !path.contains(&0) => {
                Ok(PagePath(path.into()))
            }
            _ => Err(PageError("the page is not the path of a file below the directory")),
        }
    }
}

impl fmt::Debug for PagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.escape_ascii())
    }
}

/// Why a text is no [`PagePath`] or no [`ErrorPage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageError(&'static str);

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for PageError {}

/// A page for the errors with one status, or with all statuses of a class: `404=/missing.html` or `5xx=/failed.html`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    statuses: Statuses,
    page: PagePath,
}

impl ErrorPage {
    pub(super) fn page(&self) -> &PagePath {
        &self.page
    }
}

/// The statuses that a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statuses {
    One(u16),
    /// All statuses with this first digit.
    Class(u16),
}

impl FromStr for ErrorPage {
    type Err = PageError;

    fn from_str(text: &str) -> Result<ErrorPage, PageError> {
        let invalid = PageError("expected STATUS=PAGE with a status from 400 to 599, 4xx or 5xx");
        let (status, page) = text.split_once('=').ok_or(invalid)?;
        let statuses = match (status, status.parse()) {
            ("4xx", _) => Statuses::Class(4),
            ("5xx", _) => Statuses::Class(5),
            (_, Ok(code @ 400..=599)) => Statuses::One(code),
            _ => return Err(invalid),
        };
        Ok(ErrorPage { statuses, page: page.parse()? })
    }
}

/// The error pages of a site. The default has none: clients get the short pages of the library.
///
/// Errors that occur before the file system is asked, or because it does not answer, have no other page: for example,
/// 405, 412, 416 and 504.
#[derive(Clone, Debug, Default)]
pub struct ErrorPages {
    /// The pages for certain statuses. One for a status precedes one for its class; then the last one wins.
    pub by_status: Vec<ErrorPage>,
    /// Whether the nearest file `404.html` is the page for 404, unless there is one in `by_status`: in the directory of
    /// the requested path, or else in the one above, up to the root. Only the first 16 directories of a path count.
    pub automatic: bool,
}

impl ErrorPages {
    /// Returns the paths of the pages for an error with this status, the best first. `path` is that of the file that
    /// was requested, relative to the root.
    pub(super) fn candidates(&self, status: Status, path: &[u8]) -> Vec<Vec<u8>> {
        let find = |statuses| self.by_status.iter().rev().find(|page| page.statuses == statuses);
        let code = status.code();
        if let Some(page) = find(Statuses::One(code)).or_else(|| find(Statuses::Class(code / 100))) {
            return vec![page.page.as_bytes().to_vec()];
        }
        if !self.automatic || status != Status::NOT_FOUND {
            return Vec::new();
        }
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let directories = slashes.map(|(index, _)| &path[..=index]).take(MAX_DEPTH - 1);
        let mut pages: Vec<_> = directories.map(|directory| [directory, MISSING_PAGE].concat()).collect();
        pages.reverse();
        pages.push(MISSING_PAGE.to_vec());
        pages
    }
}

/// Returns the path of the page that a clean URL names.
pub(super) fn page_name(path: &[u8]) -> Vec<u8> {
    [path, PAGE_EXTENSION].concat()
}

/// Returns whether a path names a page by its file name.
pub(super) fn is_page(path: &[u8]) -> bool {
    path.ends_with(PAGE_EXTENSION) && clean_path(path).is_some()
}

/// Returns the clean URL of a page, a path relative to the root: the path without `.html`, and that of a directory,
/// with a slash at its end, for `index` and `index.html`. Returns `None` if `path` is a clean URL.
pub(super) fn clean_path(path: &[u8]) -> Option<&[u8]> {
    let short = path.strip_suffix(PAGE_EXTENSION);
    let name = short.unwrap_or(path);
    match name.strip_suffix(b"index") {
        Some(directory) if directory.is_empty() || directory.ends_with(b"/") => Some(directory),
        _ => short.filter(|short| !short.is_empty() && !short.ends_with(b"/")),
    }
}

/// Returns whether a path may be one of a single-page application: its last segment has no extension.
pub(super) fn is_application_path(path: &[u8]) -> bool {
    path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| !name.contains(&b'.'))
}

/// An error with a page of the site, or a path that may be one of a single-page application.
#[derive(Debug)]
pub(super) struct ErrorDocument {
    pub(super) status: Status,
    /// The content of the response; `None` for the library's page.
    pub(super) page: Option<Arc<Document>>,
    /// The page of the single-page application.
    pub(super) fallback: Option<Arc<Document>>,
}

impl ErrorDocument {
    /// Returns what the request gets: the page of the single-page application if it navigates to it, or else the site's
    /// page for the error. `None` for the library's.
    pub(super) fn document_for(&self, request: &Request<'_>) -> Option<(OpenDocument, Role)> {
        if let Some(fallback) =
            self.fallback.as_ref().filter(|_| is_navigation(request)).and_then(Document::open)
        {
            return Some((fallback, Role::Fallback));
        }
        let role = Role::ErrorPage { status: self.status, has_fallback: self.fallback.is_some() };
        Some((self.page.as_ref()?.open()?, role))
    }

    /// Returns whether the page of the application is for one response only ([`Document::is_dated`]).
    pub(super) fn is_dated(&self) -> bool {
        self.fallback.as_ref().is_some_and(|fallback| fallback.is_dated)
    }

    /// Returns the response with the library's page.
    pub(super) fn library_page(&self) -> Response {
        let response = Response::error(self.status);
        if self.fallback.is_some() { response.append_header("Vary", "Accept") } else { response }
    }
}

/// Returns whether the client wants to show a page: its `Accept` prefers HTML to JSON and to everything else. A browser
/// that follows a link says so; a script, an image or `fetch` does not.
fn is_navigation(request: &Request<'_>) -> bool {
    const OFFERS: [&str; 3] = ["application/octet-stream", "application/json", "text/html"];
    let accept = request.header_values("Accept");
    matches!(request.method(), Method::Get | Method::Head) && negotiate::preferred(accept, &OFFERS) == Some(2)
}

/// The documents that were served for other paths before. Any number of paths can share such a page, and each lookup
/// reads it only if it has changed.
#[derive(Debug, Default)]
pub(super) struct PageDocuments(Mutex<VecDeque<Page>>);

/// The path of a page, and its last document.
type Page = (Box<[u8]>, Arc<Document>);

impl PageDocuments {
    /// Returns the last document of the page at `path`.
    pub(super) fn get(&self, path: &[u8]) -> Option<Arc<Document>> {
        let pages = self.pages();
        pages.iter().find(|(name, _)| **name == *path).map(|(_, document)| Arc::clone(document))
    }

    /// Stores the document of the page at `path`, and forgets the one that was stored first if there are too many.
    pub(super) fn insert(&self, path: &[u8], document: Arc<Document>) {
        let mut pages = self.pages();
        pages.retain(|(name, _)| **name != *path);
        if pages.len() >= MAX_PAGES {
            pages.pop_front();
        }
        pages.push_back((path.into(), document));
    }

    fn pages(&self) -> MutexGuard<'_, VecDeque<Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_urls_omit_the_extension_and_the_index() {
        for (path, expected) in [
            ("about.html", Some("about")),
            ("a/b.html", Some("a/b")),
            ("index.html", Some("")),
            ("a/index.html", Some("a/")),
            ("a/index", Some("a/")),
            ("about", None),
            ("a/.html", None),
            ("a.htm", None),
            ("myindex", None),
        ] {
            let clean = clean_path(path.as_bytes());
            assert_eq!(clean, expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn error_pages_are_chosen_by_status_then_by_class_then_by_directory() {
        let explicit = ["404=/a.html", "5xx=f.html", "5xx=/g.html", "503=//h.html"];
        let explicit = explicit.map(|page| page.parse().expect("a page"));
        let check = |pages: &[ErrorPage], code: u16, path: &str, expected: &[&str]| {
            let pages = ErrorPages { by_status: pages.to_vec(), automatic: true };
            let candidates = pages.candidates(Status::new(code), path.as_bytes());
            let candidates: Vec<_> =
                candidates.iter().map(|page| str::from_utf8(page).expect("text")).collect();
            assert_eq!(candidates, expected, "{code} {path}");
        };
        check(&explicit, 404, "x/y", &["a.html"]);
        check(&explicit, 500, "x/y", &["g.html"]);
        check(&explicit, 503, "x/y", &["h.html"]);
        check(&explicit, 403, "x/y", &[]);
        check(&[], 404, "x/y/z", &["x/y/404.html", "x/404.html", "404.html"]);
        check(&[], 404, "", &["404.html"]);
        check(&[], 500, "x", &[]);
        let pages = ErrorPages { by_status: Vec::new(), automatic: true };
        assert_eq!(pages.candidates(Status::NOT_FOUND, &b"a/".repeat(1000)).len(), MAX_DEPTH);
    }

    #[test]
    fn a_text_that_is_no_error_page_is_rejected() {
        for text in ["404", "404=", "404=/", "404=a/", "200=/a", "600=/a", "3xx=/a", "=/a", "404=a\0b"] {
            assert!(text.parse::<ErrorPage>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_number_of_pages_in_memory_is_limited() {
        let documents = PageDocuments::default();
        let file = tempfile::tempfile().expect("a file");
        let version = crate::version::FileVersion::of(&file).expect("its version").1;
        let options = crate::Options::default();
        let date = std::time::SystemTime::now();
        let settings = crate::document::Settings { path: b"a.html", options: &options, coding: None, date };
        let document = Document::in_memory(Vec::new(), version, settings);
        for number in 0..=MAX_PAGES {
            documents.insert(number.to_string().as_bytes(), Arc::clone(document.document()));
        }
        assert!(documents.get(b"0").is_none() && documents.get(b"1").is_some());
        assert_eq!(documents.pages().len(), MAX_PAGES);
    }
}
