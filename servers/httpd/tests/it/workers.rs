//! Worker processes: the master replaces those that die, and they end with their master.

use crate::{
    admin::{admin, values},
    client::wait_for,
    operations::with_file_limit,
    program::{self, Program, ServerKind, check_served, connect_idle},
    site::Site,
};
use rustix::process::{Pid, Signal, kill_process};
use std::thread;

/// The kinds of server that have worker processes.
const PREFORK: [ServerKind; 2] = [ServerKind::EventLoopPrefork, ServerKind::BlockingPrefork];

/// Waits until the program has two workers that have not ended, and none of them is in `ended`. Returns their
/// processes.
pub fn await_workers(program: &Program, ended: &[Pid]) -> [Pid; 2] {
    wait_for("two workers", || match program.workers()[..] {
        [(first, state), (second, other)] if state != 'Z' && other != 'Z' => {
            let workers = [first, second];
            workers.iter().all(|worker| !ended.contains(worker)).then_some(workers)
        }
        _ => None,
    })
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

/// SIGTERM to a worker ends that worker, not the server. The workers share one accept queue, so no waiting connection
/// is lost: another worker serves it, at once or when it has been started.
#[test]
fn replaces_workers_that_end() {
    for (kind, signal) in PREFORK.into_iter().flat_map(|kind| [(kind, Signal::KILL), (kind, Signal::TERM)]) {
        let program = program::serve(kind, &[]);
        let mut ended = Vec::new();
        for count in [1, 1, 2] {
            let workers = await_workers(&program, &ended);
            let (killed, kept) = workers.split_at(count);
            for worker in killed {
                kill_process(*worker, signal).expect("a worker");
            }
            (0..20).for_each(|_| check_served(program.address()));
            ended.extend(killed);
            let after = await_workers(&program, &ended);
            assert!(kept.iter().all(|worker| after.contains(worker)), "{kept:?} has ended as well");
        }
        let exit = program.stop();
        assert_eq!((exit.code, &*exit.stdout), (Some(0), ""));
        assert_eq!(exit.stderr.lines().count(), ended.len(), "{}", exit.stderr);
        for pid in ended {
            let is_about = |line: &str| line.contains(&format!("{pid}")) && line.contains(" ended: ");
            assert!(exit.stderr.lines().any(is_about), "{pid}: {}", exit.stderr);
        }
    }
}

/// Each of four workers gets some of the connections that stay open, and none more than three quarters of them. (If they
/// did not leave them to each other, one would get nearly all. On a busy machine, the others may wake up late.)
#[test]
fn workers_share_the_connections() {
    for kind in PREFORK.into_iter().chain([ServerKind::EventLoop]) {
        let program = program::serve(kind, &["--admin", "0", "-w", "4"]);
        let clients: Vec<_> = (0..128).map(|_| connect_idle(program.address())).collect();
        let open = values(admin(&program), "http_open_connections", "");
        assert_eq!((open.len(), open.iter().sum::<f64>()), (4, 128.0), "{kind:?}: {open:?}");
        assert!(open.iter().all(|open| (1.0..=96.0).contains(open)), "{kind:?}: {open:?}");
        drop(clients);
        program.stop();
    }
}

#[test]
fn workers_end_with_their_master() {
    for kind in PREFORK {
        let program = program::serve(kind, &[]);
        let _orphans = Orphans(await_workers(&program, &[]));
        let mut idle = connect_idle(program.address());
        program.signal(Signal::KILL);
        // The workers notice, and shut down.
        idle.expect_eof();
        // wait() returns when the workers have closed the standard output, too.
        assert_eq!(program.wait().code, None);
    }
}

/// A worker needs more descriptors than its master, so with some limit only the worker fails.
#[test]
fn the_master_exits_if_a_worker_cannot_start() {
    let expected = "httpd: cannot start worker processes: worker 0: ended before it was ready\n";
    let site = Site::shared();
    let stderr = (9..32).find_map(|files| {
        let mut command = with_file_limit(ServerKind::EventLoopPrefork, &site, files);
        let exit = Program::spawn(&mut command).expect("a shell").wait();
        assert_eq!((exit.code, &*exit.stdout), (Some(1), ""), "with {files} open files");
        exit.stderr.contains(expected).then_some(exit.stderr)
    });
    let stderr = stderr.expect("a limit with which only the worker fails");
    // One worker or both print the cause. A warning about the limit may come in between.
    assert!(stderr.matches("httpd: cannot ").count() > 1, "{stderr}");
}
