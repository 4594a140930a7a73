//! Opens files beneath a directory, never a file outside it, unless the operator permits links that lead outside.
//!
//! Two guards keep a path inside. A [`RelativePath`](http_core::path::RelativePath) contains no `..`. The kernel then
//! resolves every component beneath the directory (`openat2` with `RESOLVE_BENEATH`), so that neither a symbolic link
//! nor a concurrent rename leads outside.
//!
//! The kernel rejects each link that leaves the directory, also if it leads back inside, as every absolute link must.
//! This file then reads the links itself and finds out which path beneath the directory they mean. The kernel opens
//! that path like any other, so a mistake here could name a wrong file, but never one outside.

use crate::{disk::FileSystem, version::FileId};
use rustix::{
    fs::{
        Access, AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, accessat, fstat, open, openat, openat2,
        readlinkat, statx,
    },
    io::Errno,
};
use std::{
    collections::VecDeque,
    ffi::OsStr,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// How often `openat2` is retried after EINTR, or after EAGAIN, which a concurrent rename can cause.
const MAX_RETRIES: u32 = 8;

/// The maximum number of symbolic links in one path, as in the kernel (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// The maximum number of components in one path and its symbolic links, if this file resolves them.
const MAX_COMPONENTS: u32 = 512;

/// The flags to open a file that is sent. NONBLOCK: opening a FIFO must not wait for a writer. NOCTTY: a terminal must
/// not become the controlling one.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The flags to open a file as a path (`O_PATH`): this needs no permission to read it.
const AS_PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// How far a path may lead, and how long that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// To files of the directory's own mount whose names are in the kernel's cache: this waits for no disk.
    Cached,
    /// To files of the directory's own mount.
    Mount,
    /// To every file beneath the directory, also on other mounts.
    Anywhere,
}

/// Where symbolic links may lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Links {
    /// To a path beneath the directory.
    #[default]
    Beneath,
    /// To any file, except through the links of `/proc` to open files.
    Anywhere,
}

/// An open directory, beneath which files are opened.
#[derive(Debug)]
pub(super) struct Directory {
    directory: OwnedFd,
    pub(super) id: FileId,
    /// The kind of the file system that it is on.
    pub(super) file_system: FileSystem,
}

impl Directory {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    ///
    /// If there is no directory at `path`, if it is in a directory that may not be entered, or if `openat2` does not
    /// work here.
    pub(super) fn open(path: &Path) -> io::Result<Directory> {
        let directory = open(path, AS_PATH | OFlags::DIRECTORY, Mode::empty())?;
        let (id, file_system) = (FileId::from_stat(&fstat(&directory)?), FileSystem::of(&directory)?);
        let directory = Directory { directory, id, file_system };
        // Opening a directory as a path needs no permission, so that only `openat2` itself can fail.
        check_openat2(directory.open_as_path(b".", OFlags::empty()).map(drop))?;
        Ok(directory)
    }

    /// Returns whether rules such as those of Landlock forbid this process to read the directory, although its
    /// permission bits allow it.
    pub(super) fn is_forbidden(&self) -> bool {
        // access(2) ignores Landlock.
        let may_read = accessat(&self.directory, ".", Access::READ_OK, AtFlags::EACCESS).is_ok();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        may_read && openat(&self.directory, ".", flags, Mode::empty()).err() == Some(Errno::ACCESS)
    }

    /// Returns whether `name` leads to this directory, as far as the kernel can tell without waiting for a disk.
    pub(super) fn is_at(&self, name: &Path) -> bool {
        // Without a look at the file system, which may be a slow one: an inode keeps its number.
        let status = |found| {
            let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
            statx(found, "", flags, StatxFlags::INO)
        };
        openat2(CWD, name, AS_PATH | OFlags::DIRECTORY, Mode::empty(), ResolveFlags::CACHED)
            .and_then(status)
            .is_ok_and(|status| FileId::from_statx(&status) == self.id)
    }

