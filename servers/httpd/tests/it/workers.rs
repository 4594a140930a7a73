//! Worker processes: the master replaces those that die, and they end with their master.

use crate::{
    client::{Client, get, wait_for},
    operations::{self, with_file_limit},
    program::{self, Program},
    server::ServerKind,
    site::Site,
};
use http_testing::program::without_root_warning;
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, process::Stdio, thread};

/// Starts an `httpd` of this kind with two workers that serves the shared site.
fn start(kind: ServerKind) -> Program {
    program::serve(kind.arguments())
}

/// Checks that `count` requests are served, each on a connection of its own.
fn check_served(program: &Program, count: usize) {
    (0..count).for_each(|_| operations::check_served(program.address()));
}

/// Waits until the program has two workers that have not ended. Returns their processes.
fn both_workers(program: &Program) -> [Pid; 2] {
    wait_for("two workers", || match program.workers()[..] {
        [(first, state), (second, other)] if state != 'Z' && other != 'Z' => Some([first, second]),
        _ => None,
    })
}

/// Sends `signal` to one of two workers. Checks that all requests are served meanwhile, that the master starts another
/// worker and logs the end of the first, and that the other worker continues.
fn check_replaced(kind: ServerKind, signal: Signal) {
    let program = start(kind);
    let [killed, other] = both_workers(&program);
    check_served(&program, 20);
    kill_process(killed, signal).expect("a worker");
    // The workers share one accept queue, so no waiting connection is lost, and the other worker serves them.
    check_served(&program, 20);
    let after = wait_for("a new worker", || {
        let after = both_workers(&program);
        (!after.contains(&killed)).then_some(after)
    });
    assert!(after.contains(&other), "{other:?} has ended as well");
    check_served(&program, 20);
    let exit = program.stop();
    assert_eq!((exit.code, &*exit.stdout), (Some(0), ""));
    let logged =
        exit.stderr.lines().count() == 1 && exit.stderr.contains(&killed.as_raw_nonzero().to_string());
    assert!(logged && exit.stderr.contains(" ended: "), "{}", exit.stderr);
}

/// Kills both workers at once. Checks that all requests are served nevertheless, by two new workers.
fn check_both_replaced(kind: ServerKind) {
    let program = start(kind);
    let killed = both_workers(&program);
    for worker in killed {
        kill_process(worker, Signal::KILL).expect("a worker");
    }
    // Until there is a new worker, connections wait in the accept queue.
    check_served(&program, 20);
    wait_for("two other workers", || {
        killed.iter().all(|worker| !both_workers(&program).contains(worker)).then_some(())
    });
    assert_eq!(program.stop().code, Some(0));
}

/// Worker processes whose master has been killed. If the test panics, dropping this value kills them.
struct Orphans([Pid; 2]);

impl Drop for Orphans {
    fn drop(&mut self) {
        if thread::panicking() {
            for orphan in self.0 {
                let _ = kill_process(orphan, Signal::KILL);
            }
        }
    }
}

/// Kills the master. Checks that the workers close idle connections and end.
fn check_ends_with_master(kind: ServerKind) {
    let program = start(kind);
    let _orphans = Orphans(both_workers(&program));
    let mut idle = Client::connect(program.address());
    assert_eq!(idle.fetch(get("/notes.txt")).status, 200);
    program.signal(Signal::KILL);
    // The workers notice, and shut down.
    idle.expect_eof();
    // wait() returns when the workers have closed the standard output, too.
    assert_eq!(program.wait().code, None);
}

#[test]
fn replaces_a_killed_event_loop() {
    check_replaced(ServerKind::EventLoopPrefork, Signal::KILL);
}

#[test]
fn replaces_a_killed_blocking_worker() {
    check_replaced(ServerKind::BlockingPrefork, Signal::KILL);
}

/// SIGTERM to a worker shuts down that worker, not the server.
#[test]
fn replaces_a_stopped_event_loop() {
    check_replaced(ServerKind::EventLoopPrefork, Signal::TERM);
}

#[test]
fn replaces_a_stopped_blocking_worker() {
    check_replaced(ServerKind::BlockingPrefork, Signal::TERM);
}

#[test]
fn requests_wait_while_all_event_loops_are_replaced() {
    check_both_replaced(ServerKind::EventLoopPrefork);
}

#[test]
fn requests_wait_while_all_blocking_workers_are_replaced() {
    check_both_replaced(ServerKind::BlockingPrefork);
}

#[test]
fn event_loops_end_with_their_master() {
    check_ends_with_master(ServerKind::EventLoopPrefork);
}

#[test]
fn blocking_workers_end_with_their_master() {
    check_ends_with_master(ServerKind::BlockingPrefork);
}

/// A terminal sends SIGINT to the master and the workers. Only the master acts on it.
#[test]
fn workers_ignore_sigint() {
    let program = start(ServerKind::EventLoopPrefork);
    let workers = both_workers(&program);
    for worker in workers {
        kill_process(worker, Signal::INT).expect("a worker");
    }
    check_served(&program, 20);
    assert_eq!(both_workers(&program), workers);
    program.signal(Signal::INT);
    let exit = program.wait();
    assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
}

/// `ps` shows the name of a process, and its arguments. The kernel's name of a program started by `/proc/self/exe` is
/// `exe`.
#[test]
fn workers_have_the_name_of_the_program() {
    for kind in [ServerKind::EventLoopPrefork, ServerKind::BlockingPrefork] {
        let program = start(kind);
        let mut arguments = Vec::new();
        for worker in both_workers(&program) {
            assert_eq!(fs::read_to_string(format!("/proc/{worker}/comm")).expect("a name"), "httpd\n");
            arguments.push(fs::read_to_string(format!("/proc/{worker}/cmdline")).expect("arguments"));
        }
        arguments.sort();
        for (number, arguments) in arguments.iter().enumerate() {
            assert!(arguments.starts_with(&format!("httpd: worker {number}\0-w\0")), "{arguments:?}");
        }
        program.stop_cleanly();
    }
}

#[test]
fn replaces_workers_that_die_repeatedly() {
    let program = start(ServerKind::EventLoopPrefork);
    let mut known = both_workers(&program);
    for _ in 0..3 {
        kill_process(known[0], Signal::KILL).expect("a worker");
        known = wait_for("a new worker", || {
            let after = both_workers(&program);
            (!after.contains(&known[0])).then_some(after)
        });
        check_served(&program, 5);
    }
    assert_eq!(program.stop().code, Some(0));
}

/// A worker needs more descriptors than its master, so with some limit only the worker fails.
#[test]
fn the_master_exits_if_a_worker_cannot_start() {
    let site = Site::shared();
    let stderr = (9..32).find_map(|files| {
        let mut command = with_file_limit(ServerKind::EventLoopPrefork, &site, files, "timeout 5");
        let exit = command.stdin(Stdio::null()).output().expect("a shell");
        let stderr = without_root_warning(&String::from_utf8_lossy(&exit.stderr));
        (exit.status.code() == Some(1) && exit.stdout.is_empty() && stderr.lines().count() > 1)
            .then_some(stderr)
    });
    let stderr = stderr.expect("a limit with which only the worker fails");
    let expected = "httpd: cannot start worker processes: worker 0: ended before it was ready\n";
    assert!(stderr.starts_with("httpd: cannot ") && stderr.ends_with(expected), "{stderr}");
}
