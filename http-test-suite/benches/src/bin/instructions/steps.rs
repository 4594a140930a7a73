//! Counts the instructions of an operation: a child process stops before and after it, and the parent single-steps the
//! child from one stop to the next (ptrace).
//!
//! The count is exact and excludes the start of the process. Valgrind's callgrind is not used: its version 3.19, that
//! of Debian 12, does not know the system call `openat2`, which the document root needs.

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

/// The value of GLIBC_TUNABLES that hides extensions of the processor. The C library chooses its routines by these
/// extensions. Without them, the choice and the counts are the same on all machines.
const BASIC_PROCESSOR: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-BMI2,-ERMS,-FSRM";

/// The exit code of child and parent if a process cannot be traced, as in some containers.
const CANNOT_TRACE: i32 = 77;

/// Runs the operation `name` in a child process, and returns how many instructions it takes. Exits with
/// [`CANNOT_TRACE`] if the child cannot be traced.
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
    let overhead = steps_to_stop(pid);
    let count = steps_to_stop(pid) - overhead;
    ptrace::cont(pid, None).expect("a child that continues");
    assert!(child.wait().expect("its end").success(), "{name}");
    count
}

/// Single-steps a stopped child up to its next SIGSTOP. Returns the number of steps.
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

/// Runs `operation` in the child: once uncounted, then once between the second and the third stop.
///
/// Nothing runs between the first and the second stop: the instructions from one to the other are the overhead of a
/// stop, which [`count`] subtracts.
pub fn run_counted<T>(mut operation: impl FnMut() -> T) {
    // The first run allocates and resolves symbols.
    black_box(operation());
    if ptrace::traceme().is_err() {
        exit(CANNOT_TRACE);
    }
    stop();
    stop();
    black_box(operation());
    stop();
}

/// Stops this process until its parent continues it.
fn stop() {
    raise(Signal::SIGSTOP).expect("a signal to itself");
}
