//! The table of all servers and architectures that experiments measure, and how each is started.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use super::configuration::{self, CONNECTIONS_MAX, Environment};
use super::process::{Cpus, Server, bind_to, free_port};
use super::programs::Program;
use super::site::{PAGE_LEN, STATIC};
use crate::report::Colour;

/// A server, or an architecture of a server, that experiments measure.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its name in results and on the command line.
    pub id: &'static str,
    /// Its name in tables and charts.
    pub title: &'static str,
    /// Its colour in charts.
    pub colour: Colour,
    /// What it responds with.
    pub serves: Serves,
    /// Where its program comes from.
    pub program: Program,
    /// Whether it always has one worker, whatever the options say.
    pub has_one_worker: bool,
    /// Whether each connection has a thread of its own.
    pub has_thread_per_connection: bool,
    /// Adds the program's arguments; writes configuration files into the scratch directory.
    arguments: fn(&mut Command, &Environment) -> io::Result<()>,
    /// The number of child processes that the program starts for this number of workers.
    children: fn(usize) -> usize,
}

/// What a subject responds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// The files of a directory.
    Files,
    /// The resources of the demo application, and files below `/static/`.
    Demo,
    /// The same [`PAGE_LEN`] bytes to every request.
    Constant,
}

/// All subjects, in the order of tables and legends.
pub const ALL: &[Subject] = &[
    Subject {
        id: "threads",
        title: "blocking threads",
        colour: Colour::Vermilion,
        program: Program::Workspace("sync-server"),
        has_thread_per_connection: true,
        has_one_worker: true,
        ..DEMO
    },
    Subject {
        id: "prefork-threads",
        title: "blocking, prefork",
        colour: Colour::Orange,
        program: Program::Workspace("sync-server"),
        has_thread_per_connection: true,
        arguments: |command, environment| demo(command.arg("--prefork"), environment),
        ..DEMO
    },
    Subject { id: "loop", title: "event loop ×1", colour: Colour::Blue, has_one_worker: true, ..DEMO },
    Subject { id: "loops", title: "event loop ×N", colour: Colour::Sky, ..DEMO },
    Subject {
        id: "prefork-loops",
        title: "event loop, prefork",
        colour: Colour::Green,
        arguments: |command, environment| demo(command.arg("--prefork"), environment),
        ..DEMO
    },
    HTTPD,
    Subject {
        id: "httpd-blocking",
        title: "httpd, blocking",
        colour: Colour::Orange,
        has_thread_per_connection: true,
        arguments: |command, environment| httpd(command.args(["--engine", "blocking"]), environment),
        ..HTTPD
    },
    Subject {
        id: "httpd-prefork",
        title: "httpd, prefork",
        colour: Colour::Sky,
        arguments: |command, environment| httpd(command.arg("--prefork"), environment),
        ..HTTPD
    },
    Subject {
        id: "httpd-blocking-prefork",
        title: "httpd, blocking, prefork",
        colour: Colour::Vermilion,
        has_thread_per_connection: true,
        arguments: |command, environment| {
            httpd(command.args(["--engine", "blocking", "--prefork"]), environment)
        },
        ..HTTPD
    },
    Subject {
        id: "nginx",
        title: "nginx",
        colour: Colour::Grey,
        program: Program::Installed("nginx", "-v"),
        arguments: |command, environment| {
            configured(command, environment, &["-e", "stderr", "-c"], configuration::nginx)
        },
        children: |workers| workers,
        ..HTTPD
    },
    Subject {
        id: "lighttpd",
        title: "lighttpd",
        colour: Colour::Green,
        program: Program::Installed("lighttpd", "-v"),
        arguments: |command, environment| {
            configured(command, environment, &["-D", "-f"], configuration::lighttpd)
        },
        children: configuration::lighttpd_children,
        ..HTTPD
    },
    Subject {
        id: "h2o",
        title: "h2o",
        colour: Colour::Purple,
        program: Program::Installed("h2o", "-v"),
        arguments: |command, environment| {
            configured(command, environment, &["-m", "worker", "-c"], configuration::h2o)
        },
        ..HTTPD
    },
    Subject {
        id: "apache",
        title: "Apache",
        colour: Colour::Brown,
        program: Program::Installed("apache2", "-v"),
        arguments: |command, environment| {
            configured(command, environment, &["-D", "FOREGROUND", "-f"], configuration::apache)
        },
        children: |_| 1,
        ..HTTPD
    },
    LIMIT,
    Subject {
        id: "limit-eager",
        title: "limit, eager accept",
        arguments: |command, environment| constant(command.arg("--eager"), environment),
        ..LIMIT
    },
    Subject { id: "hyper-dir", title: "hyper, tower-http", program: Program::Baseline("hyper"), ..LIBRARY },
    Subject { id: "actix-dir", title: "actix-files", program: Program::Baseline("actix-dir"), ..LIBRARY },
    Subject { id: "tiny-http", title: "tiny_http", program: Program::Baseline("tiny-http"), ..LIBRARY },
    Subject {
        id: "hyper-hello",
        title: "hyper, constant",
        program: Program::Baseline("hyper"),
        serves: Serves::Constant,
        arguments: constant,
        ..LIBRARY
    },
];

