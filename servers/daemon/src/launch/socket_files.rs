//! The files of the Unix sockets that this server has bound: given to the user of `--user`, and removed at the end.
//!
//! It must never remove or change another file, such as that of a server that has replaced it.

use super::settings::ServerSettings;
use crate::{bind_address::BindAddress, privileges::Identity, system::Context};
use http_engine::listener::{ListenAddr, Listener};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use std::{
    env, fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

/// The files of the sockets. Dropping this removes them. The listeners must still be open then: a socket that another
/// server binds at the path can only have replaced a file on which no process listens.
#[derive(Debug, Default)]
pub(super) struct SocketFiles(Vec<SocketFile>);

/// The path of a socket, and its file, opened as a path: while it is open, no other file has its inode.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    file: OwnedFd,
}

impl SocketFiles {
    /// Finds the files of those `listeners` that `--bind` names. None if a service manager has passed the listeners,
    /// which it removes itself. A file that is no longer there is left out.
    pub(super) fn of(settings: &ServerSettings, listeners: &[Listener]) -> SocketFiles {
        if env::var_os("LISTEN_FDS").is_some() {
            return SocketFiles::default();
        }
        let bound = paths(&settings.options.bind);
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
        let paths = addresses.filter_map(|address| match address {
            ListenAddr::Unix(address) => address.as_pathname().map(Path::to_owned),
            _ => None,
        });
        SocketFiles(paths.filter(|path| bound.contains(path)).filter_map(SocketFile::open).collect())
    }

    /// Makes the files belong to the user and group to which the process is about to switch.
    pub(super) fn give_to(&self, identity: &Identity) -> io::Result<()> {
        self.0.iter().try_for_each(|SocketFile { path, file }| {
            identity.own(file).context(format_args!("cannot change the owner of {}", path.display()))
        })
    }

    /// Leaves the files to a successor.
    pub(super) fn hand_over(&mut self) {
        self.0.clear();
    }
}

impl Drop for SocketFiles {
    /// Fails silently if the user may not write to the directory: the next server replaces the file.
    fn drop(&mut self) {
        for SocketFile { path, .. } in self.0.drain(..).filter(SocketFile::is_in_place) {
            let _ = fs::remove_file(path);
        }
    }
}

impl SocketFile {
    fn open(path: PathBuf) -> Option<SocketFile> {
        let file = open(&path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let is_socket = FileType::from_raw_mode(fstat(&file).ok()?.st_mode) == FileType::Socket;
        is_socket.then_some(SocketFile { path, file })
    }

    /// Whether the path still leads to the file.
    fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .ok()
            .zip(fstat(&self.file).ok())
            .is_some_and(|(found, own)| (found.dev(), found.ino()) == (own.st_dev, own.st_ino))
    }
}

/// The paths of the Unix sockets in `bind`, the values of `--bind`.
pub(super) fn paths(bind: &[BindAddress]) -> Vec<PathBuf> {
    let path = |address: &BindAddress| match address {
        BindAddress::Unix(name) => Some(name.address().ok()?.as_pathname()?.to_owned()),
        _ => None,
    };
    bind.iter().filter_map(path).collect()
}
