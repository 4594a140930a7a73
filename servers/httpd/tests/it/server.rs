//! File servers to test: an engine in the test process, or `httpd` in processes of its own.

pub use http_testing::server::{InProcessServer, ServerKind, settings};

use crate::program::{self, Program};
use http_engine::{Engine, Handler};
use http_files::{Files, Root};
use http_testing::{client::Client, site::Shared, site::Site};
use std::{net::SocketAddr, ops::Deref, path::Path, sync::Arc};

/// Starts a file server in the test process, with a handler for each worker, as `httpd` has.
fn serve(engine: Engine, root: &Path) -> InProcessServer {
    let root = Arc::new(Root::open(root).expect("a document root"));
    let files = move |_| Arc::new(Files::from_root(Arc::clone(&root))) as Arc<dyn Handler>;
    InProcessServer::start_each(engine, settings(), &(Arc::new(files) as _))
}

/// A running file server. It stops when it is dropped.
pub struct FileServer {
    pub address: SocketAddr,
    location: Location,
}

/// Where the server runs. Dropping this value stops the server.
enum Location {
    /// In the test process. The workers are threads.
    ThisProcess { _server: InProcessServer },
    /// In a master process of `httpd` and its worker processes.
    OtherProcess { _program: Program },
}

impl FileServer {
    /// Starts a server of this kind that serves `root`.
    pub fn start(kind: ServerKind, root: &Path) -> FileServer {
        let (address, location) = match kind {
            ServerKind::EventLoop | ServerKind::Blocking => {
                let server = serve(kind.engine(), root);
                (server.address, Location::ThisProcess { _server: server })
            }
            ServerKind::EventLoopPrefork | ServerKind::BlockingPrefork => {
                let program = program::serve_root(root, kind.arguments());
                (program.address(), Location::OtherProcess { _program: program })
            }
        };
        FileServer { address, location }
    }

    /// Opens a connection to the server.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Returns the value of the server's `Server` header.
    pub fn name(&self) -> &'static str {
        match self.location {
            Location::ThisProcess { .. } => "engine/1",
            Location::OtherProcess { .. } => concat!("httpd/", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// A file server that tests share, one for each kind of server, and its document root.
pub struct TestServer {
    pub site: Arc<Site>,
    server: FileServer,
}

impl TestServer {
    /// Calls `test` with the shared server of this kind. The tests that `both_engines!` generates call this.
    pub fn run_on(kind: ServerKind, test: fn(&TestServer)) {
        test(&TestServer::shared(kind));
    }

    /// Returns the shared server of this kind, and starts it if no test uses it at present.
    pub fn shared(kind: ServerKind) -> Arc<TestServer> {
        static SERVERS: [Shared<TestServer>; 4] = [const { Shared::new() }; 4];
        SERVERS[kind as usize].get_or_make(|| {
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
