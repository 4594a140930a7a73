//! Starts an engine with threads of this process, and fits the number of connections to the limit on open files.

use super::settings::ServerSettings;
use crate::{
    signals::Signal,
    system::{Context, spawn},
};
use http_engine::{MakeHandler, Server, ServerHandle, listener::Sharing};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{io, net::TcpListener, sync::mpsc::Sender};

/// How many descriptors are reserved in each process for standard streams, logs, thread pool and signals: an estimate
/// that is high enough. Connections, listeners and [`FDS_PER_WORKER`] are counted separately.
const FDS_PER_PROCESS: usize = 32;
/// How many descriptors are reserved for each worker: up to 8 for epoll and eventfd, and up to 64 for files that the
/// application keeps open in a cache. Connections and listeners are counted separately.
const FDS_PER_WORKER: usize = 8 + 64;

/// Starts an engine with threads of this process: it accepts connections from `listeners` and serves them. `make` makes
/// a handler for each worker of the engine. The returned handle stops the engine. When all threads of the engine have
/// ended, [`Signal::EngineEnded`] is sent through `signals`.
///
/// Fails if the engine cannot be set up, or if the kernel starts no thread.
pub(super) fn start(
    settings: &ServerSettings,
    listeners: Vec<TcpListener>,
    make: &MakeHandler,
    signals: Sender<Signal>,
) -> io::Result<ServerHandle> {
    let (max_connections, _) = connection_limit(settings, listeners.len());
    let engine = http_engine::Settings {
        workers: settings.workers_per_process(),
        max_connections: Some(max_connections),
        max_connections_per_address: settings.options.limits.max_connections_per_ip,
        max_buffered_bytes: settings.options.limits.max_buffered.bytes(),
        server: format!("{}/{}", settings.name, env!("CARGO_PKG_VERSION")),
        protocol: settings.options.limits.protocol_config(),
        ..http_engine::Settings::default()
    };
    // The listeners are as many as the engine needs: they were bound for it, or a predecessor has handed them over.
    let server = Server::on(listeners, Sharing::Shared).with(engine);
    let running = server.start_each(settings.engine, make).context("cannot start the engine")?;
    let handle = running.handle();
    spawn("join", move || {
        running.wait();
        let _ = signals.send(Signal::EngineEnded);
    })?;
    Ok(handle)
}

/// Returns the error for an engine whose threads have all ended although no signal has stopped it.
pub(super) fn ended_unexpectedly() -> io::Error {
    io::Error::other("cannot continue: all worker threads have ended")
}

/// Raises this process's soft limit on open files to the hard limit. Ignores a failure.
pub(super) fn raise_open_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Returns how many connections this process may have open at once. That is its part of `--max-connections`, or without
/// that option the engine's default. If the limit on open files leaves no room for so many beside this number of
/// `listeners`, returns fewer, and a warning for the operator.
pub(super) fn connection_limit(settings: &ServerSettings, listeners: usize) -> (usize, Option<String>) {
    let workers = settings.workers_per_process();
    // The operator's number is divided. The default is not: the kernel distributes connections unevenly, and no process
    // should reject any while others have room.
    let wanted = match settings.options.limits.max_connections {
        Some(total) => total.div_ceil(settings.workers() / workers),
        None => settings.engine.default_max_connections(),
    };
    let open_files = getrlimit(Resource::Nofile).current;
    let open_files = open_files.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    // A master process has each listener twice: for its engine, and to hand it over.
    fit_connections(wanted, open_files, FDS_PER_PROCESS + workers * FDS_PER_WORKER + listeners * 2)
}

/// Returns how many connections may be open at once: at most `wanted`, at least 1. Also returns a warning if that is
/// fewer than `wanted`.
///
/// The process may have `open_files` descriptors. Each connection uses one, and `reserved` descriptors are kept for
/// other purposes. But a quarter of `open_files` is always available for connections, even if that leaves fewer than
/// `reserved` descriptors.
fn fit_connections(wanted: usize, open_files: usize, reserved: usize) -> (usize, Option<String>) {
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
            let (limit, warning) = fit_connections(wanted, open_files, reserved);
            assert_eq!((limit, warning.is_some()), (expected, expected < wanted), "{wanted}, {open_files}");
        }
    }
}
