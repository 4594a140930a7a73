//! The document root of the tests: every kind of name, file and link that a file server treats differently.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{
    fs::{self, File},
    os::unix::{
        fs::{FileExt, symlink},
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

/// Names and contents of the small files. The content `secret` marks hidden files, whose names begin with a dot: the server
/// must never send them.
const FILES: &[(&str, &str)] = &[
    ("index.html", "<h1>Start</h1>\n"),
    ("page.html", "<p>A page, and not a long one.</p>\n"),
    ("notes.txt", "notes\n"),
    ("digits.txt", "0123456789abcdefghijklmnopqrstuvwxyz"),
    ("...", "secret"),
    ("dir/index.html", "<h1>Directory</h1>\n"),
    ("dir/inner/deep.txt", "deep"),
    ("bare/file.txt", "in a bare directory"),
    ("evil.example/index.html", "harmless"),
    ("line\r\nbreak/index.html", "broken"),
    (".hidden", "secret"),
    (".git/config", "secret"),
    ("dir/.htaccess", "secret"),
    (".well-known/.secret", "secret"),
];

/// A document root in a temporary directory.
pub struct Site {
    directory: TempDir,
    /// The content of `large.bin`.
    pub large: Vec<u8>,
}

impl Site {
    /// Returns the document root that all tests of a process share. A test that writes a file must choose a name that
    /// no other test uses.
    pub fn shared() -> Arc<Site> {
        /// The document root, as long as a test uses it.
        static SITE: Shared<Site> = Shared::new();
        SITE.get_or_make(Site::build)
    }

    /// Makes a document root with `FILES`, `large.bin`, special files and symbolic links.
    fn build() -> Site {
        let site =
            Site { directory: TempDir::new().expect("a directory"), large: pseudo_random_bytes(LARGE_LEN) };
        for (name, content) in FILES {
            site.write(name, content.as_bytes());
        }
        site.write("large.bin", &site.large);
        site.build_special();
        site.build_links();
        site
    }

    /// Makes `huge.bin`, a FIFO, a socket and a directory called `index.html`.
    fn build_special(&self) {
        let huge = File::create(self.path("huge.bin")).expect("a file");
        huge.set_len(HUGE_LEN).expect("a sparse file");
        huge.write_all_at(HUGE_END, HUGE_LEN - HUGE_END.len() as u64).expect("its end");
        mknodat(CWD, self.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        drop(UnixListener::bind(self.path("socket")).expect("a socket"));
        fs::create_dir_all(self.path("odd/index.html")).expect("a directory called index.html");
    }

    /// Makes symbolic links that stay in the root, leave it, lead nowhere or form a loop.
    fn build_links(&self) {
        let root = self.root();
        for (link, target) in [
            ("link.html", Path::new("page.html")),
            ("dir/up.html", Path::new("../page.html")),
            ("linked", Path::new("dir")),
            ("dangling", Path::new("nowhere")),
            ("loop", Path::new("loop")),
            ("to-pipe", Path::new("pipe")),
            ("out-absolute", Path::new("/etc/passwd")),
            ("dir/out", Path::new("../..")),
            ("out-and-in", &root.join("page.html")),
            ("absolute-dir", &root.join("dir")),
        ] {
            symlink(target, self.path(link)).expect("a link");
        }
    }

    /// Returns the path of the document root.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the path of the file `name` in the document root.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes the file `name` in the document root. Makes the directories in which it lies if they do not exist.
    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a root")).expect("a directory");
        fs::write(path, content).expect("a file");
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

/// Returns `len` bytes without a pattern (Marsaglia's xorshift64). They are the same in each run.
fn pseudo_random_bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = vec![0; len];
    for word in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
    }
    bytes
}
