//! The demo application under test: on both engines, in this process and as a prefork program.

use demo::{App, WeatherSettings};
use http_daemon::Application;
use http_engine::Engine;
use http_testing::{
    client::Client,
    program::Program,
    server::{InProcessServer, ServerKind, settings},
    site::{Shared, Site},
};
use std::{any::Any, net::SocketAddr, process::Command, sync::Arc};

/// A running demo application. It stops when it is dropped.
pub struct Demo {
    pub address: SocketAddr,
    /// Its name in `X-Served-By`.
    pub name: &'static str,
    _server: Box<dyn Any + Send + Sync>,
    /// The document root, kept while the server runs.
    pub site: Arc<Site>,
}

impl Demo {
    /// The server of this kind that is shared by all tests which need no weather.
    pub fn shared(kind: ServerKind) -> Arc<Demo> {
        static DEMOS: [Shared<Demo>; 4] = [const { Shared::new() }; 4];
        DEMOS[kind as usize].get_or_make(|| Demo::start(kind, None))
    }

    /// Starts a server that asks `weather_url` for the weather.
    pub fn start(kind: ServerKind, weather_url: Option<&str>) -> Demo {
        let site = Site::shared();
        let name = if kind.engine() == Engine::Blocking { "sync" } else { "async" };
        let (address, server): (_, Box<dyn Any + Send + Sync>) = if kind.is_prefork() {
            let mut command = program(kind);
            command.arg("--root").arg(site.root());
            command.args(weather_url.into_iter().flat_map(|url| ["--weather-url", url]));
            let program = Program::start(&mut command);
            (program.address(), Box::new(program) as _)
        } else {
            let url = weather_url.map(|url| url.parse().expect("a URL"));
            let weather = WeatherSettings { url, ..WeatherSettings::default() };
            let app = App { name, root: Some(site.root().to_owned()), weather };
            let server = start_in_process(kind.engine(), &app);
            (server.address, Box::new(server) as _)
        };
        Demo { address, name, _server: server, site }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

/// Starts an application in this process.
pub fn start_in_process(engine: Engine, app: &App) -> InProcessServer {
    let make_handler = app.open(app.root.as_slice()).expect("the document root");
    InProcessServer::start_each(engine, settings(), &*make_handler)
}

/// The program for this kind of server, with two workers and a free port.
pub fn program(kind: ServerKind) -> Command {
    let mut command = Command::new(match kind.engine() {
        Engine::Blocking => env!("CARGO_BIN_EXE_sync-server"),
        Engine::EventLoop => env!("CARGO_BIN_EXE_async-server"),
    });
    command.args(["-b", "127.0.0.1", "-p", "0", "-w", "2"]);
    command.args(kind.is_prefork().then_some("--prefork"));
    command
}
