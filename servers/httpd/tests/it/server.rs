//! Servers to test: the engines in this process, and the program in processes of its own.

use crate::{
    client::{Client, PATIENCE},
    program::Program,
    shared::Shared,
    site::Site,
};
use http_core::Handler;
use servers::{
    engine::{Engine, MakeApp, Running, Server, Settings},
    files::{Files, Root},
};
use std::{
    net::SocketAddr,
    ops::Deref,
    path::Path,
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
        Threads::start_each(engine, settings, &(Arc::new(move |_| Arc::clone(&app)) as MakeApp))
    }

    /// Starts an engine with an application for each worker.
    pub fn start_each(engine: Engine, settings: Settings, make_app: &MakeApp) -> Threads {
        let server = Server::bind("127.0.0.1:0").expect("a free port").with(settings);
        let running = server.start_each(engine, make_app).expect("an engine");
        Threads { address: running.addresses()[0], running: Some(running) }
    }

    /// Starts a file server, as the program does it.
    fn serve(engine: Engine, root: &Path) -> Threads {
        let root = Arc::new(Root::open(root).expect("a document root"));
        let files = move |_| Arc::new(Files::beneath(Arc::clone(&root))) as Arc<dyn Handler>;
        Threads::start_each(engine, settings(), &(Arc::new(files) as MakeApp))
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

/// A server of files.
pub struct FileServer {
    pub address: SocketAddr,
    process: Process,
}

/// Where it runs; dropped, it ends.
enum Process {
    This { _threads: Threads },
    Another { _program: Program },
}

impl FileServer {
    pub fn start(kind: Kind, root: &Path) -> FileServer {
        let (address, process) = match kind {
            Kind::EventLoop | Kind::Blocking => {
                let threads = Threads::serve(kind.engine(), root);
                (threads.address, Process::This { _threads: threads })
            }
            Kind::EventLoopPrefork | Kind::BlockingPrefork => {
                let program = Program::serve_root(root, kind.arguments());
                (program.address(), Process::Another { _program: program })
            }
        };
        FileServer { address, process }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// What it calls itself in the `Server` field.
    pub fn name(&self) -> &'static str {
        match self.process {
            Process::This { .. } => "engine/1",
            Process::Another { .. } => concat!("httpd/", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// The file server of its kind that all tests of one site ask.
pub struct TestServer {
    pub site: Arc<Site>,
    server: FileServer,
}

impl TestServer {
    pub fn shared(kind: Kind) -> Arc<TestServer> {
        static SERVERS: [Shared<TestServer>; 4] = [const { Shared::new() }; 4];
        SERVERS[kind as usize].take(|| {
            let site = Site::shared();
            TestServer { server: FileServer::start(kind, site.root()), site }
        })
    }
}

impl Deref for TestServer {
    type Target = FileServer;

    fn deref(&self) -> &FileServer {
        &self.server
    }
}
