//! File servers to test: an engine in this process, or `httpd` in processes of its own.

pub use http_testing::server::{InProcessServer, ServerKind, settings};

use crate::program::{self, Program};
use http_engine::{Engine, Handler};
use http_files::{Files, Root};
use http_testing::{client::Client, site::Shared, site::Site};
use std::{net::SocketAddr, ops::Deref, path::Path, sync::Arc};

/// Starts a file server in this process, with a handler for each worker, as `httpd` does.
fn serve(engine: Engine, root: &Path) -> InProcessServer {
    let root = Arc::new(Root::open(root).expect("a document root"));
    let files = move |_| Arc::new(Files::from_root(Arc::clone(&root))) as Arc<dyn Handler>;
    InProcessServer::start_each(engine, settings(), &(Arc::new(files) as _))
}

/// A running file server.
pub struct FileServer {
    pub address: SocketAddr,
    location: Location,
}

/// Where the server runs. It ends when this is dropped.
enum Location {
    ThisProcess { _server: InProcessServer },
    OtherProcess { _program: Program },
}

impl FileServer {
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

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The value of its `Server` header.
    pub fn name(&self) -> &'static str {
        match self.location {
            Location::ThisProcess { .. } => "engine/1",
            Location::OtherProcess { .. } => concat!("httpd/", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// The file server of its kind that tests share, and its document root.
pub struct TestServer {
    pub site: Arc<Site>,
    server: FileServer,
}

impl TestServer {
    pub fn run_on(kind: ServerKind, test: fn(&TestServer)) {
        test(&TestServer::shared(kind));
    }

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
