//! What `httpd` serves: the files of a directory.

use http_daemon::Application;
use http_engine::{Handler, MakeHandler};
use http_files::{Files, Root};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The files of a directory.
#[derive(Clone, Debug)]
pub struct Site(pub PathBuf);

impl Application for Site {
    fn root(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn open(&self, root: Option<&Path>) -> io::Result<MakeHandler> {
        let root = Arc::new(Root::open(root.unwrap_or(&self.0))?);
        Ok(Arc::new(move |_| -> Arc<dyn Handler> { Arc::new(Files::from_root(Arc::clone(&root))) }))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}
