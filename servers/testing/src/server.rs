//! Kinds of servers to test, and the engines as servers in this process.

use crate::client::{Client, TIMEOUT};
use http_engine::{Engine, Handler, MakeHandler, Running, Server, Settings};
use std::{
    net::SocketAddr,
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

/// A server with one of the two engines, its workers being threads or processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    EventLoop,
    Blocking,
    EventLoopPrefork,
    BlockingPrefork,
}

impl ServerKind {
    /// The command-line arguments that make `httpd` a server of this kind.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            ServerKind::EventLoop => &["--engine", "event-loop"],
            ServerKind::Blocking => &["--engine", "blocking"],
            ServerKind::EventLoopPrefork => &["--engine", "event-loop", "--prefork"],
            ServerKind::BlockingPrefork => &["--engine", "blocking", "--prefork"],
        }
    }

    pub fn engine(self) -> Engine {
        match self {
            ServerKind::EventLoop | ServerKind::EventLoopPrefork => Engine::EventLoop,
            ServerKind::Blocking | ServerKind::BlockingPrefork => Engine::Blocking,
        }
    }

    pub fn is_prefork(self) -> bool {
        matches!(self, ServerKind::EventLoopPrefork | ServerKind::BlockingPrefork)
    }
}

/// An engine that runs in this process until it is dropped.
pub struct InProcessServer {
    pub address: SocketAddr,
    running: Option<Running>,
}

impl InProcessServer {
    /// Starts an engine whose workers share one handler.
    pub fn start(engine: Engine, settings: Settings, handler: impl Handler + 'static) -> InProcessServer {
        let handler: Arc<dyn Handler> = Arc::new(handler);
        let make_handler: MakeHandler = Arc::new(move |_| Arc::clone(&handler));
        InProcessServer::start_each(engine, settings, &make_handler)
    }

    /// Starts an engine with a handler for each worker.
    pub fn start_each(engine: Engine, settings: Settings, make_handler: &MakeHandler) -> InProcessServer {
        let server = Server::bind("127.0.0.1:0").expect("a free port").with(settings);
        let running = server.start_each(engine, make_handler).expect("an engine");
        InProcessServer { address: running.addresses()[0], running: Some(running) }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for InProcessServer {
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

/// The settings of engines in tests: two workers, a server name of their own, and the default timeouts, which no test
/// reaches by being slow.
pub fn settings() -> Settings {
    Settings { workers: 2, server: "engine/1".to_owned(), ..Settings::default() }
}
