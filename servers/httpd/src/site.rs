//! The application that `httpd` runs: it serves the files of a directory.

use crate::access::{AccessOptions, Guarded};
use http_daemon::{Application, MakeHandler};
use http_engine::Handler;
use http_files::{FileSystem, Files, Options, Root};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The site of the server: a directory, and how it is served.
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
}

impl Application for Site {
    fn roots(&self) -> Vec<&Path> {
        vec![&self.root]
    }

    fn reads(&self) -> Vec<&Path> {
        self.mime_types.iter().map(PathBuf::as_path).chain(self.access.file()).collect()
    }

    fn open(&self, roots: &[PathBuf]) -> io::Result<MakeHandler> {
        let directory = &roots[0];
        let rules = self.access.open(directory)?;
        let root = Root::open_as(directory, &self.root)?.with_file_timeout(self.file_timeout);
        let root = match self.file_system {
            Some(kind) => root.with_file_system(kind),
            None => root,
        };
        let root = Arc::new(if self.follow_symlinks { root.with_links_outside() } else { root });
        let options = Arc::clone(&self.options);
        Ok(Arc::new(move |_| -> Arc<dyn Handler> {
            let files = Files::from_root(Arc::clone(&root)).with_options(Arc::clone(&options));
            match &rules {
                Some(rules) => Arc::new(Guarded::new(Arc::clone(rules), files)),
                None => Arc::new(files),
            }
        }))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.display().fmt(f)
    }
}
