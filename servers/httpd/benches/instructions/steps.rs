//! Instructions counted one by one: a child process stops before and after what it shows, and is single-stepped from
//! one stop to the next (ptrace).
//!
//! The count is exact and has no start-up in it. Valgrind's callgrind comes to the same figures where it can run the
//! work; but 3.19, which is Debian 12's, does not know `openat2`, without which no document root opens.

use nix::{
    sys::{
        ptrace,
        signal::{Signal, raise},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    env,
    hint::black_box,
    process::{Command, exit},
};

/// The C library picks its routines by the processor. Without these extensions the choice is the same everywhere, and
/// so are the counts.
const PLAIN_PROCESSOR: &str = "glibc.cpu.hwcaps=-AVX512VL,-AVX512BW,-AVX2,-BMI2,-ERMS,-FSRM";

/// The exit code that says that no process may be traced here, as in some containers.
const UNTRACED: i32 = 77;

/// Runs `work` where it can be counted: between the second and the third stop. Between the first two there is nothing,
/// which tells what stopping itself costs.
pub fn show<T>(mut work: impl FnMut() -> T) {
    // Once unseen: what is made or looked up on first use is not what is counted.
    black_box(work());
    if ptrace::traceme().is_err() {
        exit(UNTRACED);
    }
    stop();
    stop();
    black_box(work());
    stop();
}

fn stop() {
    raise(Signal::SIGSTOP).expect("a signal to itself");
}

/// Instructions that the work of this name takes, in a process of its own.
pub fn count(name: &str) -> usize {
    let program = env::current_exe().expect("this program");
    let mut child =
        Command::new(program).arg(name).env("GLIBC_TUNABLES", PLAIN_PROCESSOR).spawn().expect("a child");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process number"));
    match waitpid(pid, None).expect("its first stop") {
        WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
        WaitStatus::Exited(_, UNTRACED) => exit(UNTRACED),
        other => panic!("{name}: {other:?}"),
    }
    let stopping = steps_to_stop(pid);
    let count = steps_to_stop(pid) - stopping;
    ptrace::cont(pid, None).expect("the child going on");
    assert!(child.wait().expect("its end").success(), "{name}");
    count
}

fn steps_to_stop(pid: Pid) -> usize {
    let mut steps = 0;
    loop {
        ptrace::step(pid, None).expect("a step");
        steps += 1;
        match waitpid(pid, None).expect("its outcome") {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            WaitStatus::Stopped(_, Signal::SIGSTOP) => return steps,
            other => panic!("{other:?}"),
        }
    }
}
