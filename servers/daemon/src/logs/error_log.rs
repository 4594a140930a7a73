//! The error log: the one place where a process says what went wrong, and never waits for anybody to read it.

use super::{LONGEST_LINE, escape::Escape, timestamp::Stamp, writer::Log};
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

/// Room for a message once it is escaped, so that with all else its line stays below the limit.
const MESSAGE: usize = LONGEST_LINE - 100;

static LOG: OnceLock<Log> = OnceLock::new();

/// Has all messages of this process appended to `log` from now on. The first word counts; before it, they go to
/// standard error.
pub fn report_to(log: Log) {
    let _ = LOG.set(log);
}

/// Has panics reported like everything else that goes wrong, each in one line.
pub fn report_panics() {
    panic::set_hook(Box::new(|panic| {
        say(Level::Error, panic_message(panic.payload(), panic.location()));
    }));
}

/// Sends the messages of this process, which arrive through the `log` facade, to its error log.
pub fn install_logger() {
    if log::set_logger(&ErrorLog).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}

/// The `log` facade's way into the error log.
struct ErrorLog;

impl log::Log for ErrorLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            say(record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

/// Reports something. Whether there was room for it.
pub(super) fn say(level: Level, message: impl fmt::Display) -> bool {
    // Made before anything is locked: what it is made of is not ours, and may panic.
    let (message, process) = (message.to_string(), process::id());
    match LOG.get() {
        Some(log) => log.append(|line, stamp| write(line, stamp, process, level, &message)),
        None => {
            let mut line = Vec::new();
            write(&mut line, &Stamp::at(SystemTime::now()), process, level, &message);
            // The macro, and not the stream, because that is what a test harness captures.
            eprint!("{}", String::from_utf8_lossy(&line));
            true
        }
    }
}

/// `time level process: message`. A message is one line, whatever names and texts of others stand in it.
fn write(line: &mut Vec<u8>, stamp: &Stamp, process: u32, level: Level, message: &str) {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info | Level::Debug | Level::Trace => "info",
    };
    let _ = write!(line, "{} {level} {process}: ", stamp.rfc3339());
    Escape::Message.write(line, message.as_bytes(), MESSAGE);
    line.push(b'\n');
}

fn panic_message(payload: &dyn Any, place: Option<&Location<'_>>) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let (thread, text) = (thread::current(), text.unwrap_or("with no message"));
    let place = place.map_or_else(|| "?".to_owned(), ToString::to_string);
    format!("thread {} panicked at {place}: {text}", thread.name().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn check(level: Level, message: &str, expected: &str) {
        let mut line = Vec::new();
        let stamp = Stamp::at(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        write(&mut line, &stamp, 4711, level, message);
        assert!(line.len() <= LONGEST_LINE);
        assert_eq!(String::from_utf8_lossy(&line), format!("1994-11-06T08:49:37Z {expected}\n"));
    }

    #[test]
    fn a_message_is_one_line() {
        check(Level::Error, "cannot open \"x\"", "error 4711: cannot open \"x\"");
        check(Level::Warn, "a\nb\u{e4}", r"warning 4711: a\x0Ab\xC3\xA4");
        let long = "x".repeat(MESSAGE);
        check(Level::Info, &format!("{long}y"), &format!("info 4711: {long}..."));
    }

    #[test]
    fn a_panic_says_where_and_what() {
        let check = |payload: &dyn Any, expected: &str| {
            let message = panic_message(payload, Some(Location::caller()));
            let (where_from, text) = message.split_once(" panicked at ").expect("a place");
            let (file, place) = text.split_once(".rs:").expect("a file");
            assert!(where_from.starts_with("thread ") && file.ends_with("error_log"), "{message}");
            assert_eq!(place.split_once(": ").map(|(_, text)| text), Some(expected));
        };
        check(&"a literal", "a literal");
        check(&"made of parts".to_owned(), "made of parts");
        check(&0u8, "with no message");
    }
}
