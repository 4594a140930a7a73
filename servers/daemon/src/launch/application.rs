//! What is served, as far as starting it goes. A trait, so that a program carries no application but its own.

#[cfg(feature = "demo")]
use crate::app::{self, App};
use crate::{
    engine::MakeApp,
    files::{Files, Root},
};
use http_core::Handler;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What can be launched. Displayed, it stands in messages: "serves …".
pub trait Application: fmt::Display + fmt::Debug + Send + Sync {
    /// The directory whose files it serves, if there is one.
    fn root(&self) -> Option<&Path>;

    /// Opens what all workers of a process share, the files of `root` among it, and tells how each worker gets a
    /// handler of its own.
    ///
    /// # Errors
    ///
    /// When `root` cannot be served.
    fn open(&self, root: Option<&Path>) -> io::Result<MakeApp>;
}

/// The files of a directory.
#[derive(Clone, Debug)]
pub struct Site(pub PathBuf);

impl Application for Site {
    fn root(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn open(&self, root: Option<&Path>) -> io::Result<MakeApp> {
        let root = Arc::new(Root::open(root.unwrap_or(&self.0))?);
        Ok(Arc::new(move |_| -> Arc<dyn Handler> { Arc::new(Files::beneath(Arc::clone(&root))) }))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

#[cfg(feature = "demo")]
impl Application for app::Settings {
    fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    fn open(&self, root: Option<&Path>) -> io::Result<MakeApp> {
        let app = App::open(&app::Settings { root: root.map(Path::to_owned), ..self.clone() })?;
        Ok(Arc::new(move |number| app.worker(number)))
    }
}

#[cfg(feature = "demo")]
impl fmt::Display for app::Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the demo application")
    }
}
