//! The document root when its name leads to another directory: the server serves that directory.

use crate::{
    client::{Client, get, wait_for},
    program::{self, Program, ServerKind, text},
};
use rustix::process::Signal;
use std::{fs, os::unix::fs::symlink, path::PathBuf};
use tempfile::TempDir;

/// A directory with two releases, `releases/1` and `releases/2`, and the document root `site`. The file `index.html` in
/// each contains the name of its directory. The link `current` leads to the first release.
struct Sites(TempDir);

impl Sites {
    /// Makes the directories and the link.
    fn new() -> Sites {
        let sites = Sites(tempfile::tempdir().expect("a directory"));
        ["releases/1", "releases/2", "site"].iter().for_each(|name| sites.make(name, name));
        symlink("releases/1", sites.path("current")).expect("a link");
        sites
    }

    /// Returns the path of the file or directory `name`.
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes the directory `name` with an `index.html` of this content.
    fn make(&self, name: &str, content: &str) {
        fs::create_dir_all(self.path(name)).expect("a directory");
        fs::write(self.path(name).join("index.html"), content).expect("a file");
    }

    /// Replaces the link `current` atomically by a link to `releases/2`.
    fn switch(&self) {
        symlink("releases/2", self.path("next")).expect("a link");
        fs::rename(self.path("next"), self.path("current")).expect("a rename");
    }

    /// Starts an `httpd` of this kind that serves the directory `name`. Its error log is the file `errors`.
    fn serve(&self, kind: ServerKind, name: &str, arguments: &[&str]) -> Program {
        let errors = self.path("errors");
        program::serve_root(kind, &self.path(name), &[&["--error-log", text(&errors)], arguments].concat())
    }

    /// Returns the lines of the error log that contain `message`, by the processes that have written them.
    fn logged(&self, message: &str) -> Vec<String> {
        let errors = fs::read_to_string(self.path("errors")).unwrap_or_default();
        let lines = errors.lines().filter(|line| line.contains(message));
        lines.map(|line| line.split(' ').nth(2).expect("a PID").to_owned()).collect()
    }
}

/// Waits until each of several connections, enough for each worker to have one, gets a response with this status and
/// beginning.
fn await_all(program: &Program, status: u16, start: &str) {
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(program.address())).collect();
    wait_for("the same response for all connections", || {
        let is_expected = |client: &mut Client| {
            let response = client.fetch(get("/"));
            response.status == status && response.text().starts_with(start)
        };
        clients.iter_mut().all(is_expected).then_some(())
    });
}

two_kinds! {
    fn a_root_that_is_made_again_is_served_again(kind: ServerKind) {
        let sites = Sites::new();
        let program = sites.serve(kind, "site", &[]);
        await_all(&program, 200, "site");
        fs::remove_dir_all(sites.path("site")).expect("a directory");
        wait_for("a message", || {
            await_all(&program, 404, "");
            (!sites.logged("cannot reopen the document root").is_empty()).then_some(())
        });
        sites.make("site", "again");
        await_all(&program, 200, "again");
        program.stop_cleanly();
        assert!(!sites.logged("reopened the document root").is_empty());
        // One line from each process, however often it has looked.
        for message in ["cannot reopen the document root", "reopened the document root"] {
            let mut writers = sites.logged(message);
            let all = writers.len();
            writers.sort();
            writers.dedup();
            assert_eq!(writers.len(), all, "{message}: {writers:?}");
        }
    }

    fn a_root_that_is_a_link_follows_it_to_another_release(kind: ServerKind) {
        let sites = Sites::new();
        let program = sites.serve(kind, "current", &[]);
        await_all(&program, 200, "releases/1");
        sites.switch();
        await_all(&program, 200, "releases/2");
        // If a reload cannot open the root, the program continues to serve the old one.
        fs::rename(sites.path("current"), sites.path("gone")).expect("a rename");
        program.signal(Signal::HUP);
        wait_for("a message", || (!sites.logged("cannot serve").is_empty()).then_some(()));
        fs::rename(sites.path("gone"), sites.path("current")).expect("a rename");
        await_all(&program, 200, "releases/2");
        program.stop_cleanly();
    }

    fn a_confined_program_says_that_it_cannot_read_another_root(kind: ServerKind) {
        let sites = Sites::new();
        let program = sites.serve(kind, "current", &["--confine"]);
        if program.startup_line.contains("not confined") {
            return println!("skipped: this kernel has no Landlock");
        }
        sites.switch();
        wait_for("a message", || {
            await_all(&program, 200, "releases/1");
            (!sites.logged("confined to the previous one").is_empty()).then_some(())
        });
        // The previous directory is permitted, by whatever name.
        fs::remove_file(sites.path("current")).expect("a link");
        fs::rename(sites.path("releases/1"), sites.path("current")).expect("a rename");
        sites.make("current", "moved");
        wait_for("a message", || {
            await_all(&program, 200, "moved");
            (!sites.logged("is there again").is_empty()).then_some(())
        });
        program.stop_cleanly();
    }
}
