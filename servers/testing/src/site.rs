//! Temporary directories, and the document root of the tests: every kind of name, file and link that a file server
//! treats differently.

use http_test_suite::fixtures;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{
    env,
    fs::{self, File},
    ops::Deref,
    os::unix::{
        fs::{FileExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tempfile::TempDir;

/// The length of `large.bin`: more than the server keeps in memory, and more than sockets buffer.
pub const LARGE_LEN: usize = 6 * 1024 * 1024 + 13;

/// The length of `huge.bin`, a sparse file: zeros, which use no disk space, and [`HUGE_END`].
pub const HUGE_LEN: u64 = 5 * 1024 * 1024 * 1024;

/// The last bytes of `huge.bin`.
pub const HUGE_END: &[u8] = b"behind four gigabytes";

/// Names and contents of the small files. The content `secret` marks hidden files, whose names begin with a dot: the
/// server must never send them.
const FILES: &[(&str, &str)] = &[
    ("index.html", "<h1>Start</h1>\n"),
    ("page.html", "<p>A page, and not a long one.</p>\n"),
    ("notes.txt", "notes\n"),
    ("digits.txt", "0123456789abcdefghijklmnopqrstuvwxyz"),
    ("...", "secret"),
    ("dir/index.html", "<h1>Directory</h1>\n"),
    ("bare/file.txt", "in a bare directory"),
    (".hidden", "secret"),
    (".git/config", "secret"),
    ("dir/.htaccess", "secret"),
    (".well-known/.secret", "secret"),
];

/// Symbolic links that lead nowhere, form a loop, or lead to a special file or out of the root.
const LINKS: &[(&str, &str)] = &[
    ("dangling", "nowhere"),
    ("loop", "loop"),
    ("to-pipe", "pipe"),
    ("out-absolute", "/etc/passwd"),
    ("dir/out", "../.."),
];

/// A temporary directory. It is removed when this value is dropped.
pub struct Directory(TempDir);

impl Directory {
    /// Makes an empty directory, which every user may read.
    pub fn new() -> Directory {
        Directory::new_in(&env::temp_dir())
    }

    /// Makes an empty directory in the directory `parent`, which every user may read.
    pub fn new_in(parent: &Path) -> Directory {
        let directory = Directory(TempDir::new_in(parent).expect("a directory"));
        directory.set_mode("", 0o755);
        directory
    }

    /// Returns the path of the directory.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Returns the path of the file or directory `name` in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes the file `name`. Makes the directories in which it lies if they do not exist.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a root")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    /// Renames the file, link or directory `from` to `to`. Replaces the file or link `to` if there is one.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("a rename");
    }

    /// Sets the permissions of the file or directory `name`.
    pub fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).expect("ours");
    }

    /// Returns the text of the file `name`, or nothing if it cannot be read.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

/// A document root in a temporary directory.
pub struct Site {
    directory: Directory,
    /// The content of `large.bin`.
    pub large: Vec<u8>,
}

impl Site {
    /// Returns the document root that all tests of a process share. No test may change it.
    pub fn shared() -> Arc<Site> {
        /// The document root, as long as a test uses it.
        static SITE: Shared<Site> = Shared::new();
        SITE.get_or_make(Site::build)
    }

    /// Makes a document root with `FILES`, `LINKS`, `large.bin`, `huge.bin`, a FIFO, a socket and a directory called
    /// `index.html`.
    fn build() -> Site {
        let site = Site { directory: Directory::new(), large: fixtures::pattern(0..LARGE_LEN) };
        FILES.iter().for_each(|(name, content)| site.write(name, content));
        LINKS.iter().for_each(|(link, target)| symlink(target, site.path(link)).expect("a link"));
        site.write("large.bin", &site.large);
        let huge = File::create(site.path("huge.bin")).expect("a file");
        huge.set_len(HUGE_LEN).expect("a sparse file");
        huge.write_all_at(HUGE_END, HUGE_LEN - HUGE_END.len() as u64).expect("its end");
        mknodat(CWD, site.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        drop(UnixListener::bind(site.path("socket")).expect("a socket"));
        fs::create_dir_all(site.path("odd/index.html")).expect("a directory called index.html");
        site
    }
}

impl Deref for Site {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.directory
    }
}

/// A static of this type gives all tests of a process the same value, such as one server.
///
/// The first test that needs the value makes it. When the last test that uses the value ends, the value is dropped: a
/// server stops then, while a plain static is never dropped. If a later test needs the value, that test makes a new
/// one.
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    /// Creates a `Shared` without a value: the first call of [`get_or_make`](Shared::get_or_make) makes it.
    pub const fn new() -> Shared<T> {
        Shared(Mutex::new(Weak::new()))
    }

    /// Returns the value that the tests share. If no test holds it now, calls `make` to create it; other tests wait
    /// meanwhile. When the last test drops its `Arc`, the value is dropped, and the next call makes a new one.
    pub fn get_or_make(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let value = Arc::new(make());
            *shared = Arc::downgrade(&value);
            value
        })
    }
}
