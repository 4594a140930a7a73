//! Counts instructions: a child process stops before and after an operation, and the parent single-steps it from
//! one stop to the next (ptrace).
//!
//! The count is exact and excludes the start of the process. Valgrind's callgrind counts the same where it can run
//! the operation, but version 3.19, that of Debian 12, does not know `openat2`, which the document root needs.

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

/// The C library chooses its routines by the processor's extensions. Without these, the choice is the same on all
/// machines, and so are the counts.
const BASIC_PROCESSOR: &str = "glibc.cpu.hwcaps=-AVX512VL,-AVX512BW,-AVX2,-BMI2,-ERMS,-FSRM";

/// The exit code if processes cannot be traced, as in some containers.
const CANNOT_TRACE: i32 = 77;

/// Counts the instructions of the operation of this name, which it runs in a child process.
pub fn count(name: &str) -> usize {
    let program = env::current_exe().expect("this program");
    let mut child =
        Command::new(program).arg(name).env("GLIBC_TUNABLES", BASIC_PROCESSOR).spawn().expect("a child");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process number"));
    match waitpid(pid, None).expect("its first stop") {
        WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
        WaitStatus::Exited(_, CANNOT_TRACE) => exit(CANNOT_TRACE),
        other => panic!("{name}: {other:?}"),
    }
    let stopping = steps_to_stop(pid);
    let count = steps_to_stop(pid) - stopping;
    ptrace::cont(pid, None).expect("a child that continues");
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

/// Runs `operation` in the child, between its second and third stop. Between the first and the second there is
/// nothing: these instructions are the cost of stopping.
pub fn run_counted<T>(mut operation: impl FnMut() -> T) {
    // The first run, which allocates and resolves symbols, is not counted.
    black_box(operation());
    if ptrace::traceme().is_err() {
        exit(CANNOT_TRACE);
    }
    stop();
    stop();
    black_box(operation());
    stop();
}

fn stop() {
    raise(Signal::SIGSTOP).expect("a signal to itself");
}
