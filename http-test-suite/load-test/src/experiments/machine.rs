//! Reads the properties of this machine, its load, and the date. It reads no host name.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::process::Command;
use std::thread;

use crate::report::Machine;
use crate::subject::usage::field;

/// The properties of this machine; unknown ones are empty or 0.
pub(super) fn this() -> Machine {
    let uname = rustix::system::uname();
    let [system, release, machine] =
        [uname.sysname(), uname.release(), uname.machine()].map(CStr::to_string_lossy);
    // The rest of the release names who built the kernel.
    let release = release.split('-').next().unwrap_or_default();
    let gib = field(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) as f64 / f64::from(1 << 20);
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    Machine {
        cpu: model.and_then(|line| line.split_once(": ")).map_or_else(String::new, |(_, name)| name.into()),
        cpus: thread::available_parallelism().map_or(0, usize::from),
        memory_gib: (gib * 10.0).round() / 10.0,
        kernel: format!("{system} {release} {machine}"),
    }
}

/// The load average of the machine over the last minute; 0 if it cannot be read.
pub(super) fn load_average() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// The current date and time of day in UTC, in the format of RFC 3339.
///
/// # Errors
///
/// If the program `date` cannot be started.
pub(super) fn now() -> io::Result<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The text of a file; empty if it cannot be read.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
