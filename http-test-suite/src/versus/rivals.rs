//! Who is measured: a table of servers, where their programs are, and how each is called to life. Each is told where to
//! listen and how many workers it has; most say nothing of themselves.

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
    /// What it is to the others.
    pub side: Side,
    /// What it can do.
    pub skill: Skill,
    origin: Origin,
    command: fn(&mut Command, &Place<'_>) -> io::Result<()>,
    /// Whether it runs its workers as processes, where there are this many.
    has_children: fn(usize) -> bool,
}

/// What a server is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The project's own.
    Ours,
    /// A server that others built and packaged.
    Packaged,
    /// A library that others built, in the smallest program around it.
    Library,
    /// No server at all: the least that the kernel asks of whoever answers.
    Limit,
}

/// What a server can do; each includes what stands above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skill {
    /// Answers whatever it is asked with the same 1,024 bytes.
    Answer,
    /// Serves files.
    Files,
    /// Writes an access log in the combined format.
    Log,
}

/// Where a program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It is the one that is given as `httpd`.
    Httpd,
    /// The system has it; this flag makes it tell its version.
    Installed(&'static str, &'static str),
    /// It is among the peers, under this name.
    Peer(&'static str),
}

/// What a server is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The document root.
    pub(super) root: &'a Path,
    /// A directory for what it may want to write.
    pub(super) scratch: &'a Path,
    /// On 127.0.0.1.
    pub(super) port: u16,
    /// Threads or processes that serve.
    pub(super) workers: usize,
    /// Whether it writes an access log.
    pub(super) logs: bool,
    /// Whether all this runs as root.
    pub(super) is_root: bool,
}

/// All of them, in the order of legends.
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

/// Bytes of the only answer of those that have but one.
pub(super) const ANSWER_LEN: usize = 1024;

/// A rival that is here.
#[derive(Clone, Debug)]
pub(super) struct Entrant {
    pub(super) rival: &'static Rival,
    pub(super) program: PathBuf,
}

/// Who took part, and in which version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// [`Rival::id`].
    pub server: String,
    /// As the program itself tells it; its name if it does not.
    pub version: String,
}

impl Rival {
    /// The one with this name.
    pub fn named(id: &str) -> Option<&'static Rival> {
        ALL.iter().find(|rival| rival.id == id)
    }

    /// Its program, or why there is none.
    pub(super) fn find(&'static self, httpd: &Path, peers: &Path) -> Result<Entrant, String> {
        let program = match self.origin {
            Origin::Httpd => httpd.is_file().then(|| httpd.to_owned()),
            Origin::Installed(name, _) => installed(name),
            Origin::Peer(name) => Some(peers.join(name)).filter(|program| program.is_file()),
        };
        let missing = || match self.origin {
            Origin::Httpd => format!("{}: not at {}", self.id, httpd.display()),
            Origin::Installed(..) => format!("{}: not installed", self.id),
            Origin::Peer(name) => format!("{}: {name} is not built in {}", self.id, peers.display()),
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

    /// Starts it on the server's CPUs; the calling thread goes back to the driver's. It is ready as soon as it lets
    /// clients connect, or, if there is a question, once that is answered.
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

/// What programs of one file are told that serve a directory.
fn serving(command: &mut Command, place: &Place<'_>) -> io::Result<()> {
    listening(command, place).arg("-r").arg(place.root);
    Ok(())
}

/// The same for those that have only one answer.
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
