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

/// The maximum length of the message in a line, in bytes after escaping. A longer message is truncated, and `...` is
/// appended. That and the other parts of the line fit into 100 bytes.
const MAX_MESSAGE: usize = MAX_LINE_BYTES - 100;

/// The error log of this process, once [`set_log`] has been called.
static ERROR_LOG: OnceLock<Log> = OnceLock::new();

/// Makes the macros of the `log` crate append their messages to the error log; before [`set_log`] is called, print them
/// to standard error. Debug and trace messages are dropped.
pub fn install_logger() {
    if log::set_logger(&ErrorLogger).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}

/// Makes `log` the error log of this process. From then on, each panic appends one line to it too. Only the first call
/// has an effect.
pub(super) fn set_log(log: Log) {
    let _ = ERROR_LOG.set(log);
    panic::set_hook(Box::new(|panic| {
        report(Level::Error, panic_message(panic.payload(), panic.location()));
    }));
}

/// Appends a message to the error log, or prints it to standard error before [`set_log`] is called. Returns false if
/// the log's buffer was full and the message is lost.
pub(super) fn report(level: Level, message: impl fmt::Display) -> bool {
    // Formatted before the log is locked, because an argument's `Display` can panic.
    let (message, pid) = (message.to_string(), process::id());
    let Some(log) = ERROR_LOG.get() else {
        let mut line = Vec::new();
        write_line(&mut line, &Timestamp::at(SystemTime::now()), pid, level, &message);
        // `eprint!` and not `io::stderr`, because test harnesses capture only the output of the macro.
        eprint!("{}", String::from_utf8_lossy(&line));
        return true;
    };
    log.append(|out, timestamp| write_line(out, timestamp, pid, level, &message))
}

/// The logger of the `log` crate's macros: passes each message to [`report`].
struct ErrorLogger;

impl log::Log for ErrorLogger {
    /// Not needed: the `log` macros compare the maximum level first.
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        report(record.level(), record.args());
    }

    /// Does nothing: the process flushes the error log itself when it ends.
    fn flush(&self) {}
}

/// Appends the line `TIME LEVEL PID: MESSAGE`, with its newline, to `out`.
fn write_line(out: &mut Vec<u8>, timestamp: &Timestamp, pid: u32, level: Level, message: &str) {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info | Level::Debug | Level::Trace => "info",
    };
    let _ = write!(out, "{} {level} {pid}: ", timestamp.rfc3339);
    Escape::Message.write(out, message.as_bytes(), MAX_MESSAGE);
    out.push(b'\n');
}

/// The message for a panic: its thread, its place in the source, and its text if `payload` is a string.
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

    /// Checks the line that a process with PID 4711 writes, without its timestamp.
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
