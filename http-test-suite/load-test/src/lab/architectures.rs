//! The compared architectures, and the command that starts each.

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
    /// nginx, with an event loop in each of several processes: the reference for files.
    Nginx,
}

/// The environment that every server of a workload gets.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// The document root.
    pub root: &'a Path,
    /// The URL of the weather service, if the workload needs it.
    pub weather_url: Option<&'a str>,
    /// Event loops or processes of the architectures that have several.
    pub workers: usize,
    /// A directory for files that a server writes.
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

    /// The architecture with this name.
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

    /// Its colour as red, green and blue, the same in every picture. Blocking architectures have warm colours, event
    /// loops cold ones; the palette also works with red-green colour blindness.
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

    /// The number of its workers: `workers` for architectures with several, else 1.
    pub fn workers(self, workers: usize) -> usize {
        match self {
            Architecture::Threads | Architecture::Loop => 1,
            _ => workers,
        }
    }

    /// The command that starts it; `None` if the program is not installed. All programs but nginx choose a free port
    /// and print it; nginx reads its [configuration](nginx_conf) from the scratch directory.
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

/// The configuration of nginx: everything that makes it fast on files, and that is safe in production.
pub fn nginx_conf(around: &Surroundings<'_>, processes: usize, port: u16, as_root: bool) -> String {
    let root = around.root.display();
    // By default workers drop root privileges, and could not read a private document root.
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
