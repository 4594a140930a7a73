//! What an operator chooses for the files of a site.

use crate::{
    cors::Cors,
    entity_tag::EntityTags,
    files::RewrittenPath,
    lookup::INDEX,
    pages::{self, ErrorPage, ErrorPages, PagePath},
    rules::HeaderRules,
    types::Types,
    variants::{Coding, Compression},
};
use http_core::{Headers, Request, Response, Status};
use std::{error::Error, fmt, sync::Arc};

/// How files are served. The default serves plain files, and nothing that shows more than they do.
///
/// ```
/// use http_files::{EntityTags, Files, Options};
/// use std::path::Path;
///
/// let options = Options { entity_tags: EntityTags::Mtime, ..Options::default() };
/// let files = Files::new(Path::new("."))?.with_options(options);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How the entity tags of the files are made. By default [`EntityTags::Strong`].
    pub entity_tags: EntityTags,
    /// Which compressed forms of the files are served. By default none.
    pub compression: Compression,
    /// The headers that the responses get in addition. By default none.
    pub headers: HeaderRules,
    /// Which other origins may read the files. Its headers take precedence over `headers`. By default `None`: responses
    /// permit none.
    pub cors: Option<Cors>,
    /// The media types of files. By default those that the server knows.
    pub types: Types,
    /// The page of a single-page application. It is the response, with status 200, to a navigation that leads to no
    /// file: a GET or HEAD request whose Accept header prefers `text/html`, for a path whose last segment has no
    /// extension.
    pub fallback: Option<PagePath>,
    /// Whether `/about` names the file `about.html` if there is no file `about`. `/about.html` is then redirected to
    /// `/about`, and so is `/about/` unless that directory has an index; `/index.html` is redirected to `/`. A page
    /// with a clean URL that leads to another file keeps its own.
    pub clean_urls: bool,
    /// The pages that clients get in place of the library's error pages.
    pub error_pages: ErrorPages,
    /// Pages that are never sent for other paths, also if they have the name of an automatic error page. By default
    /// none.
    pub excluded_pages: Vec<PagePath>,
    /// Whether a directory without an index is listed: in HTML, JSON or plain text, as the Accept header prefers. What
    /// would not be served is not listed.
    pub listing: bool,
    /// Whether hidden files are served: those with a path that contains a name that begins with a dot.
    pub hidden: bool,
}

impl Options {
    /// Returns the name of the document that a request for `path` may get, or be redirected to: the path without
    /// `index.html`, without the extension of a compressed form, without `.html` if URLs are clean, and without a slash
    /// at its end. Paths to the same document have the same name.
    pub fn document_name<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        let without_slash = |path: &'p [u8]| path.strip_suffix(b"/").unwrap_or(path);
        let path = without_slash(path);
        // A client can request a compressed form by its own name, too, whether it is served for others or not.
        let original = Coding::ALL.iter().find_map(|coding| path.strip_suffix(coding.extension().as_bytes()));
        let path = original.unwrap_or(path);
        let index = path.strip_suffix(INDEX).filter(|directory| directory.ends_with(b"/"));
        let clean = || self.clean_urls.then(|| pages::clean_path(path)).flatten();
        without_slash(index.or_else(clean).unwrap_or(path))
    }

    /// Whether `error_pages` has a page for the errors with this status, wherever they occur.
    pub fn has_page_for(&self, status: Status) -> bool {
        !self.error_pages.candidates(status, b"").is_empty()
    }

    /// Returns the pages that are sent for other paths: the paths of their files, relative to the document root.
    pub fn pages(&self) -> impl Iterator<Item = &[u8]> {
        let error_pages = self.error_pages.by_status.iter().map(ErrorPage::page);
        self.fallback.iter().chain(error_pages).map(PagePath::as_bytes)
    }

    /// Returns the headers to add to the responses with the file at `path`, relative to the document root.
    pub(super) fn headers_of_file(&self, path: &[u8], media_type: &str) -> Headers {
        let mut headers = Headers::default();
        self.headers.set_for_file(&mut headers, path, media_type);
        self.cors.iter().for_each(|cors| cors.set(&mut headers));
        headers
    }

    /// The same options, for files with URLs below `prefix`, which has no slash at either end. The globs of `headers`
    /// are then matched with the paths of requests below it. [`Files::with_prefix`](crate::Files::with_prefix) does
    /// this too.
    pub fn below(self: Arc<Options>, prefix: &[u8]) -> Arc<Options> {
        if self.headers.prefix() == prefix {
            return self;
        }
        Arc::new(Options { headers: self.headers.below(prefix), ..Options::clone(&self) })
    }

    /// Adds `headers` and those of `cors` to the response of another handler, for example to a request that it denies.
    /// `request` is `None` if the request is too malformed.
    // Those of the file are not added: a document has them already.
    #[inline]
    pub fn complete(&self, request: Option<&Request<'_>>, response: Response) -> Response {
        if self.headers.is_empty() && self.cors.is_none() {
            return response;
        }
        self.add_headers(request, response)
    }

    fn add_headers(&self, request: Option<&Request<'_>>, mut response: Response) -> Response {
        let has_file =
            [Status::OK, Status::PARTIAL_CONTENT, Status::NOT_MODIFIED].contains(&response.status());
        if !has_file {
            response = self.set_headers(request, response);
        }
        self.permit(request, response)
    }

    /// As [`complete`](Options::complete), for a listing: a 200 without a document.
    pub(super) fn complete_listing(&self, request: &Request<'_>, response: Response) -> Response {
        self.permit(Some(request), self.set_headers(Some(request), response))
    }

    /// Sets the headers of a response without a document that do not depend on the origin of the request.
    fn set_headers(&self, request: Option<&Request<'_>>, response: Response) -> Response {
        let mut headers = Headers::default();
        self.headers.set_without_file(&mut headers, request.map(RewrittenPath::of));
        self.cors.iter().for_each(|cors| cors.set(&mut headers));
        // Those that the response may have already: a list, and a policy that does not replace the response's own.
        let is_added = |name: &str| {
            ["Vary", "Content-Security-Policy"].iter().any(|added| added.eq_ignore_ascii_case(name))
        };
        headers.iter().fold(response, |response, (name, value)| match is_added(name) {
            true => response.append_header(name, value),
            false => response.with_header(name, value),
        })
    }

    fn permit(&self, request: Option<&Request<'_>>, response: Response) -> Response {
        match self.cors.as_ref().zip(request) {
            Some((cors, request)) => cors.permit(request, response),
            None => response,
        }
    }
}

/// Why the value of an option cannot be used. The `Display` output says what is wrong, or what is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOption(String);

impl InvalidOption {
    pub(super) fn new(message: impl Into<String>) -> InvalidOption {
        InvalidOption(message.into())
    }
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for InvalidOption {}
