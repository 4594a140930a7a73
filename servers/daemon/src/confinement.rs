//! Landlock: the kernel lets this process, and what it starts, open the files that it serves and needs, and no others.
//!
//! It holds for what is opened from now on. Descriptors that are open already, the listening sockets among them, stay
//! as good as they were. Workers and successors inherit it, and cannot be rid of it.

#[cfg_attr(not(feature = "confine"), path = "confinement/no_ruleset.rs")]
mod ruleset;

use std::{fmt, io, path::PathBuf};

/// What a confined process still has to do with the file system.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Directories whose files are served: they can be read.
    pub roots: Vec<PathBuf>,
    /// Logs that are opened again for rotation: files can be made and written in their folders.
    pub logs: Vec<PathBuf>,
    /// Files removed in the end, as the pid file is: files can be removed from their folders.
    pub removed: Vec<PathBuf>,
}

/// How far the kernel confines this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// In all that was asked for.
    Whole,
    /// In what this kernel can: in reading, making and removing files, but not in all there is besides.
    Partial,
    /// As its parent was, which has had the same needs.
    Inherited,
    /// Not at all: the kernel, or this build, has no Landlock.
    Unavailable,
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Confinement::Whole | Confinement::Inherited => "confined to its files",
            Confinement::Partial => "confined to its files as far as this kernel can",
            Confinement::Unavailable => "not confined, for want of Landlock",
        })
    }
}

/// Confines this process to its needs: for good, and as far as the kernel can.
///
/// The program can still be started again, as a worker or a successor: the folders of its executable and of its
/// libraries stay readable.
///
/// # Errors
///
/// When a document root cannot be opened, or there is a second thread, which would stay as free as it is.
pub fn confine(needs: &Needs) -> io::Result<Confinement> {
    ruleset::enforce(needs)
}
