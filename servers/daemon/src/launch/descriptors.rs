//! Connections are descriptors: as many as the operator lets us have, less what else is open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fmt;

/// Descriptors of a process that belong to no worker: its output, logs, pools, signals.
const OF_PROCESS: usize = 32;
/// Descriptors of a worker: what it waits with, and the files that its cache keeps open.
const OF_WORKER: usize = 8 + 64;

/// Raises the limit of open files as far as this process may.
pub(super) fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// How many connections a process may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connections {
    wanted: usize,
    /// Open files that this process is allowed.
    limit: usize,
    /// Of these, what is not for connections.
    others: usize,
}

impl Connections {
    /// Those of a process with these workers and listening sockets.
    pub(super) fn within_limit(wanted: usize, workers: usize, listeners: usize) -> Connections {
        // No limit at all is more than anybody can open.
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        // Whoever hands sockets to another process has each of them twice.
        Connections { wanted, limit, others: OF_PROCESS + workers * OF_WORKER + listeners * 2 }
    }

    /// As many as are wanted, or as fit. Where hardly anything remains, connections and all else have to share what
    /// there is.
    pub(super) fn fitting(self) -> usize {
        self.wanted.min(self.limit.saturating_sub(self.others).max(self.limit / 4)).max(1)
    }

    /// Whether there are fewer than wanted.
    pub(super) fn is_lowered(self) -> bool {
        self.fitting() < self.wanted
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connections { wanted, limit, .. } = self;
        write!(f, "{limit} open files leave room for {} connections, and not for {wanted}", self.fitting())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check((wanted, limit, others): (usize, usize, usize), expected: usize) {
        let connections = Connections { wanted, limit, others };
        assert_eq!(connections.fitting(), expected, "{connections:?}");
        assert_eq!(connections.is_lowered(), expected < wanted, "{connections:?}");
    }

    #[test]
    fn connections_get_what_is_left() {
        check((10_000, 20_000, 180), 10_000);
        check((30_000, 20_000, 180), 19_820);
        check((10_000, 1024, 640), 384);
        check((100, 1024, 640), 100);
        check((10_000, 64, 180), 16);
        check((1, 1, 100), 1);
        check((usize::MAX, usize::MAX, 100), usize::MAX - 100);
    }
}
