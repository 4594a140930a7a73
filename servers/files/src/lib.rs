//! Serves the files of a directory: [`Files`] is a [`Handler`](http_core::Handler).
//!
//! A request becomes an outcome (a document, a redirect or an error), and the outcome becomes a response:
//!
//! | file | what it does |
//! |---|---|
//! | `files` | the handler: cache, then lookup, then response |
//! | `lookups` | the requests that wait for a lookup on another thread |
//! | `lookup` | finds the file that a path names; all file-system calls for a request are made in this one function |
//! | `root` | the document root: opened again if its name leads to another directory |
//! | `beneath` | opens files beneath a directory, and no others |
//! | `open_files` | shares the open files, limits their number, and closes those that are not requested any more |
//! | `document` | a file ready to be sent: its headers, its bytes or its open descriptor |
//! | `file_body` | a body that waits until a thread has read what comes next |
//! | `disk` | the threads for calls to file systems that may block |
//! | `version`, `entity_tag` | which state of a file this is |
//! | `cache`, `negative_cache` | keep documents and 404 results, which are used for one second |
//! | `pages` | what is served for paths that name no file: clean URLs, single-page applications, error pages |
//! | `listing` | directory listings |
//! | `variants`, `compressor` | compressed forms of files: which one a client gets; what makes and keeps them |
//! | `cpu_pool` | the threads that compress and format |
//! | `threaded_body` | a body that threads make while it is sent |
//! | `byteranges` | responses to Range requests |
//! | `mime`, `types` | media types by file extension: the known ones, and those that an operator chooses |
//! | `rules`, `glob` | the headers that an operator adds, by path |
//! | `cors` | which other origins may read the files |
//!
//! Symbolic links are followed if they lead to a path within the root: relative ones, and absolute ones whose target
//! begins with the path of the root. A request for a link that leaves the root gets 403, unless
//! [`Root::with_links_outside`] permits it. Requests for hidden files, whose names begin with a dot, get 404, except
//! beneath `.well-known`, and unless [`Options::hidden`] is set.
//!
//! A large file stays open for two to four seconds after the last request for it. Then a thread closes it, so that a
//! deleted file does not occupy disk space and a file system can be unmounted. One thread serves all workers that share
//! a [`Root`]; it starts with the first large file, and ends with the root.

mod beneath;
mod byteranges;
mod cache;
mod compressor;
mod cors;
mod cpu_pool;
mod disk;
mod document;
mod entity_tag;
mod file_body;
mod files;
mod glob;
mod listing;
mod lookup;
mod lookups;
mod mime;
mod negative_cache;
mod open_files;
mod options;
mod pages;
mod root;
mod rules;
mod threaded_body;
mod types;
mod variants;
mod version;

pub use cache::CacheCounts;
pub use cors::{Cors, is_preflight};
pub use disk::FileSystem;
pub use entity_tag::EntityTags;
pub use files::{CacheCounter, Denied, Files, RewrittenPath};
pub use glob::Glob;
pub use options::{InvalidOption, Options};
pub use pages::{ErrorPage, ErrorPages, PageError, PagePath};
pub use root::Root;
pub use rules::{HeaderRule, HeaderRules, SecurityHeaders};
pub use types::{Charset, ContentType, ExtensionType, Types};
pub use variants::{Compression, is_compressible};
