//! The command line of the demo's two programs, which differ in their engine.

use crate::{App, Settings, weather};
use clap::Parser;
use http_daemon::{Application, options};
use http_engine::{Engine, MakeHandler};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// Serves the demo application over HTTP/1.1.
///
/// Exit codes: 0 stopped by a signal, or handed over; 1 could not start or go on; 2 wrong usage.
#[derive(Parser)]
struct Demo {
    #[command(flatten)]
    common: options::Common,

    /// A directory whose files are served as /static/
    #[arg(short, long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,

    /// Where the weather comes from, in the place of open-meteo.com
    #[arg(long, value_name = "URL", env = "WEATHER_URL")]
    weather_url: Option<weather::Url>,
}

/// The demo application on one engine: all there is to its two programs.
pub fn run(name: &'static str, served_by: &'static str, port: &'static str, engine: Engine) -> ExitCode {
    let Demo { common, root, weather_url } = options::parse(name, port);
    let weather = weather::Settings { url: weather_url, ..weather::Settings::default() };
    let app = Settings { name: served_by, root, weather };
    common.run(name, Arc::new(app), engine)
}

impl Application for Settings {
    fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    fn open(&self, root: Option<&Path>) -> io::Result<MakeHandler> {
        let app = App::open(&Settings { root: root.map(Path::to_owned), ..self.clone() })?;
        Ok(Arc::new(move |number| app.worker(number)))
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the demo application")
    }
}
