//! Fits the number of connections to the limit on open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a process that belong to no worker: output, logs, thread pool, signals.
const PER_PROCESS: usize = 32;
/// Descriptors of a worker: epoll and eventfd, and the files that its cache keeps open.
const PER_WORKER: usize = 8 + 64;

/// Raises the soft limit on open files to the hard limit.
pub(super) fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// How many of the `wanted` connections a process with this number of workers and listeners may have open, and a warning
/// if not all of them.
pub(super) fn connection_limit(wanted: usize, workers: usize, listeners: usize) -> (usize, Option<String>) {
    let limit = getrlimit(Resource::Nofile).current;
    let open_files = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    // A master process has each listener twice: for its engine, and to hand it over.
    fit(wanted, open_files, PER_PROCESS + workers * PER_WORKER + listeners * 2)
}

/// If hardly any connections fit beside the `reserved` open files, they may use a quarter of all open files, and compete
/// with the others.
fn fit(wanted: usize, open_files: usize, reserved: usize) -> (usize, Option<String>) {
    let available = open_files.saturating_sub(reserved).max(open_files / 4);
    let limit = wanted.min(available).max(1);
    let warning = (limit < wanted).then(|| {
        format!(
            "cannot allow {wanted} connections: a limit of {open_files} open files leaves room for {limit} \
             (raise it with ulimit -n)"
        )
    });
    (limit, warning)
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
            let (limit, warning) = fit(wanted, open_files, reserved);
            assert_eq!((limit, warning.is_some()), (expected, expected < wanted), "{wanted}, {open_files}");
        }
    }
}
