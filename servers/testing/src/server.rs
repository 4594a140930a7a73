//! The four kinds of server to test, and engines that run in the test process.

use crate::client::{Client, TIMEOUT};
use http_engine::{Engine, Handler, Running, Server, Settings};
use std::{
    net::SocketAddr,
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

/// The engine of a server, and whether its workers are threads of one process or processes (prefork).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    EventLoop,
    Blocking,
    EventLoopPrefork,
    BlockingPrefork,
}

impl ServerKind {
    /// Returns the command-line arguments that make `httpd` a server of this kind.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            ServerKind::EventLoop => &["--engine", "event-loop"],
            ServerKind::Blocking => &["--engine", "blocking"],
            ServerKind::EventLoopPrefork => &["--engine", "event-loop", "--prefork"],
            ServerKind::BlockingPrefork => &["--engine", "blocking", "--prefork"],
        }
    }

    /// Returns the engine of this kind of server.
    pub fn engine(self) -> Engine {
        match self {
            ServerKind::EventLoop | ServerKind::EventLoopPrefork => Engine::EventLoop,
            ServerKind::Blocking | ServerKind::BlockingPrefork => Engine::Blocking,
        }
    }

    /// Returns whether the workers are processes.
    pub fn is_prefork(self) -> bool {
        matches!(self, ServerKind::EventLoopPrefork | ServerKind::BlockingPrefork)
    }
}

/// An engine that runs in the test process, on a free port of 127.0.0.1. Dropping this stops the engine.
pub struct InProcessServer {
    pub address: SocketAddr,
    /// `None` only during `drop`, which stops the engine.
    running: Option<Running>,
}

impl InProcessServer {
    /// Starts an engine whose workers share one handler.
    pub fn start(engine: Engine, settings: Settings, handler: impl Handler + 'static) -> InProcessServer {
        let server = Server::bind("127.0.0.1:0").expect("a free port").settings(settings);
        InProcessServer::run(engine, server, handler)
    }

    /// Starts an engine whose workers have a handler each: `make_handler` makes it from the worker's number.
    pub fn start_each(
        engine: Engine,
        settings: Settings,
        make_handler: impl FnMut(usize) -> Arc<dyn Handler>,
    ) -> InProcessServer {
        let server = Server::bind("127.0.0.1:0").expect("a free port").settings(settings);
        InProcessServer::of(server.engine(engine).serve_each(make_handler).expect("an engine"))
    }

    /// Starts an engine on the listeners of `server`, with its settings.
    pub fn run(engine: Engine, server: Server, handler: impl Handler + 'static) -> InProcessServer {
        InProcessServer::of(server.engine(engine).serve_handler(handler).expect("an engine"))
    }

    fn of(running: Running) -> InProcessServer {
        InProcessServer { address: running.local_addr().expect("a TCP address"), running: Some(running) }
    }

    /// Returns the running server, to replace its handlers or to begin a shutdown.
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("a running engine")
    }

    /// Opens a connection to the server.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for InProcessServer {
    /// Stops the engine without a grace period. Panics if it does not stop within [`TIMEOUT`].
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let (sender, receiver) = channel();
        thread::spawn(move || {
            running.stop(Duration::ZERO);
            sender.send(())
        });
        // An engine that does not stop makes this test fail, instead of hanging all of them.
        let stopped = receiver.recv_timeout(TIMEOUT);
        assert!(stopped.is_ok() || thread::panicking(), "the engine does not stop");
    }
}

/// Returns the settings of engines in tests: two workers, and `engine/1` in the Server header. All other settings are
/// the defaults: their timeouts are so long that they do not expire in a test that is merely slow.
pub fn settings() -> Settings {
    Settings { workers: 2, server: "engine/1".to_owned(), ..Settings::default() }
}
