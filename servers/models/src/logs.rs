//! Models of the queue of a log and of the thread that writes it.

#[path = "../../daemon/src/logs/output.rs"]
mod output;
#[path = "../../daemon/src/logs/queue.rs"]
mod queue;
#[path = "../../daemon/src/logs/timestamp.rs"]
mod timestamp;
#[path = "../../daemon/src/logs/writer.rs"]
mod writer;

/// The error log, which these models do not examine.
mod error_log {
    pub(super) fn report(_: log::Level, _: impl std::fmt::Display) -> bool {
        true
    }
}

use output::Output;
use std::{fs, sync::Arc, thread, time::Duration};
use tempfile::NamedTempFile;

const LONG: Duration = Duration::from_secs(3600);

/// After a flush, what the thread has appended is in the file. A line without a flush gets there too, although no
/// further line comes. The lines of each thread stay in order, each is written once, and the writer thread ends with
/// the last handle.
pub fn log_writes_each_line_once() {
    let file = NamedTempFile::new().expect("a file");
    let log = Arc::new(
        writer::start(Output::File(file.path().into()), file.reopen().expect("a file")).expect("a thread"),
    );
    let text = |file: &NamedTempFile| fs::read_to_string(file.path()).expect("text");
    let file = Arc::new(file);
    let appenders = ["a", "b"].map(|name| {
        let (log, file) = (Arc::clone(&log), Arc::clone(&file));
        thread::spawn(move || {
            for number in 0..2 {
                let line = format!("{name}{number}\n");
                assert!(log.append(|lines, _| lines.extend_from_slice(line.as_bytes())));
                assert!(!log.flush(LONG) || text(&file).contains(&line));
            }
        })
    });
    let _ = appenders.map(|appender| appender.join().expect("no panic"));
    assert!(log.append(|lines, _| lines.extend_from_slice(b"last\n")));
    while !text(&file).contains("last") {
        thread::yield_now();
    }
    let buffer = Arc::downgrade(&log.buffer);
    drop(log);
    // The writer thread drops the buffer when it ends.
    while buffer.upgrade().is_some() {
        thread::yield_now();
    }
    let text = text(&file);
    for name in ["a", "b"] {
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with(name)).collect();
        assert_eq!(lines, [format!("{name}0"), format!("{name}1")]);
    }
    assert_eq!(text.lines().count(), 5);
}
