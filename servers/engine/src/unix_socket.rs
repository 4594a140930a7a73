//! Binds Unix sockets. It replaces the file of a socket on which no process listens, and never another file.

use crate::listener::ListenAddr;
use http_core::io_cause;
use rustix::{
    fs::{FileType, Mode, OFlags, chmod, fstat, open},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with},
};
use std::{
    fs, io,
    os::{
        fd::AsRawFd,
        linux::net::SocketAddrExt,
        unix::{
            fs::FileTypeExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::Path,
};

/// The maximum number of connections that wait to be accepted. The kernel limits it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds a Unix socket to a path or an abstract name, and makes it listen.
///
/// A client must be permitted to write to the file of the socket. `mode` are the permissions of the file; `None` for
/// those that the umask leaves. They apply before the first client can connect. An abstract name has no permissions:
/// every process in the network namespace can connect.
///
/// If the path leads to a socket on which no process listens, such as one that a crash has left, replaces it. The file
/// stays when the socket is closed.
///
/// ```
/// use http_engine::{Server, listener::bind_unix};
/// use std::os::unix::net::SocketAddr;
///
/// let path = std::env::temp_dir().join(format!("doc-bind-{}.socket", std::process::id()));
/// let address = SocketAddr::from_pathname(&path)?;
/// let running = Server::listen(bind_unix(&address, Some(0o660))?)?.serve(|_| "Hello")?;
/// let error = bind_unix(&address, None).expect_err("a process listens there");
/// assert!(error.to_string().ends_with("address in use (stop the program that listens there, or choose another path)"));
/// # drop(running);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Another process listens there, the path leads to another kind of file, or the file cannot be made. The message names
/// the address, the cause and a remedy.
pub fn bind_unix(address: &SocketAddr, mode: Option<u32>) -> io::Result<UnixListener> {
    bind_and_listen(address, mode).map_err(|error| {
        let cause = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "address in use (stop the program that listens there, or choose another path)".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "permission denied (the user must be permitted to create and replace files in the directory)"
                    .to_owned()
            }
            _ => io_cause(&error),
        };
        let address = ListenAddr::Unix(address.clone());
        io::Error::new(error.kind(), format!("cannot bind {address}: {cause}"))
    })
}

fn bind_and_listen(address: &SocketAddr, mode: Option<u32>) -> io::Result<UnixListener> {
    let path = address.as_pathname();
    let name = match path {
        Some(path) => SocketAddrUnix::new(path)?,
        None => SocketAddrUnix::new_abstract_name(address.as_abstract_name().unwrap_or_default())?,
    };
    let socket =
        |flags| socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | flags, None);
    let listener = socket(SocketFlags::empty())?;
    match (bind(&listener, &name), path) {
        (Err(Errno::ADDRINUSE), Some(path)) => {
            if !fs::symlink_metadata(path)?.file_type().is_socket() {
                let cause = "the file is not a socket (remove it, or choose another path)";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, cause));
            }
            // Does not wait if the queue of a process that listens is full.
            if connect(socket(SocketFlags::NONBLOCK)?, &name) != Err(Errno::CONNREFUSED) {
                return Err(Errno::ADDRINUSE.into());
            }
            fs::remove_file(path)?;
            bind(&listener, &name)?;
        }
        (result, _) => result?,
    }
    if let Some((path, mode)) = path.zip(mode) {
        set_mode(path, mode)?;
    }
    // Only now can clients connect.
    listen(&listener, BACKLOG)?;
    Ok(listener.into())
}

/// Sets the permissions of the socket at `path`, and of no other file that another user might have put there.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let file = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::Socket {
        return Err(Errno::ADDRINUSE.into());
    }
    // chmod(2) on the descriptor itself fails, because it is opened as a path.
    Ok(chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::{
        fs::{PermissionsExt, symlink},
        net::{UnixDatagram, UnixStream},
    };

    /// Puts a file where the socket is to be bound, with `prepare`. The error must contain `expected`; `""` means that
    /// there is none.
    fn check(prepare: impl FnOnce(&Path), expected: &str) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        prepare(&path);
        let before = fs::symlink_metadata(&path).ok();
        let bound = bind_unix(&SocketAddr::from_pathname(&path).expect("a short path"), Some(0o624));
        let error = bound.as_ref().err().map(ToString::to_string).unwrap_or_default();
        if expected.is_empty() {
            assert_eq!(error, "");
            assert_eq!(fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o624);
            UnixStream::connect(&path).expect("a process that listens");
        } else {
            assert_eq!(error, format!("cannot bind unix:{}: {expected}", path.display()));
            let after = fs::symlink_metadata(&path).ok();
            assert_eq!(after.map(|file| file.file_type()), before.map(|file| file.file_type()));
        }
    }

    #[test]
    fn replaces_only_a_socket_on_which_no_process_listens() {
        let in_use = "address in use (stop the program that listens there, or choose another path)";
        let other = "the file is not a socket (remove it, or choose another path)";
        check(|_| (), "");
        check(|path| drop(UnixListener::bind(path).expect("a socket")), "");
        check(|path| drop(UnixDatagram::bind(path).expect("a socket")), "");
        let mut kept = None;
        check(|path| kept = Some(UnixListener::bind(path).expect("a socket")), in_use);
        let mut kept = None;
        check(|path| kept = Some(UnixDatagram::bind(path).expect("a socket")), in_use);
        check(|path| fs::write(path, "text").expect("a file"), other);
        check(|path| fs::create_dir(path).expect("a directory"), other);
        check(|path| symlink("/nowhere/at/all", path).expect("a link"), other);
        check(
            |path| fs::remove_dir(path.parent().expect("a directory")).expect("an empty one"),
            "no such file or directory",
        );
    }

    #[test]
    fn binds_abstract_names() {
        let name = format!("http-engine {}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        let bound = bind_unix(&address, Some(0o600)).expect("a free name");
        UnixStream::connect_addr(&address).expect("a process that listens");
        let error = bind_unix(&address, None).expect_err("a name in use").to_string();
        assert!(error.starts_with(&format!("cannot bind unix:@{name}: address in use ")), "{error}");
        drop(bound);
    }
}
