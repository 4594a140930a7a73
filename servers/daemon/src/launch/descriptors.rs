//! Fits the number of connections to the limit on open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fmt;

/// Descriptors of a process that belong to no worker: output, logs, thread pool, signals.
const PER_PROCESS: usize = 32;
/// Descriptors of a worker: epoll and eventfd, and the files that its cache keeps open.
const PER_WORKER: usize = 8 + 64;

/// Raises the soft limit on open files to the hard limit.
pub(super) fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The number of connections that a process may have open. Its `Display` output is the warning that it is too low.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimit {
    wanted: usize,
    open_files: usize,
    /// The wanted number, or as many connections as fit.
    pub(super) effective: usize,
}

impl ConnectionLimit {
    /// The limit of a process with this number of workers and listeners.
    pub(super) fn new(wanted: usize, workers: usize, listeners: usize) -> ConnectionLimit {
        let limit = getrlimit(Resource::Nofile).current;
        let open_files = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        // A master process has each listener twice: for its engine, and to hand it over.
        ConnectionLimit::within(wanted, open_files, PER_PROCESS + workers * PER_WORKER + listeners * 2)
    }

    /// If hardly any connections fit beside the `reserved` open files, they may use a quarter of all open files, and
    /// compete with the others.
    fn within(wanted: usize, open_files: usize, reserved: usize) -> ConnectionLimit {
        let available = open_files.saturating_sub(reserved).max(open_files / 4);
        ConnectionLimit { wanted, open_files, effective: wanted.min(available).max(1) }
    }

    /// Whether fewer connections fit than wanted.
    pub(super) fn is_reduced(self) -> bool {
        self.effective < self.wanted
    }
}

impl fmt::Display for ConnectionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionLimit { wanted, open_files, effective } = self;
        write!(f, "cannot allow {wanted} connections: a limit of {open_files} open files leaves room for ")?;
        write!(f, "{effective} (raise it with ulimit -n)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_limit_on_open_files() {
        for (wanted, open_files, reserved, expected) in [
            (10_000, 20_000, 180, 10_000),
            (30_000, 20_000, 180, 19_820),
            (10_000, 1024, 640, 384),
            (100, 1024, 640, 100),
            (10_000, 64, 180, 16),
            (1, 1, 100, 1),
            (usize::MAX, usize::MAX, 100, usize::MAX - 100),
        ] {
            let limit = ConnectionLimit::within(wanted, open_files, reserved);
            assert_eq!((limit.effective, limit.is_reduced()), (expected, expected < wanted), "{limit:?}");
        }
    }
}
