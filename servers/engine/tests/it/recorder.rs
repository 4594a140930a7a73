//! Records what the engines log.

use std::sync::{Mutex, Once};

/// What the engines have logged in this process.
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Stores each record in [`LOGGED`].
struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOGGED.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// Begins to record. The tests of one process share one record.
pub fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
    });
}

/// Returns the lines recorded so far.
pub fn logged() -> Vec<String> {
    LOGGED.lock().unwrap().clone()
}