    /// Opens the file or directory at `path`, relative to this directory, for reading, as far as `reach` allows.
    /// Follows symbolic links as far as `links` allows. `name` is a path of this directory: absolute links that must
    /// lead to a path beneath it may begin with it.
    ///
    /// # Errors
    ///
    /// All errors of openat2(2): for example, ENOENT if there is no such file, or EXDEV if a symbolic link leads out of
    /// this directory. If the path leads beyond `reach`, EXDEV or (with [`Reach::Cached`]) EAGAIN.
    pub(super) fn open_beneath(
        &self,
        path: &[u8],
        name: &Path,
        reach: Reach,
        links: Links,
    ) -> Result<OwnedFd, Errno> {
        match (openat2_in(&self.directory, path, READ, reach.resolve_flags(links)), reach) {
            (Err(Errno::XDEV), Reach::Anywhere) if links == Links::Beneath => {
                openat2_in(&self.directory, &self.resolve(path, name)?, READ, reach.resolve_flags(links))
            }
            // Kernels before Linux 5.12 do not know RESOLVE_CACHED.
            (Err(Errno::INVAL), Reach::Cached) => Err(Errno::AGAIN),
            (result, _) => result,
        }
    }

    /// Opens the file or directory at `path` as [`open_beneath`](Directory::open_beneath) does, if it is on the mount
    /// at `mount`, a beginning of `path`.
    ///
    /// # Errors
    ///
    /// Those of openat2(2). EXDEV if the path leaves the mount.
    pub(super) fn open_on_mount(&self, mount: &[u8], path: &[u8], links: Links) -> Result<OwnedFd, Errno> {
        let rest = path[mount.len()..].strip_prefix(b"/").filter(|rest| !rest.is_empty());
        let mount = self.open_as_path(mount, OFlags::empty())?;
        openat2_in(&mount, rest.unwrap_or(b"."), READ, Reach::Mount.resolve_flags(links))
    }

    /// Returns the mount point, a beginning of `path`, at which `path` leaves the mount at `mount`, or if that is
    /// `None`, the mount of this directory. Returns `None` if the path leaves it through a symbolic link, or not at
    /// all. Makes no call to another file system.
    pub(super) fn mount_point<'p>(&self, mount: Option<&[u8]>, path: &'p [u8]) -> Option<&'p [u8]> {
        let (opened, start) = match mount {
            Some(mount) => (Some(self.open_as_path(mount, OFlags::empty()).ok()?), mount.len() + 1),
            None => (None, 0),
        };
        let outer = opened.as_ref().unwrap_or(&self.directory);
        let resolve = Reach::Mount.resolve_flags(Links::Beneath) | ResolveFlags::NO_SYMLINKS;
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(index, _)| index);
        for end in ends.chain([path.len()]).filter(|end| *end > start) {
            match openat2_in(outer, &path[start..end], AS_PATH, resolve) {
                Ok(_) => {}
                Err(errno) => return (errno == Errno::XDEV).then_some(&path[..end]),
            }
        }
        None
    }

    /// Follows the symbolic links in `path`, also those that leave this directory and lead back inside. Returns a path
    /// relative to this directory that contained no link when its components were read.
    ///
    /// # Errors
    ///
    /// EXDEV if the path ends outside this directory, or if a link goes through any other directory than those that
    /// contain this one. ELOOP if there are too many links. ENOENT, ENOTDIR or EACCES if a component cannot be reached.
    fn resolve(&self, path: &[u8], name: &Path) -> Result<Vec<u8>, Errno> {
        // Where this directory is now, without symbolic links.
        let own = readlinkat(CWD, format!("/proc/self/fd/{}", self.directory.as_raw_fd()), Vec::new())?;
        let own = components(own.to_bytes());
        // The present position: how many components it has in common with `own`, and those beneath this directory.
        let (mut depth, mut beneath) = (own.len(), Vec::new());
        let mut pending = components(path);
        let (mut links, mut steps) = (0, 0);
        while let Some(component) = pending.pop_front() {
            steps += 1;
            if steps > MAX_COMPONENTS {
                return Err(Errno::LOOP);
            }
            if component == b".." {
                if beneath.pop().is_none() {
                    depth = depth.saturating_sub(1);
                }
                continue;
            }
            if depth < own.len() {
                if component != own[depth] {
                    return Err(Errno::XDEV);
                }
                depth += 1;
                continue;
            }
            beneath.push(component);
            let Some(target) = self.read_link(&beneath.join(&b'/'))? else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            beneath.pop();
            let mut target = target.as_slice();
            if target.starts_with(b"/") {
                let relative = Path::new(OsStr::from_bytes(target)).strip_prefix(name);
                (depth, beneath) = (if relative.is_ok() { own.len() } else { 0 }, Vec::new());
                target = relative.map_or(target, |relative| relative.as_os_str().as_bytes());
            }
            for component in components(target).into_iter().rev() {
                pending.push_front(component);
            }
        }
        match beneath.join(&b'/') {
            _ if depth < own.len() => Err(Errno::XDEV),
            beneath if beneath.is_empty() => Ok(b".".to_vec()),
            beneath => Ok(beneath),
        }
    }

    /// Returns the target of the symbolic link at `path`, or `None` if the file at `path` is not a link.
    fn read_link(&self, path: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
        let link = self.open_as_path(path, OFlags::NOFOLLOW)?;
        match readlinkat(&link, "", Vec::new()) {
            Ok(target) => Ok(Some(target.into_bytes())),
            // The error for a file that is not a link: readlink(2).
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Opens the file at `path`, relative to this directory, as a path. If it is the root of a mount, makes no call to
    /// its file system.
    fn open_as_path(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        openat2_in(&self.directory, path, AS_PATH | flags, Reach::Anywhere.resolve_flags(Links::Beneath))
    }
}

/// Opens `path`, relative to `directory`, with these flags. Retries [`MAX_RETRIES`] times after EINTR or, unless the
/// path must be cached, after EAGAIN.
fn openat2_in(
    directory: &OwnedFd,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut retries = 0;
    loop {
        match openat2(directory, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if resolve.contains(ResolveFlags::CACHED) => return Err(Errno::AGAIN),
            Err(Errno::AGAIN | Errno::INTR) if retries < MAX_RETRIES => retries += 1,
            result => return result,
        }
    }
}

impl Reach {
    /// Returns the flags for openat2(2). A path contains no `..`: only a link can lead outside.
    fn resolve_flags(self, links: Links) -> ResolveFlags {
        let links = match links {
            Links::Beneath => ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH,
            Links::Anywhere => ResolveFlags::NO_MAGICLINKS,
        };
        links
            | match self {
                Reach::Cached => ResolveFlags::NO_XDEV | ResolveFlags::CACHED,
                Reach::Mount => ResolveFlags::NO_XDEV,
                Reach::Anywhere => ResolveFlags::empty(),
            }
    }
}

/// Returns the components of a path, without empty ones and `.`.
fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    let components = path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    components.map(<[u8]>::to_vec).collect()
}

