//! Files that stay open longer than they should, or more than once: their disk space and descriptors must be released.

use crate::{
    client::{Client, get, wait_for},
    program::{self, Program, begin_download, open_paths},
    site::Directory,
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// The length of a file that the server keeps open: more than sockets buffer while the client does not read.
const LEN: usize = 16 * 1024 * 1024;

/// How many names the same file has.
const NAMES: usize = 50;

/// Returns the files below `root` that the processes of the program have open.
fn open_files(program: &Program, root: &Path) -> Vec<PathBuf> {
    let paths = program.processes().into_iter().flat_map(open_paths);
    paths.filter(|path| path.starts_with(root) && path != root).collect()
}

/// Makes a document root with a large file `large`.
fn make_root() -> Directory {
    let root = Directory::new();
    root.write("large", vec![b'x'; LEN]);
    root
}

two_kinds! {
    fn a_file_is_open_once_whatever_its_names_are(kind: ServerKind) {
        let root = make_root();
        let target = |number: usize| match number % 3 {
            0 => format!("hard{number}"),
            1 => format!("soft{number}"),
            _ => format!("{}large", "./".repeat(number)),
        };
        for number in 0..NAMES {
            let path = root.path(&target(number));
            match number % 3 {
                0 => fs::hard_link(root.path("large"), path).expect("a link"),
                1 => symlink("large", path).expect("a link"),
                _ => {}
            }
        }
        let program = program::serve_root(kind, root.root(), &[]);
        let download = |number| begin_download(program.address(), &format!("/{}", target(number)));
        let clients: Vec<Client> = (0..NAMES).map(download).collect();
        let open = open_files(&program, root.root());
        let processes = if kind.is_prefork() { 2 } else { 1 };
        assert!((1..=processes).contains(&open.len()), "{open:?}");
        drop(clients);
        wait_for("the file to be closed", || open_files(&program, root.root()).is_empty().then_some(()));
        program.stop_cleanly();
    }

    /// Whether requests come for other files or not.
    fn a_deleted_file_is_closed(kind: ServerKind) {
        let root = make_root();
        root.write("busy", vec![b'z'; LEN]);
        let program = program::serve_root(kind, root.root(), &[]);
        let mut client = Client::connect(program.address());
        for requests in [false, true] {
            assert_eq!(client.fetch(get("/large")).body.len(), LEN);
            fs::remove_file(root.path("large")).expect("a file");
            wait_for("the deleted file to be closed", || {
                if requests {
                    assert_eq!(client.fetch(get("/busy")).body.len(), LEN);
                }
                let open = open_files(&program, root.root());
                open.iter().all(|path| path.ends_with("busy")).then_some(())
            });
            // The connection stays open, and the server opens files again.
            root.write("large", vec![b'y'; LEN]);
        }
        program.stop_cleanly();
    }
}
