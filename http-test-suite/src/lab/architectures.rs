//! The architectures that are compared, and how each is called to life.

use std::path::Path;
use std::process::Command;

use super::programs::Programs;

/// A way to build a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// A thread for each connection, in one process.
    Threads,
    /// A thread for each connection, in several processes.
    PreforkThreads,
    /// One event loop for all connections.
    Loop,
    /// Several event loops, threads of one process.
    Loops,
    /// Several event loops, each a process.
    PreforkLoops,
    /// Several event loops, each a process, written by others long ago: the reference for files.
    Nginx,
}

/// What every server of a workload is given.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// The document root.
    pub root: &'a Path,
    /// Where forecasts come from, if anybody will ask.
    pub weather_url: Option<&'a str>,
    /// Event loops or processes of the architectures that have several.
    pub workers: usize,
    /// A directory for what a server may want to write.
    pub scratch: &'a Path,
}

impl Architecture {
    /// All of them, in the order of tables and legends.
    pub const ALL: [Architecture; 6] = [
        Architecture::Threads,
        Architecture::PreforkThreads,
        Architecture::Loop,
        Architecture::Loops,
        Architecture::PreforkLoops,
        Architecture::Nginx,
    ];

    /// Its name in files and on the command line.
    pub fn id(self) -> &'static str {
        match self {
            Architecture::Threads => "threads",
            Architecture::PreforkThreads => "prefork-threads",
            Architecture::Loop => "loop",
            Architecture::Loops => "loops",
            Architecture::PreforkLoops => "prefork-loops",
            Architecture::Nginx => "nginx",
        }
    }

    /// The one with this name.
    pub fn named(id: &str) -> Option<Architecture> {
        Architecture::ALL.into_iter().find(|architecture| architecture.id() == id)
    }

    /// What a picture calls it.
    pub fn title(self) -> &'static str {
        match self {
            Architecture::Threads => "blocking threads",
            Architecture::PreforkThreads => "blocking, prefork",
            Architecture::Loop => "event loop ×1",
            Architecture::Loops => "event loop ×N",
            Architecture::PreforkLoops => "event loop, prefork",
            Architecture::Nginx => "nginx",
        }
    }

    /// Red, green and blue, the same in every picture. Warm ones block, cold ones loop; all are told apart by those
    /// who cannot tell red from green, too.
    pub fn colour(self) -> (u8, u8, u8) {
        match self {
            Architecture::Threads => (0xd5, 0x5e, 0x00),
            Architecture::PreforkThreads => (0xe6, 0x9f, 0x00),
            Architecture::Loop => (0x00, 0x72, 0xb2),
            Architecture::Loops => (0x56, 0xb4, 0xe9),
            Architecture::PreforkLoops => (0x00, 0x9e, 0x73),
            Architecture::Nginx => (0x77, 0x77, 0x77),
        }
    }

    /// How many workers answer, of `workers` where there are several.
    pub fn workers(self, workers: usize) -> usize {
        match self {
            Architecture::Threads | Architecture::Loop => 1,
            _ => workers,
        }
    }

    /// What starts it, if it is installed. All but nginx choose a free port and say which; nginx reads its
    /// [configuration](nginx_conf) in the scratch directory.
    pub fn command(self, programs: &Programs, around: &Surroundings<'_>) -> Option<Command> {
        let program = match self {
            Architecture::Threads | Architecture::PreforkThreads => &programs.sync_server,
            Architecture::Loop | Architecture::Loops | Architecture::PreforkLoops => &programs.async_server,
            Architecture::Nginx => programs.nginx.as_ref()?,
        };
        let mut command = Command::new(program);
        if self == Architecture::Nginx {
            command.arg("-p").arg(around.scratch).args(["-c", "nginx.conf", "-e", "stderr"]);
            return Some(command);
        }
        command.args(["--bind", "127.0.0.1", "--port", "0"]).arg("--root").arg(around.root);
        if let Some(url) = around.weather_url {
            command.args(["--weather-url", url]);
        }
        command.args(["--workers", &self.workers(around.workers).to_string()]);
        if matches!(self, Architecture::PreforkThreads | Architecture::PreforkLoops) {
            command.arg("--prefork");
        }
        Some(command)
    }
}

/// The reference's configuration: all that makes it fast on files, and nothing it would not do for a stranger.
pub fn nginx_conf(around: &Surroundings<'_>, processes: usize, port: u16, as_root: bool) -> String {
    let root = around.root.display();
    // Workers leave root behind unless told otherwise, and could then not read a private document root.
    let user = if as_root { "user root;" } else { "" };
    format!(
        "daemon off; {user} pid nginx.pid; worker_processes {processes}; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; multi_accept on; }}
http {{
    access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; types {{ }} default_type text/plain;
    open_file_cache max=1000 inactive=60s; open_file_cache_valid 1s;
    keepalive_timeout 75s; keepalive_requests 100000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{ listen 127.0.0.1:{port} backlog=4096; location /static/ {{ alias {root}/; }} }}
}}
"
    )
}
