//! Starts an engine with threads of this process, and says what its descriptors are needed for.

use super::{
    settings::{MakeHandler, ServerSettings},
    tls::Security,
};
use crate::{
    admin,
    signals::Signal,
    system::{Context, spawn},
};
use http_engine::{ConnectionBudget, Running, Server, Settings, listener::Listener};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io,
    sync::{Arc, mpsc::Sender},
};

/// How many descriptors are reserved in each process for standard streams, logs, the thread pool, signals and the first
/// document root: an estimate that is high enough.
const FDS_PER_PROCESS: usize = 32;
/// How many descriptors each further document root needs: to hand it over, and to serve it.
const FDS_PER_ROOT: usize = 2;
/// The part of the descriptors of each process that is reserved for files if the application serves directories: one in
/// four. `http-files` opens no more by default.
const SHARE_FOR_FILES: u64 = 4;

/// Starts an engine with threads of this process: it accepts connections from `listeners`, to which `security` applies,
/// and from `plain`, and serves them. `make` makes a handler for each worker of the engine. When all threads of the
/// engine have ended, [`Signal::EngineEnded`] is sent through `signals`.
///
/// Fails if the engine cannot be set up, or if the kernel starts no thread.
pub(super) fn start(
    settings: &ServerSettings,
    (listeners, plain): (Vec<Listener>, Vec<Listener>),
    security: &Security,
    make: &MakeHandler,
    signals: Sender<Signal>,
) -> io::Result<Arc<Running>> {
    // The master process warns if it is fewer than the operator wants.
    let count = listeners.len() + plain.len();
    let max_connections = Some(connection_budget(settings, count).allowed);
    let engine = Settings { max_connections, ..engine_settings(settings, count) };
    // The listeners are as many as the engine needs: they were bound for it, or a predecessor has handed them over.
    let server = Server::listen_all(listeners).context("cannot use the listeners")?;
    let server = security.apply(server);
    let server =
        plain.into_iter().try_fold(server, Server::and_listen).context("cannot use the listeners")?;
    let server = server.engine(settings.engine).settings(engine);
    let running = Arc::new(server.serve_each(&**make).context("cannot start the engine")?);
    let joined = Arc::clone(&running);
    spawn("join", move || {
        // The engine logs why a worker has failed; the others continue.
        while joined.wait().is_err() {}
        let _ = signals.send(Signal::EngineEnded);
    })?;
    Ok(running)
}

/// Returns how many connections each process that serves may hold open: its part of `--max-connections`, or without
/// that option the engine's default, or fewer if the limit on open files is too low.
pub(super) fn connection_budget(settings: &ServerSettings, listeners: usize) -> ConnectionBudget {
    ConnectionBudget::new(&engine_settings(settings, listeners), settings.engine, listeners)
}

/// Returns the settings of the engine in each process that serves with this number of `listeners`.
fn engine_settings(settings: &ServerSettings, listeners: usize) -> Settings {
    let limits = &settings.options.limits;
    let workers = settings.workers_per_process();
    let processes = settings.workers() / workers;
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let admin_server = settings.options.service.admin.as_ref().filter(|_| !settings.options.prefork);
    let admin_server = admin_server.map_or(0, |_| admin::DESCRIPTORS);
    let roots = settings.application.roots().len();
    let files = if roots == 0 { 0 } else { open_files / SHARE_FOR_FILES };
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    Settings {
        workers,
        // The operator's number is divided. The default is not: the kernel distributes connections unevenly, and no
        // process should reject any while others have room.
        max_connections: limits.max_connections.map(|total| total.div_ceil(processes)),
        max_connections_per_address: limits.max_connections_per_ip,
        // A master process has each listener twice: for its engine, and to hand it over.
        reserved_descriptors: (FDS_PER_PROCESS
            + FDS_PER_ROOT * roots.saturating_sub(1)
            + admin_server
            + listeners)
            .saturating_add(files),
        max_buffered_bytes: limits.max_buffered.bytes(),
        measure_latency: settings.options.service.admin.is_some(),
        server: settings.server_header(),
        protocol: limits.protocol_config(&settings.options.proxies),
        ..Settings::default()
    }
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

#[cfg(test)]
mod tests {
    use super::{super::settings::testing::settings, *};
    use http_engine::Engine;

    #[test]
    fn descriptors_are_reserved_for_roots_listeners_and_the_admin_server() {
        let reserved = |roots, listeners, arguments: &str| {
            engine_settings(&settings(Engine::EventLoop, roots, arguments), listeners).reserved_descriptors
        };
        assert_eq!(reserved(0, 0, ""), FDS_PER_PROCESS);
        let least = reserved(1, 1, "");
        assert!(least > FDS_PER_PROCESS + 1, "no descriptor is left for files");
        assert_eq!(reserved(4, 1, ""), least + 3 * FDS_PER_ROOT);
        assert_eq!(reserved(1, 3, ""), least + 2);
        assert_eq!(reserved(1, 1, "--admin 0"), least + admin::DESCRIPTORS);
        assert_eq!(reserved(1, 1, "--admin 0 --prefork"), least);
    }

    #[test]
    fn worker_processes_divide_the_connections() {
        for (arguments, expected) in [
            ("", None),
            ("--max-connections 10 -w 3", Some(10)),
            ("--max-connections 10 -w 3 --prefork", Some(4)),
        ] {
            let engine = engine_settings(&settings(Engine::EventLoop, 1, arguments), 1);
            assert_eq!(engine.max_connections, expected, "{arguments}");
        }
    }
}
