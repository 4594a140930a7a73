//! Reads the properties of this machine, its load, and the date. It reads no host name.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::report::Machine;
use crate::subject::usage::field;

/// The properties of this machine. Unknown ones are left empty.
pub(super) fn this() -> Machine {
    let uname = rustix::system::uname();
    let kernel = [uname.sysname(), uname.release(), uname.machine()].map(std::ffi::CStr::to_string_lossy);
    let gib = field(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) as f64 / f64::from(1 << 20);
    Machine {
        cpu: cpu_name(&read("/proc/cpuinfo")).unwrap_or_default(),
        cpus: thread::available_parallelism().map_or(0, usize::from),
        memory_gib: (gib * 10.0).round() / 10.0,
        kernel: kernel.join(" "),
    }
}

/// The load average of the last minute.
pub(super) fn load_average() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// The current date and time of day in UTC, in the format of RFC 3339.
pub(super) fn now() -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The text of a file; empty if it cannot be read.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The model name of the CPU in `/proc/cpuinfo`.
fn cpu_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Writes a time since the beginning of 1970 as date and time of day. Years are counted from March, so that a leap day is
/// the last day of a year.
fn rfc3339(since_1970: Duration) -> String {
    /// Days from 1 March of the year 0 to 1970.
    const DAYS_BEFORE_1970: u64 = 719_468;
    /// The Gregorian calendar repeats after that many days.
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let seconds = since_1970.as_secs();
    let days = seconds / 86_400 + DAYS_BEFORE_1970;
    let (cycle, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = 400 * cycle + year + next;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dates() {
        let check = |seconds, expected: &str| assert_eq!(rfc3339(Duration::from_secs(seconds)), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(951_868_799, "2000-02-29T23:59:59Z");
        check(951_868_800, "2000-03-01T00:00:00Z");
        check(1_767_225_599, "2025-12-31T23:59:59Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
    }
}
