//! The document root when its name leads to another directory: the server serves that directory.

use crate::{
    client::{Client, get, wait_for},
    program::{self, Program, ServerKind, text},
    site::Directory,
};
use rustix::process::Signal;
use std::{collections::HashSet, fs, os::unix::fs::symlink};

/// Makes a directory with two releases, `releases/1` and `releases/2`, and the document root `site`. The file
/// `index.html` in each contains the name of its directory. The link `current` leads to the first release.
fn make_sites() -> Directory {
    let sites = Directory::new();
    ["releases/1", "releases/2", "site"]
        .iter()
        .for_each(|name| sites.write(&format!("{name}/index.html"), name));
    symlink("releases/1", sites.path("current")).expect("a link");
    sites
}

/// Replaces the link `current` atomically by a link to `releases/2`.
fn switch(sites: &Directory) {
    symlink("releases/2", sites.path("next")).expect("a link");
    sites.rename("next", "current");
}

/// Starts an `httpd` of this kind that serves the directory `name`. Its error log is the file `errors`.
fn serve(kind: ServerKind, sites: &Directory, name: &str, arguments: &[&str]) -> Program {
    let errors = sites.path("errors");
    program::serve_root(kind, &sites.path(name), &[&["--error-log", text(&errors)], arguments].concat())
}

/// Returns the lines of the error log that contain `message`, by the processes that have written them.
fn logged(sites: &Directory, message: &str) -> Vec<String> {
    let errors = sites.read("errors");
    let lines = errors.lines().filter(|line| line.contains(message));
    lines.map(|line| line.split(' ').nth(2).expect("a PID").to_owned()).collect()
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
        let sites = make_sites();
        let program = serve(kind, &sites, "site", &[]);
        await_all(&program, 200, "site");
        fs::remove_dir_all(sites.path("site")).expect("a directory");
        wait_for("a message", || {
            await_all(&program, 404, "");
            (!logged(&sites, "cannot reopen the document root").is_empty()).then_some(())
        });
        sites.write("site/index.html", "again");
        await_all(&program, 200, "again");
        program.stop_cleanly();
        // One line from each process, however often it has looked.
        for message in ["cannot reopen the document root", "reopened the document root"] {
            let writers = logged(&sites, message);
            let unique: HashSet<&String> = writers.iter().collect();
            assert!(!writers.is_empty() && unique.len() == writers.len(), "{message}: {writers:?}");
        }
    }

    fn a_root_that_is_a_link_follows_it_to_another_release(kind: ServerKind) {
        let sites = make_sites();
        let program = serve(kind, &sites, "current", &[]);
        await_all(&program, 200, "releases/1");
        switch(&sites);
        await_all(&program, 200, "releases/2");
        // If a reload cannot open the root, the program continues to serve the old one.
        sites.rename("current", "gone");
        program.signal(Signal::HUP);
        wait_for("a message", || (!logged(&sites, "cannot serve").is_empty()).then_some(()));
        sites.rename("gone", "current");
        await_all(&program, 200, "releases/2");
        program.stop_cleanly();
    }

    fn a_confined_program_says_that_it_cannot_read_another_root(kind: ServerKind) {
        let sites = make_sites();
        let program = serve(kind, &sites, "current", &["--confine"]);
        if program.startup_line.contains("not confined") {
            return println!("skipped: this kernel has no Landlock");
        }
        switch(&sites);
        wait_for("a message", || {
            await_all(&program, 200, "releases/1");
            (!logged(&sites, "confined to the previous one").is_empty()).then_some(())
        });
        // The previous directory is permitted, by whatever name.
        fs::remove_file(sites.path("current")).expect("a link");
        sites.rename("releases/1", "current");
        sites.write("current/index.html", "moved");
        wait_for("a message", || {
            await_all(&program, 200, "moved");
            (!logged(&sites, "is there again").is_empty()).then_some(())
        });
        program.stop_cleanly();
    }
}
