//! Starts an engine with threads of this process.

use super::settings::ServerSettings;
use crate::{
    signals::Signal,
    system::{Context, spawn},
};
use http_engine::{MakeHandler, Server, ServerHandle, listener::Sharing};
use std::{io, net::TcpListener, sync::mpsc::Sender};

/// Starts an engine that accepts from `listeners`, with a handler for each worker in this process. When all of its
/// threads have ended, sends [`Signal::EngineEnded`].
pub(super) fn start(
    settings: &ServerSettings,
    listeners: Vec<TcpListener>,
    make: &MakeHandler,
    signals: Sender<Signal>,
) -> io::Result<ServerHandle> {
    let (max_connections, _) = settings.connection_limit(listeners.len());
    let engine = http_engine::Settings {
        workers: settings.workers_per_process(),
        max_connections: Some(max_connections),
        max_connections_per_address: settings.options.limits.max_connections_per_ip,
        server: format!("{}/{}", settings.name, env!("CARGO_PKG_VERSION")),
        protocol: settings.options.limits.protocol(),
        ..http_engine::Settings::default()
    };
    // The listeners are as many as the engine needs: they were bound for it, or handed over by one like it.
    let server = Server::on(listeners, Sharing::Shared).with(engine);
    let running = server.start_each(settings.engine, make).context("cannot start the engine")?;
    let handle = running.handle();
    spawn("join", move || {
        running.wait();
        let _ = signals.send(Signal::EngineEnded);
    })?;
    Ok(handle)
}

/// The error that all threads of the engine have ended although no signal has stopped it.
pub(super) fn ended_unexpectedly() -> io::Error {
    io::Error::other("cannot continue: all worker threads have ended")
}