/// Turns the failure of an `openat2` that must succeed into an error that says why no file could be served.
fn check_openat2(opened: Result<(), Errno>) -> io::Result<()> {
    let Err(errno) = opened else { return Ok(()) };
    let message = match errno {
        Errno::NOSYS => {
            "cannot open files safely: there is no system call openat2 here (it needs Linux 5.6 or later, and a \
             sandbox that knows it)"
        }
        Errno::PERM => {
            "cannot open files safely: a seccomp filter forbids the system call openat2, as those of old container \
             runtimes do (update the runtime: Docker 20.10 or later with libseccomp 2.5 or later; or allow openat2 in \
             its seccomp profile)"
        }
        errno => return Err(errno.into()),
    };
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        io::Read,
        os::unix::fs::symlink,
    };

    #[test]
    fn says_why_openat2_does_not_work() {
        let check = |errno, expected: &str| {
            let error = check_openat2(Err(errno)).expect_err("a failure");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check_openat2(Ok(())).expect("no failure");
        check(Errno::PERM, "seccomp filter forbids the system call openat2");
        check(Errno::NOSYS, "no system call openat2");
        check(Errno::INVAL, "Invalid argument");
    }

    /// A site at `releases/1` with the name `current`, and files outside it.
    struct LinkedSite(tempfile::TempDir, Links);

    impl LinkedSite {
        fn new() -> LinkedSite {
            let site = LinkedSite(tempfile::tempdir().expect("a directory"), Links::Beneath);
            for name in ["releases/1/page", "releases/1/dir/inner/page", "releases/2/page", "secret"] {
                let path = site.0.path().join(name);
                fs::create_dir_all(path.parent().expect("one")).expect("a directory");
                fs::write(path, name).expect("a file");
            }
            symlink("releases/1", site.0.path().join("current")).expect("a link");
            site
        }

        /// Makes symbolic links in the site. `ROOT` in a target is the directory with `current` and `releases`.
        fn link(&self, links: &[(&str, &str)]) {
            let above = self.0.path().to_str().expect("text");
            for (link, target) in links {
                symlink(target.replace("ROOT", above), self.0.path().join("current").join(link))
                    .expect("a link");
            }
        }

        /// Checks what opening each of `paths` yields: the content of the file, which is its path, or an error.
        fn check(&self, paths: &[&str], expected: Result<&str, Errno>) {
            let name = self.0.path().join("current");
            let directory = Directory::open(&name).expect("a directory");
            for path in paths {
                let opened =
                    directory.open_beneath(path.as_bytes(), &name, Reach::Anywhere, self.1).map(|file| {
                        let mut content = String::new();
                        File::from(file).read_to_string(&mut content).expect("a file");
                        content
                    });
                assert_eq!(opened.as_deref().map_err(|errno| *errno), expected, "{path}");
            }
        }
    }

    #[test]
    fn follows_links_that_lead_back_inside() {
        let site = LinkedSite::new();
        site.link(&[
            ("by-name", "ROOT/current/page"),
            ("by-place", "ROOT/releases/1/page"),
            ("odd", "ROOT//./current//page"),
            ("dir-by-name", "ROOT/current/dir"),
            ("dir/inner/up", "../../../1/page"),
            ("through", "dir-by-name/inner/back"),
            ("dir/inner/back", "ROOT/releases/1/dir/../by-name"),
            ("root", "ROOT/current"),
            ("root-by-place", "ROOT/releases/1/"),
        ]);
        site.check(
            &[
                "page",
                "by-name",
                "by-place",
                "odd",
                "dir/inner/up",
                "through",
                "root/page",
                "root/root/by-name",
            ],
            Ok("releases/1/page"),
        );
        site.check(
            &["dir-by-name/inner/page", "root-by-place/dir/inner/page"],
            Ok("releases/1/dir/inner/page"),
        );
        site.check(&["dir-by-name/none", "root/none/page"], Err(Errno::NOENT));
        site.check(&["page/x", "by-name/x"], Err(Errno::NOTDIR));
    }

    #[test]
    fn rejects_links_that_end_outside_or_nowhere() {
        let site = LinkedSite::new();
        site.link(&[
            ("out", "ROOT/secret"),
            ("out-relative", "../../secret"),
            ("out-dir", "ROOT"),
            ("above", ".."),
            ("sibling", "ROOT/releases/2/page"),
            ("longer", "ROOT/current2/page"),
            ("through-other", "ROOT/releases/2/../1/page"),
            ("to-out", "out"),
            ("dangling", "ROOT/current/none"),
            ("loop", "ROOT/current/loop"),
            ("loop-a", "ROOT/current/loop-b"),
            ("loop-b", "loop-a"),
        ]);
        site.check(
            &[
                "out",
                "out-relative",
                "out-dir/secret",
                "above",
                "sibling",
                "longer",
                "through-other",
                "to-out",
            ],
            Err(Errno::XDEV),
        );
        site.check(&["dangling", "dangling/x"], Err(Errno::NOENT));
        site.check(&["loop", "loop-a", "loop-b"], Err(Errno::LOOP));
        let long = "dir/../".repeat(MAX_COMPONENTS as usize);
        site.link(&[("long", &format!("ROOT/current/{long}page"))]);
        site.check(&["long"], Err(Errno::LOOP));
    }

    #[test]
    fn follows_links_outside_if_the_operator_wants() {
        let mut site = LinkedSite::new();
        site.link(&[
            ("out", "ROOT/secret"),
            ("relative", "../../secret"),
            ("dir-out", "ROOT"),
            ("magic", "/proc/self/fd/0"),
        ]);
        site.1 = Links::Anywhere;
        site.check(&["out", "relative", "dir-out/secret"], Ok("secret"));
        site.check(&["page"], Ok("releases/1/page"));
        site.check(&["magic"], Err(Errno::LOOP));
    }

    /// `/proc` is a mount of its own on every machine.
    #[test]
    fn finds_where_a_path_leaves_its_mount() {
        let root = Directory::open(Path::new("/")).expect("a directory");
        let check = |mount: Option<&str>, path: &str, expected: Option<&str>| {
            let found = root.mount_point(mount.map(str::as_bytes), path.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{path}");
        };
        check(None, "proc/sys/kernel", Some("proc"));
        check(None, "proc", Some("proc"));
        check(Some("proc"), "proc/sys/kernel", None);
        check(None, "missing", None);
    }
}
