//! Runs an engine with threads of this process.

use super::{settings::ServerSettings, swap::HandlerSwap};
use crate::{error::Context, logs::Logs, signals::Signal};
use http_engine::{Handler, MakeHandler, Server, Shutdown, Stack, listener::Sharing};
use std::{
    io,
    net::TcpListener,
    sync::{Arc, mpsc::Sender},
    thread,
    time::Duration,
};

/// A running engine.
pub(super) struct EngineThreads {
    shutdown: Arc<Shutdown>,
    handlers: Arc<HandlerSwap>,
}

impl EngineThreads {
    /// Starts an engine that accepts from `listeners`, with a handler for each worker in this process. When all of its
    /// threads have ended, sends [`Signal::EngineEnded`].
    pub(super) fn start(
        settings: &ServerSettings,
        listeners: Vec<TcpListener>,
        make: &MakeHandler,
        logs: &Logs,
        signals: Sender<Signal>,
    ) -> io::Result<EngineThreads> {
        let workers = settings.workers_per_process();
        let handlers = Arc::new(HandlerSwap::new(workers, make));
        let (current, access_log) = (Arc::clone(&handlers), logs.access_log());
        let make_logged: MakeHandler = Arc::new(move |worker| -> Arc<dyn Handler> {
            let handler = current.handler(worker);
            match access_log.clone() {
                Some(layer) => Arc::new(Stack::new(handler).wrapped_in(layer)),
                None => handler,
            }
        });
        let engine = http_engine::Settings {
            workers,
            max_connections: Some(settings.connection_limit(listeners.len()).effective()),
            max_connections_per_address: settings.max_connections_per_address,
            server: format!("{}/{}", settings.name, env!("CARGO_PKG_VERSION")),
            protocol: settings.protocol.clone(),
            ..http_engine::Settings::default()
        };
        // The listeners are as many as this engine needs: they were bound so, or handed over.
        let server = Server::on(listeners, Sharing::OneForAll).with(engine);
        let running = server.start_each(settings.engine, &make_logged).context("cannot start the engine")?;
        let shutdown = running.stopper();
        let join = move || {
            running.wait();
            let _ = signals.send(Signal::EngineEnded);
        };
        let joined = thread::Builder::new().name("join".to_owned()).spawn(join);
        joined.context("cannot start the engine")?;
        Ok(EngineThreads { shutdown, handlers })
    }

    /// Replaces the handlers, each worker's with its next request.
    pub(super) fn replace_handlers(&self, make: &MakeHandler) {
        self.handlers.replace(make);
    }

    /// Stops accepting, and ends the threads when the requests in flight are finished or the grace period is over.
    pub(super) fn begin_shutdown(&self, grace: Duration) {
        self.shutdown.ask(grace);
    }
}

/// The error that all threads of the engine have ended although nothing has stopped it.
pub(super) fn ended_unexpectedly() -> io::Error {
    io::Error::other("cannot continue: all worker threads have ended")
}
