//! Serves the files of a directory: [`Files`] is a [`Handler`](http_core::Handler).
//!
//! A request becomes an outcome (a document, a redirect or an error), and the outcome becomes a response:
//!
//! | file | what it does |
//! |---|---|
//! | `files` | the handler: cache, then lookup, then response |
//! | `lookup` | finds the file that a path names and decides the outcome |
//! | `root` | makes the system calls that open files beneath the document root, and no others |
//! | `document` | a file ready to be sent: its headers, its bytes or its open descriptor |
//! | `cache`, `negative_cache` | keep documents and 404 results, which are used for one second |
//! | `byteranges` | responses to Range requests |
//! | `mime` | media types by file extension |
//!
//! Symbolic links are followed within the root. A request for a link that leaves the root gets 403. Hidden files, whose
//! names begin with a dot, do not exist for clients: requests for them get 404, except beneath `.well-known`.

mod byteranges;
mod cache;
mod document;
mod files;
mod lookup;
mod mime;
mod negative_cache;
mod root;

pub use files::Files;
pub use root::Root;
