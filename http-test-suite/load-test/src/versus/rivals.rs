//! The table of measured servers: where each program is, and how to start it with a given port and number of workers.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::getuid;
use serde::Serialize;

use super::configuration::{self, CONNECTIONS_MAX};
use crate::lab::programs::{installed, version};
use crate::lab::server::{Cpus, Server, bind_to, free_port};

/// A server to measure.
#[derive(Clone, Copy, Debug)]
pub struct Rival {
    /// Its name in files, tables and on the command line.
    pub id: &'static str,
    /// Whether it is this project's server, another server, a library or the limit.
    pub side: Side,
    /// What it can do, which decides in which works it takes part.
    pub skill: Skill,
    origin: Origin,
    command: fn(&mut Command, &Place<'_>) -> io::Result<()>,
    /// Whether it runs its workers as processes, given their number.
    has_children: fn(usize) -> bool,
}

/// The group of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server of this project.
    Ours,
    /// A server packaged by Debian.
    Packaged,
    /// A library, in a minimal program.
    Library,
    /// A program that does the least that any server has to do; it measures the cost of the kernel.
    Limit,
}

/// What a server can do. Each skill includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skill {
    /// Answers every request with the same 1,024 bytes.
    Answer,
    /// Serves files.
    Files,
    /// Writes an access log in the combined format.
    Log,
}

/// Where a program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The path given as `httpd`.
    Httpd,
    /// A program installed on the system: its name, and the flag that prints its version.
    Installed(&'static str, &'static str),
    /// The program of this name in `baselines`.
    Peer(&'static str),
}

/// The environment of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The document root.
    pub(super) root: &'a Path,
    /// A directory for files that it writes.
    pub(super) scratch: &'a Path,
    /// The port on 127.0.0.1.
    pub(super) port: u16,
    /// Threads or processes that serve.
    pub(super) workers: usize,
    /// Whether it writes an access log.
    pub(super) logs: bool,
    /// Whether this process runs as root.
    pub(super) is_root: bool,
}

/// All servers, in the order of legends.
pub const ALL: &[Rival] = &[
    Rival { command: |command, place| httpd(command, place, "event-loop"), ..OURS },
    Rival { id: "httpd-blocking", command: |command, place| httpd(command, place, "blocking"), ..OURS },
    Rival {
        id: "nginx",
        origin: Origin::Installed("nginx", "-v"),
        command: |command, place| {
            let file = written(place, "nginx.conf", &configuration::nginx(place))?;
            command.arg("-e").arg("stderr").arg("-p").arg(place.scratch).arg("-c").arg(file);
            Ok(())
        },
        has_children: |_| true,
        ..PACKAGED
    },
    Rival {
        id: "lighttpd",
        origin: Origin::Installed("lighttpd", "-v"),
        command: |command, place| {
            command.arg("-D").arg("-f");
            command.arg(written(place, "lighttpd.conf", &configuration::lighttpd(place))?);
            Ok(())
        },
        has_children: |workers| workers > 1,
        ..PACKAGED
    },
    Rival {
        id: "h2o",
        origin: Origin::Installed("h2o", "-v"),
        command: |command, place| {
            command.args(["-m", "worker", "-c"]);
            command.arg(written(place, "h2o.conf", &configuration::h2o(place))?);
            Ok(())
        },
        ..PACKAGED
    },
    Rival { id: "limit", origin: Origin::Peer("limit"), command: answering, ..LIMIT },
    Rival {
        id: "limit-eager",
        origin: Origin::Peer("limit"),
        command: |command, place| answering(command.arg("--eager"), place),
        ..LIMIT
    },
    Rival { id: "hyper-dir", origin: Origin::Peer("hyper-dir"), ..LIBRARY },
    Rival { id: "actix-dir", origin: Origin::Peer("actix-dir"), ..LIBRARY },
    Rival { id: "tiny-http", origin: Origin::Peer("tiny-http"), ..LIBRARY },
    Rival {
        id: "hyper-hello",
        origin: Origin::Peer("hyper-hello"),
        skill: Skill::Answer,
        command: answering,
        ..LIBRARY
    },
];

