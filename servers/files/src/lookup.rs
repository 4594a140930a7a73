//! Finds the file that a path names, and decides the outcome of the request.
//!
//! The outcome never depends on the method or the headers of a request, so that it can be cached by path.

use crate::{
    document::Document,
    mime,
    root::{Entry, Root},
};
use http_core::{Status, path::RelativePath};
use rustix::io::Errno;
use std::{borrow::Cow, io, sync::Arc};

/// How often a file is opened and read before the lookup fails with 500, if the file changes during each read.
const MAX_READS: u32 = 3;

/// The name of the file that is served for a directory.
const INDEX: &[u8] = b"index.html";

/// What a request for a path leads to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A document to send.
    Document(Arc<Document>),
    /// A redirect to the requested path with a slash at its end: it names a directory.
    Redirect,
    /// An error page with this status.
    Error(Status),
}

/// Looks up `path` in the file system.
///
/// `stale` is the document that an earlier lookup of `path` found, if there was one. If the file has not changed since
/// then, the outcome is `stale`, and the file is not read again.
pub(super) fn lookup(root: &Root, path: &RelativePath<'_>, stale: Option<&Arc<Document>>) -> Outcome {
    // Decided before any system call: neither a status nor a delay may tell whether a hidden file exists.
    if path.is_hidden() {
        return Outcome::Error(Status::NOT_FOUND);
    }
    let name = file_name(path);
    for _ in 0..MAX_READS {
        let (file, version) = match root.open_entry(&name) {
            Ok(Entry::File(file, version)) => (file, version),
            Ok(Entry::Directory) if !path.is_directory() => return Outcome::Redirect,
            Ok(Entry::Directory | Entry::Special) => return Outcome::Error(Status::NOT_FOUND),
            Err(errno) => return Outcome::Error(error_status(errno)),
        };
        if let Some(document) = stale.filter(|document| document.version == version) {
            return Outcome::Document(Arc::clone(document));
        }
        match Document::read(file, version, mime::file_type(&name)) {
            Ok(document) => return Outcome::Document(Arc::new(document)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(_) => break,
        }
    }
    Outcome::Error(Status::INTERNAL_SERVER_ERROR)
}

/// Returns the path of the file to open for the requested `path`, relative to the root. Does not look at the file
/// system.
///
/// If the requested path ends in `/`, it names a directory: the result is the directory's path followed
/// by `/index.html` ([`INDEX`]), or `index.html` for the root. Otherwise the result is `path` itself.
fn file_name<'p>(path: &'p RelativePath<'_>) -> Cow<'p, [u8]> {
    match path.as_bytes() {
        file if !path.is_directory() => file.into(),
        b"" => INDEX.into(),
        directory => [directory, b"/", INDEX].concat().into(),
    }
}

/// Returns the status of the response if a file could not be opened for the reason `errno`:
///
/// 404 if there is no such file, or if it is a socket or a device that cannot be opened. 403 if the server may not read
/// the file, or if symbolic links leave the root or form a loop. 503 if descriptors or memory are lacking, or for
/// EAGAIN, which a concurrent rename can cause in openat2(2). Otherwise 500.
fn error_status(errno: Errno) -> Status {
    match errno {
        // ENXIO: a socket, or a device without a driver.
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::NODEV => Status::NOT_FOUND,
        // EXDEV: a symbolic link leaves the root. ELOOP: links form a loop.
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP => Status::FORBIDDEN,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_the_index_of_a_directory() {
        for (path, expected) in [("/", "index.html"), ("/a/", "a/index.html"), ("/a", "a"), ("/a/b", "a/b")] {
            let path = RelativePath::new(path.as_bytes()).expect("a path");
            assert_eq!(file_name(&path), expected.as_bytes(), "{path:?}");
        }
    }
}
