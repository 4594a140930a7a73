//! The error log: receives the process's messages from the `log` facade, and its panics.
//!
//! Reporting a message must never block. A line has the form `TIME LEVEL PID: MESSAGE`.

use super::{escape::Escape, output::MAX_LINE_BYTES, queue::Log, timestamp::Timestamp};
use log::Level;
use std::{
    any::Any,
    fmt,
    io::Write,
    panic::{self, Location},
    process,
    sync::OnceLock,
    thread,
    time::SystemTime,
};

/// The most bytes that a message takes, once escaped; the rest of the line fits into the remaining 100 bytes.
const MAX_MESSAGE: usize = MAX_LINE_BYTES - 100;

static LOG: OnceLock<Log> = OnceLock::new();

/// Routes the messages of the `log` facade to the error log. Until [`set_log`] is called they go to standard error.
pub fn install_logger() {
    if log::set_logger(&ErrorLogger).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}

/// Makes `log` the error log of this process, and reports panics to it too, one line each. Only the first call has an
/// effect on where messages go.
pub(super) fn set_log(log: Log) {
    let _ = LOG.set(log);
    panic::set_hook(Box::new(|panic| {
        report(Level::Error, panic_message(panic.payload(), panic.location()));
    }));
}

/// Appends a message to the error log. Returns false if there was no room for it.
pub(super) fn report(level: Level, message: impl fmt::Display) -> bool {
    // Formatted before the log is locked, because an argument's `Display` can panic.
    let (message, pid) = (message.to_string(), process::id());
    let Some(log) = LOG.get() else {
        let mut line = Vec::new();
        write_line(&mut line, &Timestamp::at(SystemTime::now()), pid, level, &message);
        // A macro, because test harnesses capture its output but not that of the stream.
        eprint!("{}", String::from_utf8_lossy(&line));
        return true;
    };
    log.append(|line, timestamp| write_line(line, timestamp, pid, level, &message))
}

struct ErrorLogger;

impl log::Log for ErrorLogger {
    /// Not needed: the `log` macros compare the maximum level first.
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        report(record.level(), record.args());
    }

    fn flush(&self) {}
}

fn write_line(line: &mut Vec<u8>, timestamp: &Timestamp, pid: u32, level: Level, message: &str) {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info | Level::Debug | Level::Trace => "info",
    };
    let _ = write!(line, "{} {level} {pid}: ", timestamp.rfc3339);
    Escape::Message.write(line, message.as_bytes(), MAX_MESSAGE);
    line.push(b'\n');
}

fn panic_message(payload: &dyn Any, location: Option<&Location<'_>>) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let (thread, text) = (thread::current(), text.unwrap_or("no message"));
    let location = location.map_or_else(|| "?".to_owned(), ToString::to_string);
    format!("thread {} panicked at {location}: {text}", thread.name().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn check(level: Level, message: &str, expected: &str) {
        let mut line = Vec::new();
        let timestamp = Timestamp::at(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        write_line(&mut line, &timestamp, 4711, level, message);
        assert!(line.len() <= MAX_LINE_BYTES);
        assert_eq!(String::from_utf8_lossy(&line), format!("1994-11-06T08:49:37Z {expected}\n"));
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        check(Level::Error, "cannot open \"x\"", "error 4711: cannot open \"x\"");
        check(Level::Warn, "a\nb\u{e4}", r"warning 4711: a\x0Ab\xC3\xA4");
        let long = "x".repeat(MAX_MESSAGE);
        check(Level::Info, &format!("{long}y"), &format!("info 4711: {long}..."));
    }

    #[test]
    fn a_panic_message_names_thread_location_and_text() {
        let (thread, location) = (thread::current(), Location::caller());
        let prefix = format!("thread {} panicked at {location}", thread.name().expect("a test has one"));
        let check = |payload: &dyn Any, text: &str| {
            assert_eq!(panic_message(payload, Some(location)), format!("{prefix}: {text}"));
        };
        check(&"a literal", "a literal");
        check(&"a formatted text".to_owned(), "a formatted text");
        check(&0u8, "no message");
    }
}