const OURS: Rival = Rival {
    id: "httpd",
    side: Side::Ours,
    skill: Skill::Log,
    origin: Origin::Httpd,
    command: serving,
    has_children: |_| false,
};
const PACKAGED: Rival = Rival { side: Side::Packaged, ..OURS };
const LIBRARY: Rival = Rival { side: Side::Library, skill: Skill::Files, ..OURS };
const LIMIT: Rival = Rival { side: Side::Limit, skill: Skill::Answer, ..OURS };

/// The length of the answer of servers that always send the same bytes.
pub(super) const ANSWER_LEN: usize = 1024;

/// A server whose program was found.
#[derive(Clone, Debug)]
pub(super) struct Entrant {
    pub(super) rival: &'static Rival,
    pub(super) program: PathBuf,
}

/// A server that took part, and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// [`Rival::id`].
    pub server: String,
    /// The version that the program prints; its name if it prints none.
    pub version: String,
}

impl Rival {
    /// The server with this name.
    pub fn named(id: &str) -> Option<&'static Rival> {
        ALL.iter().find(|rival| rival.id == id)
    }

    /// Finds its program; the error says why there is none.
    pub(super) fn find(&'static self, httpd: &Path, baselines: &Path) -> Result<Entrant, String> {
        let program = match self.origin {
            Origin::Httpd => httpd.is_file().then(|| httpd.to_owned()),
            Origin::Installed(name, _) => installed(name),
            Origin::Peer(name) => Some(baselines.join(name)).filter(|program| program.is_file()),
        };
        let missing = || match self.origin {
            Origin::Httpd => format!("{}: not at {}", self.id, httpd.display()),
            Origin::Installed(..) => format!("{}: not installed", self.id),
            Origin::Peer(name) => format!("{}: {name} is not built in {}", self.id, baselines.display()),
        };
        Ok(Entrant { rival: self, program: program.ok_or_else(missing)? })
    }
}

impl Entrant {
    pub(super) fn version(&self) -> Version {
        let flag = match self.rival.origin {
            Origin::Installed(_, flag) => flag,
            Origin::Httpd | Origin::Peer(_) => "--version",
        };
        Version { server: self.rival.id.to_owned(), version: version(&self.program, flag) }
    }

    /// Starts it on the server's CPUs, then binds the calling thread to the driver's CPUs again. The server is ready
    /// when clients can connect, or, if there is a question, when it has answered that.
    pub(super) fn start(
        &self,
        place: &Place<'_>,
        cpus: &Cpus,
        answers: Option<fn(SocketAddr) -> bool>,
    ) -> io::Result<Server> {
        let place = Place { port: free_port()?, is_root: getuid().is_root(), ..*place };
        let mut command = Command::new(&self.program);
        (self.rival.command)(&mut command, &place)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, place.port));
        bind_to(&cpus.server)?;
        let server = match answers {
            Some(answers) => Server::awaited(command, address, place.scratch, |_| answers(address)),
            None => {
                let children = if (self.rival.has_children)(place.workers) { place.workers } else { 0 };
                Server::listening(command, address, place.scratch, children)
            }
        };
        bind_to(&cpus.driver)?;
        server
    }
}

fn httpd(command: &mut Command, place: &Place<'_>, engine: &str) -> io::Result<()> {
    command.args(["--bind", "127.0.0.1", "--engine", engine]);
    command.args(["--max-connections", &CONNECTIONS_MAX.to_string()]);
    if place.logs {
        command.args(["--log", "combined", "--log-file"]).arg(place.scratch.join("access.log"));
    }
    serving(command, place)
}

/// Arguments of a program that serves a directory.
fn serving(command: &mut Command, place: &Place<'_>) -> io::Result<()> {
    listening(command, place).arg("-r").arg(place.root);
    Ok(())
}

/// Arguments of a program that always sends the same bytes.
fn answering(command: &mut Command, place: &Place<'_>) -> io::Result<()> {
    listening(command, place).args(["--size", &ANSWER_LEN.to_string()]);
    Ok(())
}

fn listening<'c>(command: &'c mut Command, place: &Place<'_>) -> &'c mut Command {
    command.args(["-p", &place.port.to_string(), "-w", &place.workers.to_string()])
}

fn written(place: &Place<'_>, name: &str, configuration: &str) -> io::Result<PathBuf> {
    let file = place.scratch.join(name);
    fs::write(&file, configuration)?;
    Ok(file)
}
