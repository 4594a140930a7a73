//! The demo application to test, in the four shapes that a server can have.

use demo::{self as app, App, weather};
use http_engine::Engine;
use http_testing::{
    client::Client,
    program::Program,
    server::{Kind, Threads, settings},
    shared::Shared,
    site::Site,
};
use std::{net::SocketAddr, process::Command, sync::Arc};

/// The demo application at work.
pub struct Demo {
    pub address: SocketAddr,
    /// What it calls itself in `X-Served-By`.
    pub name: &'static str,
    _process: Process,
    /// What it serves as `/static/`, for as long as it does.
    pub site: Arc<Site>,
}

/// Where it runs; dropped, it ends.
enum Process {
    This { _threads: Threads },
    Another { _program: Program },
}

impl Demo {
    /// The one of its kind that all tests ask that need no weather.
    pub fn shared(kind: Kind) -> Arc<Demo> {
        static DEMOS: [Shared<Demo>; 4] = [const { Shared::new() }; 4];
        DEMOS[kind as usize].take(|| Demo::start(kind, None))
    }

    /// Starts one that asks `weather_url` for the weather.
    pub fn start(kind: Kind, weather_url: Option<&str>) -> Demo {
        let site = Site::shared();
        let name = match kind.engine() {
            Engine::Blocking => "sync",
            Engine::EventLoop => "async",
        };
        let (address, process) = if kind.is_prefork() {
            let program = program(name, &site, weather_url);
            (program.address(), Process::Another { _program: program })
        } else {
            let threads = threads(kind.engine(), name, &site, weather_url);
            (threads.address, Process::This { _threads: threads })
        };
        Demo { address, name, _process: process, site }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

fn threads(engine: Engine, name: &'static str, site: &Site, weather_url: Option<&str>) -> Threads {
    let url = weather_url.map(|url| url.parse().expect("a URL"));
    let weather = weather::Settings { url, ..weather::Settings::default() };
    let root = Some(site.root().to_owned());
    let app = App::open(&app::Settings { name, root, weather }).expect("the demo application");
    Threads::start_each(engine, settings(), &(Arc::new(move |number| app.worker(number)) as _))
}

fn program(name: &str, site: &Site, weather_url: Option<&str>) -> Program {
    let mut command = Command::new(match name {
        "sync" => env!("CARGO_BIN_EXE_sync-server"),
        _ => env!("CARGO_BIN_EXE_async-server"),
    });
    command.args(["-b", "127.0.0.1", "-p", "0", "-w", "2", "--prefork", "--root"]).arg(site.root());
    if let Some(url) = weather_url {
        command.args(["--weather-url", url]);
    }
    Program::start(&mut command)
}
