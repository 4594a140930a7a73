//! What an operator's signals do to a server at work, besides ending it.

use crate::{
    client::{Client, get, until},
    program::{self, Program},
    server::Kind,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Two releases of a site, and a link to one of them, which is what is served.
struct Releases {
    directory: TempDir,
}

impl Releases {
    fn new() -> Releases {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["one", "two"] {
            fs::create_dir(directory.path().join(name)).expect("a directory");
            fs::write(directory.path().join(name).join("index.html"), name).expect("a file");
        }
        let releases = Releases { directory };
        releases.switch_to("one");
        releases
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn switch_to(&self, name: &str) {
        symlink(name, self.path("next")).expect("a link");
        fs::rename(self.path("next"), self.path("current")).expect("a new name");
    }

    /// Serves the current one, with messages in `errors` and requests in `log`.
    fn serve(&self, kind: Kind) -> Program {
        let (errors, log) = (self.path("errors"), self.path("log"));
        let files = ["--error-log", text(&errors), "--log", "common", "--log-file", text(&log)];
        program::serve_root(&self.path("current"), &[kind.arguments(), &files].concat())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The process and its workers.
fn processes(program: &Program) -> Vec<Pid> {
    program.workers().into_iter().map(|(worker, _)| worker).chain([program.pid()]).collect()
}

/// Whether any of them has this file open.
fn is_open(program: &Program, path: &Path) -> bool {
    processes(program).into_iter().any(|process| {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("descriptors");
        descriptors
            .flatten()
            .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|leads| leads == path))
    })
}

fn end(program: Program) {
    program.signal(Signal::TERM);
    let exit = program.exit();
    assert_eq!((exit.code, &*exit.stdout, &*exit.stderr), (Some(0), "", ""));
}

fn check_reopened(kind: Kind, signal: Signal) {
    let releases = Releases::new();
    let program = releases.serve(kind);
    let mut kept = Client::connect(program.address());
    assert_eq!(kept.ask(get("/before")).status, 404);
    let (log, errors) = (releases.path("log"), releases.path("errors"));
    let lines = |path: &Path| fs::read_to_string(path).expect("a log");
    until("a line of it", || lines(&log).ends_with('\n').then_some(()));
    let rotated = [&log, &errors].map(|path| path.with_extension("1"));
    for (path, rotated) in [&log, &errors].into_iter().zip(&rotated) {
        fs::rename(path, rotated).expect("a new name");
    }
    program.signal(signal);
    until("the old files are let go", || {
        (!rotated.iter().any(|rotated| is_open(&program, rotated))).then_some(())
    });
    assert_eq!(kept.ask(get("/after")).status, 404);
    kept.finish();
    end(program);
    let (old, new) = (lines(&rotated[0]), lines(&log));
    assert!(old.contains("GET /before ") && !old.contains("GET /after "), "{old}");
    assert!(new.contains("GET /after ") && !new.contains("GET /before "), "{new}");
    assert!(errors.exists());
}

http_testing::both_engines! {
    fn sigusr1_reopens_the_logs(kind: Kind) {
        check_reopened(kind, Signal::USR1);
    }

    fn sighup_reopens_the_logs(kind: Kind) {
        check_reopened(kind, Signal::HUP);
    }

    fn sighup_serves_what_the_root_leads_to_now(kind: Kind) {
        let releases = Releases::new();
        let program = releases.serve(kind);
        // Enough for every worker to have some.
        let mut kept: Vec<_> = (0..8).map(|_| Client::connect(program.address())).collect();
        let mut all_see = |expected: &str| {
            kept.iter_mut().all(|client| client.ask(get("/")).text() == expected)
        };
        assert!(all_see("one"));
        releases.switch_to("two");
        assert!(all_see("one"), "nobody has been told");
        program.signal(Signal::HUP);
        until("the new release", || all_see("two").then_some(()));
        // Where its name leads nowhere, what is served stays.
        fs::rename(releases.path("current"), releases.path("gone")).expect("a new name");
        program.signal(Signal::HUP);
        let said = until("a message", || {
            fs::read_to_string(releases.path("errors")).ok().filter(|said| said.ends_with('\n'))
        });
        assert!(said.contains("cannot serve") && said.contains("No such file"), "{said}");
        assert!(all_see("two"));
        kept.into_iter().for_each(Client::finish);
        end(program);
    }

    fn sigpipe_kills_nobody(kind: Kind) {
        let program = program::serve(kind.arguments());
        let before = processes(&program);
        let mut kept = Client::connect(program.address());
        for process in &before {
            kill_process(*process, Signal::PIPE).expect("a process");
        }
        assert_eq!(kept.ask(get("/notes.txt")).text(), "notes\n");
        kept.finish();
        assert_eq!(processes(&program), before);
        end(program);
    }
}

/// What a worker serves that comes later, whatever the root's name leads to by then.
#[test]
fn a_replaced_worker_serves_what_the_others_do() {
    let releases = Releases::new();
    let program = releases.serve(Kind::EventLoopPrefork);
    releases.switch_to("two");
    let dying = program.workers();
    for (worker, _) in &dying {
        kill_process(*worker, Signal::KILL).expect("a worker");
    }
    for _ in 0..4 {
        let mut client = Client::connect(program.address());
        assert_eq!(client.ask(get("/")).text(), "one");
    }
    end(program);
}

/// A terminal or killall sends to everybody what only the master should act on.
#[test]
fn workers_survive_signals_for_their_master() {
    let releases = Releases::new();
    let program = releases.serve(Kind::BlockingPrefork);
    let before = processes(&program);
    for (worker, _) in program.workers() {
        for signal in [Signal::INT, Signal::HUP, Signal::USR1, Signal::USR2] {
            kill_process(worker, signal).expect("a worker");
        }
    }
    for _ in 0..4 {
        assert_eq!(Client::connect(program.address()).ask(get("/")).text(), "one");
    }
    assert_eq!(processes(&program), before);
    end(program);
}