/// `httpd` on event loops. Other subjects take over what they do not change.
const HTTPD: Subject = Subject {
    id: "httpd",
    title: "httpd",
    colour: Colour::Blue,
    serves: Serves::Files,
    program: Program::Workspace("httpd"),
    has_one_worker: false,
    has_thread_per_connection: false,
    arguments: httpd,
    children: |_| 0,
};
/// What the architectures of the demo application have in common.
const DEMO: Subject =
    Subject { serves: Serves::Demo, program: Program::Workspace("async-server"), arguments: demo, ..HTTPD };
/// What the servers built on libraries have in common.
const LIBRARY: Subject = Subject { colour: Colour::Sky, arguments: files, ..HTTPD };
/// The least that any server has to do, so that its cost is the cost of the kernel.
const LIMIT: Subject = Subject {
    id: "limit",
    title: "limit",
    colour: Colour::Silver,
    serves: Serves::Constant,
    program: Program::Baseline("limit"),
    arguments: constant,
    ..HTTPD
};

impl Subject {
    /// The subject with this id.
    pub fn find(id: &str) -> Option<&'static Subject> {
        ALL.iter().find(|subject| subject.id == id)
    }

    /// Whether it is a program of this project.
    pub fn is_ours(&self) -> bool {
        matches!(self.program, Program::Workspace(_))
    }

    /// Whether it is a server packaged by Debian.
    pub fn is_packaged(&self) -> bool {
        matches!(self.program, Program::Installed(..))
    }

    /// Starts `program` on the server's CPUs, then binds the calling thread to the driver's CPUs. The server is ready
    /// when it accepts connections, or, with `is_ready`, when that returns true for its address.
    ///
    /// # Errors
    ///
    /// If the server does not start; the error has the output of the program.
    pub fn start(
        &self,
        program: &Path,
        environment: &Environment,
        cpus: &Cpus,
        is_ready: Option<fn(SocketAddr) -> bool>,
    ) -> io::Result<Server> {
        let announces = is_ready.is_none() && !self.is_packaged();
        let port = if announces { 0 } else { free_port()? };
        let environment = Environment { port, ..environment.clone() };
        let mut command = Command::new(program);
        (self.arguments)(&mut command, &environment)?;
        let (scratch, address) = (&environment.scratch, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        bind_to(&cpus.server)?;
        let server = match is_ready {
            Some(is_ready) => Server::awaited(command, address, scratch, |_| is_ready(address)),
            None if announces => Server::announced(command, scratch),
            None => Server::listening(command, address, scratch, (self.children)(environment.workers)),
        };
        bind_to(&cpus.driver)?;
        server
    }
}

/// The arguments of the demo application.
fn demo(command: &mut Command, environment: &Environment) -> io::Result<()> {
    command.args(["--bind", "127.0.0.1", "--root"]).arg(environment.root.join(STATIC));
    if let Some(address) = environment.weather_service {
        command.args(["--weather-url", &format!("http://{address}")]);
    }
    listening(command, environment);
    Ok(())
}

/// The arguments of `httpd`.
fn httpd(command: &mut Command, environment: &Environment) -> io::Result<()> {
    command.args(["--bind", "127.0.0.1", "--max-connections", &CONNECTIONS_MAX.to_string()]);
    if environment.access_log {
        command.args(["--log", "combined", "--log-file"]).arg(environment.scratch.join("access.log"));
    }
    files(command, environment)
}

/// The arguments of a program that serves a directory.
fn files(command: &mut Command, environment: &Environment) -> io::Result<()> {
    listening(command, environment).arg("-r").arg(&environment.root);
    Ok(())
}

/// The arguments of a program that responds with the same bytes to every request.
fn constant(command: &mut Command, environment: &Environment) -> io::Result<()> {
    listening(command, environment).args(["--size", &PAGE_LEN.to_string()]);
    Ok(())
}

/// Adds the port and the number of workers.
fn listening<'c>(command: &'c mut Command, environment: &Environment) -> &'c mut Command {
    command.args(["-p", &environment.port.to_string(), "-w", &environment.workers.to_string()])
}

/// Writes a configuration file, and appends its path to the arguments.
fn configured(
    command: &mut Command,
    environment: &Environment,
    arguments: &[&str],
    configuration: fn(&Environment) -> String,
) -> io::Result<()> {
    let file = environment.scratch.join("configuration");
    fs::write(&file, configuration(environment))?;
    command.args(arguments).arg(file);
    Ok(())
}
