//! The files of a directory, and how they are served.

use crate::{
    access::{AccessOptions, Guarded},
    bandwidth::{BandwidthOptions, LimitedHandler, Limits},
    metrics::CacheCounters,
    rules::Redirecting,
};
use http_daemon::MakeHandler;
use http_engine::{Handler, io_cause};
use http_files::{FileSystem, Files, Options, Root};
use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A directory, and how its files are served.
#[derive(Debug)]
pub struct Site {
    /// The path of the directory, as the operator gave it. This program never changes its working directory.
    pub root: PathBuf,
    /// How long a file system may take for a call.
    pub file_timeout: Duration,
    /// The kind of all file systems below the directory; `None` if each tells its own.
    pub file_system: Option<FileSystem>,
    /// The file with media types that was read for `options`. Each process of the server reads it again.
    pub mime_types: Option<PathBuf>,
    /// Whether symbolic links may leave the directory.
    pub follow_symlinks: bool,
    pub options: Arc<Options>,
    /// Which requests are permitted.
    pub access: AccessOptions,
    /// How fast responses are sent.
    pub bandwidth: BandwidthOptions,
}

impl Site {
    /// Opens the directory, which is at `path` now.
    ///
    /// # Errors
    ///
    /// See [`Root::open`].
    pub fn open_root(&self, path: &Path) -> io::Result<Root> {
        let root = Root::open_as(path, &self.root)?.with_file_timeout(self.file_timeout);
        let root = match self.file_system {
            Some(kind) => root.with_file_system(kind),
            None => root,
        };
        Ok(if self.follow_symlinks { root.with_links_outside() } else { root })
    }

    /// Returns the files outside the directory that the options name.
    pub fn reads(&self) -> impl Iterator<Item = &Path> {
        self.mime_types.iter().map(PathBuf::as_path).chain(self.access.file())
    }

    /// Whether the sites can share the open directory.
    pub fn has_root_of(&self, other: &Site) -> bool {
        let key = |site: &Site| (site.file_timeout, site.file_system, site.follow_symlinks);
        self.root == other.root && key(self) == key(other)
    }

    /// Returns the function that makes the handler of each worker. It serves the files at the request paths below
    /// `prefix`, and adds its cache to `caches`. `has_redirects` says whether requests may be redirected.
    ///
    /// # Errors
    ///
    /// If a file that the options name cannot be used.
    pub fn make_handler(
        &self,
        root: Arc<Root>,
        prefix: &str,
        has_redirects: bool,
        caches: &CacheCounters,
    ) -> io::Result<MakeHandler> {
        let options = self.access.exclude_pages(prefix, &self.options).below(prefix.as_bytes());
        let rules = self.access.open(prefix, &options)?;
        let limits = Limits::new(&self.bandwidth, prefix);
        let (prefix, caches) = (prefix.to_owned(), caches.clone());
        Ok(Arc::new(move |worker| -> Arc<dyn Handler> {
            let files = Files::from_root(Arc::clone(&root)).with_prefix(&prefix);
            let files = files.with_options(Arc::clone(&options));
            caches.add(worker, files.cache_counter());
            let handler: Arc<dyn Handler> = match has_redirects {
                true => Arc::new(Redirecting { files, options: Arc::clone(&options) }),
                false => Arc::new(files),
            };
            let handler = match &rules {
                Some(rules) => Arc::new(Guarded::new(Arc::clone(rules), handler)),
                None => handler,
            };
            match &limits {
                Some(limits) => {
                    Arc::new(LimitedHandler::new(Arc::clone(limits), Arc::clone(&options), handler))
                }
                None => handler,
            }
        }))
    }

    /// Fails if a page of `--spa` or `--error-page` is not there.
    pub fn check_pages(&self) -> Result<(), String> {
        for page in self.options.pages() {
            let path = self.root.join(OsStr::from_bytes(page));
            let is_file = path.metadata().map(|metadata| metadata.is_file());
            let cause = match is_file {
                Ok(true) => continue,
                Ok(false) => "not a regular file".into(),
                Err(error) => io_cause(&error),
            };
            return Err(format!("cannot serve {}, a page of --spa or --error-page: {cause}", path.display()));
        }
        Ok(())
    }

    /// Whether a request for `/` gets 404, because no file, listing or fallback page answers it.
    pub fn lacks_index(&self) -> bool {
        let has_other = self.options.listing || self.options.fallback.is_some();
        !has_other && matches!(self.root.join("index.html").try_exists(), Ok(false))
    }
}
