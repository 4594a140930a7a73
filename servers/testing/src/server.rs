//! Servers to test: the engines in this process.

use crate::client::{Client, PATIENCE};
use http_engine::{Engine, Handler, MakeHandler, Running, Server, Settings};
use std::{
    net::SocketAddr,
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

/// The four shapes of a file server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    EventLoop,
    Blocking,
    EventLoopPrefork,
    BlockingPrefork,
}

impl Kind {
    /// What the program is told to become this one.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Kind::EventLoop => &["--engine", "event-loop"],
            Kind::Blocking => &["--engine", "blocking"],
            Kind::EventLoopPrefork => &["--engine", "event-loop", "--prefork"],
            Kind::BlockingPrefork => &["--engine", "blocking", "--prefork"],
        }
    }

    pub fn engine(self) -> Engine {
        match self {
            Kind::EventLoop | Kind::EventLoopPrefork => Engine::EventLoop,
            Kind::Blocking | Kind::BlockingPrefork => Engine::Blocking,
        }
    }

    pub fn is_prefork(self) -> bool {
        matches!(self, Kind::EventLoopPrefork | Kind::BlockingPrefork)
    }
}

/// An engine in this process, stopped when it is dropped.
pub struct Threads {
    pub address: SocketAddr,
    running: Option<Running>,
}

impl Threads {
    /// Starts an engine with one application for all workers.
    pub fn start(engine: Engine, settings: Settings, app: impl Handler + 'static) -> Threads {
        let app: Arc<dyn Handler> = Arc::new(app);
        Threads::start_each(engine, settings, &(Arc::new(move |_| Arc::clone(&app)) as MakeHandler))
    }

    /// Starts an engine with an application for each worker.
    pub fn start_each(engine: Engine, settings: Settings, make_app: &MakeHandler) -> Threads {
        let server = Server::bind("127.0.0.1:0").expect("a free port").with(settings);
        let running = server.start_each(engine, make_app).expect("an engine");
        Threads { address: running.addresses()[0], running: Some(running) }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let (stopped, has_stopped) = channel();
        thread::spawn(move || {
            running.stop(Duration::ZERO);
            stopped.send(())
        });
        // An engine that hangs must not take the tests with it.
        let stopped = has_stopped.recv_timeout(PATIENCE);
        assert!(stopped.is_ok() || thread::panicking(), "the engine does not stop");
    }
}

/// Two workers under a name of their own, and the timeouts that the program has: no test meets one by being slow.
pub fn settings() -> Settings {
    Settings { workers: 2, server: "engine/1".to_owned(), ..Settings::default() }
}
