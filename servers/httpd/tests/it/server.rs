//! File servers to test: the engines in this process, and `httpd` in processes of its own.

pub use http_testing::server::{Kind, Threads, settings};

use crate::program::{self, Program};
use http_engine::{Engine, Handler};
use http_files::{Files, Root};
use http_testing::{client::Client, shared::Shared, site::Site};
use std::{net::SocketAddr, ops::Deref, path::Path, sync::Arc};

/// Starts a file server in this process, as the program does it.
fn serve(engine: Engine, root: &Path) -> Threads {
    let root = Arc::new(Root::open(root).expect("a document root"));
    let files = move |_| Arc::new(Files::from_root(Arc::clone(&root))) as Arc<dyn Handler>;
    Threads::start_each(engine, settings(), &(Arc::new(files) as _))
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
                let threads = serve(kind.engine(), root);
                (threads.address, Process::This { _threads: threads })
            }
            Kind::EventLoopPrefork | Kind::BlockingPrefork => {
                let program = program::serve_root(root, kind.arguments());
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
