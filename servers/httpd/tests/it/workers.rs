//! Worker processes: replaced when they die, gone when their master is, and none left unburied.

use crate::{
    client::{Client, get, until},
    operations::limited,
    program::{self, Program},
    server::Kind,
    site::Site,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{process::Stdio, thread};

fn start(engine: Kind) -> Program {
    program::serve(engine.arguments())
}

/// Requests on connections of their own, each answered.
fn check_served(program: &Program, count: usize) {
    for number in 0..count {
        let mut client = Client::connect(program.address());
        assert_eq!(client.ask(get("/notes.txt")).text(), "notes\n", "number {number}");
        client.finish();
    }
}

/// Two workers, none of which has ended, with their numbers.
fn both(program: &Program) -> [Pid; 2] {
    until("two workers", || match program.workers()[..] {
        [(first, state), (second, other)] if state != 'Z' && other != 'Z' => Some([first, second]),
        _ => None,
    })
}

fn check_replaced(kind: Kind, signal: Signal) {
    let program = start(kind);
    let [dying, staying] = both(&program);
    check_served(&program, 20);
    kill_process(dying, signal).expect("a worker");
    // No connection was its own, so none is lost: all wait in one queue, and the other goes on.
    check_served(&program, 20);
    let after = until("another worker", || {
        let after = both(&program);
        (!after.contains(&dying)).then_some(after)
    });
    assert!(after.contains(&staying), "{staying:?} lives on");
    check_served(&program, 20);
    program.signal(Signal::TERM);
    let exit = program.exit();
    assert_eq!((exit.code, &*exit.stdout), (Some(0), ""));
    let told = exit.stderr.lines().count() == 1 && exit.stderr.contains(&dying.as_raw_nonzero().to_string());
    assert!(told && exit.stderr.contains(" ended: "), "{}", exit.stderr);
}

fn check_both_replaced(kind: Kind) {
    let program = start(kind);
    let dying = both(&program);
    for worker in dying {
        kill_process(worker, Signal::KILL).expect("a worker");
    }
    // Nobody is there to accept, and yet nobody is turned away.
    check_served(&program, 20);
    until("two other workers", || dying.iter().all(|worker| !both(&program).contains(worker)).then_some(()));
    program.signal(Signal::TERM);
    assert_eq!(program.exit().code, Some(0));
}

/// Processes that nobody else can end any more, should a test fail.
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

fn check_orphans(kind: Kind) {
    let program = start(kind);
    let _orphans = Orphans(both(&program));
    let mut idle = Client::connect(program.address());
    assert_eq!(idle.ask(get("/notes.txt")).status, 200);
    program.signal(Signal::KILL);
    // They stop as if they were told to.
    idle.ends();
    // What it waits for is the end of all who could still write, so of the workers as well.
    assert_eq!(program.exit().code, None);
}

#[test]
fn a_killed_event_loop_is_replaced() {
    check_replaced(Kind::EventLoopPrefork, Signal::KILL);
}

#[test]
fn a_killed_blocking_worker_is_replaced() {
    check_replaced(Kind::BlockingPrefork, Signal::KILL);
}

/// A worker that is told to stop does so properly, and is replaced as well: stopping is the master's affair.
#[test]
fn a_stopped_event_loop_is_replaced() {
    check_replaced(Kind::EventLoopPrefork, Signal::TERM);
}

#[test]
fn a_stopped_blocking_worker_is_replaced() {
    check_replaced(Kind::BlockingPrefork, Signal::TERM);
}

#[test]
fn when_all_event_loops_die_requests_wait_for_their_successors() {
    check_both_replaced(Kind::EventLoopPrefork);
}

#[test]
fn when_all_blocking_workers_die_requests_wait_for_their_successors() {
    check_both_replaced(Kind::BlockingPrefork);
}

#[test]
fn event_loops_do_not_outlive_their_master() {
    check_orphans(Kind::EventLoopPrefork);
}

#[test]
fn blocking_workers_do_not_outlive_their_master() {
    check_orphans(Kind::BlockingPrefork);
}

/// A terminal sends its SIGINT to all of them; the master decides.
#[test]
fn workers_leave_sigint_to_their_master() {
    let program = start(Kind::EventLoopPrefork);
    let workers = both(&program);
    for worker in workers {
        kill_process(worker, Signal::INT).expect("a worker");
    }
    check_served(&program, 20);
    assert_eq!(both(&program), workers);
    program.signal(Signal::INT);
    let exit = program.exit();
    assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
}

/// A worker that dies without a connection is missed by nobody, however often.
#[test]
fn workers_that_keep_dying_are_replaced_again_and_again() {
    let program = start(Kind::EventLoopPrefork);
    let mut known = both(&program);
    for _ in 0..3 {
        kill_process(known[0], Signal::KILL).expect("a worker");
        known = until("another worker", || {
            let after = both(&program);
            (!after.contains(&known[0])).then_some(after)
        });
        check_served(&program, 5);
    }
    program.signal(Signal::TERM);
    assert_eq!(program.exit().code, Some(0));
}

/// Its master needs less than it does, so there is a number of files with which only the worker fails.
#[test]
fn a_worker_that_cannot_start_ends_its_master() {
    let site = Site::shared();
    let said = (9..32).find_map(|files| {
        let mut command = limited(Kind::EventLoopPrefork, &site, files, "timeout 5");
        let exit = command.stdin(Stdio::null()).output().expect("a shell");
        let said = String::from_utf8_lossy(&exit.stderr).into_owned();
        (exit.status.code() == Some(1) && exit.stdout.is_empty() && said.lines().count() > 1).then_some(said)
    });
    let said = said.expect("too few for a worker");
    let expected = "httpd: cannot run worker processes: worker 0 ended before it served\n";
    assert!(said.starts_with("httpd: cannot ") && said.ends_with(expected), "{said}");
}
