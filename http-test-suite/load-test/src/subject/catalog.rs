//! The table of all servers and architectures that experiments measure, and how each is started.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::configuration::{self, CONNECTIONS_MAX, Environment};
use super::process::{Cpus, Server, bind_to, free_port};
use super::programs::Program;
use super::site::{PAGE_LEN, STATIC};
use super::usage;
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
    /// Where its program comes from.
    pub program: Program,
    /// What it responds with.
    pub serves: Serves,
    /// Whether it always has one worker, whatever the options say.
    pub has_one_worker: bool,
    /// Whether each connection has a thread of its own.
    pub has_thread_per_connection: bool,
    /// The arguments of the program that do not depend on the environment.
    options: &'static [&'static str],
    /// The number of child processes that a packaged server starts for this number of workers.
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
        has_thread_per_connection: true,
        has_one_worker: true,
        ..demo("threads", "blocking threads", Colour::Vermilion, "sync-server")
    },
    Subject {
        has_thread_per_connection: true,
        options: &["--prefork"],
        ..demo("prefork-threads", "blocking, prefork", Colour::Orange, "sync-server")
    },
    Subject { has_one_worker: true, ..demo("loop", "event loop ×1", Colour::Blue, "async-server") },
    demo("loops", "event loop ×N", Colour::Sky, "async-server"),
    Subject {
        options: &["--prefork"],
        ..demo("prefork-loops", "event loop, prefork", Colour::Green, "async-server")
    },
    httpd("httpd", "httpd", Colour::Blue),
    Subject {
        has_thread_per_connection: true,
        options: &["--engine", "blocking"],
        ..httpd("httpd-blocking", "httpd, blocking", Colour::Orange)
    },
    Subject { options: &["--prefork"], ..httpd("httpd-prefork", "httpd, prefork", Colour::Sky) },
    Subject {
        has_thread_per_connection: true,
        options: &["--engine", "blocking", "--prefork"],
        ..httpd("httpd-blocking-prefork", "httpd, blocking, prefork", Colour::Vermilion)
    },
    Subject {
        options: &["-e", "stderr", "-c"],
        children: |workers| workers,
        ..files("nginx", "nginx", Colour::Grey, Program::Packaged("nginx", configuration::nginx))
    },
    Subject {
        options: &["-D", "-f"],
        children: configuration::lighttpd_children,
        ..files("lighttpd", "lighttpd", Colour::Green, Program::Packaged("lighttpd", configuration::lighttpd))
    },
    Subject {
        options: &["-m", "worker", "-c"],
        ..files("h2o", "h2o", Colour::Purple, Program::Packaged("h2o", configuration::h2o))
    },
    Subject {
        options: &["-D", "FOREGROUND", "-f"],
        children: |_| 1,
        ..files("apache", "Apache", Colour::Brown, Program::Packaged("apache2", configuration::apache))
    },
    // The least that any server has to do, so that its cost is the cost of the kernel.
    constant("limit", "limit", Colour::Silver, "limit"),
    Subject {
        options: &["--eager"],
        ..constant("limit-eager", "limit, eager accept", Colour::Silver, "limit")
    },
    files("hyper-dir", "hyper, tower-http", Colour::Sky, Program::Baseline("hyper")),
    files("actix-dir", "actix-files", Colour::Sky, Program::Baseline("actix-dir")),
    files("tiny-http", "tiny_http", Colour::Sky, Program::Baseline("tiny-http")),
    constant("hyper-hello", "hyper, constant", Colour::Sky, "hyper"),
];

/// An architecture of the demo application.
const fn demo(id: &'static str, title: &'static str, colour: Colour, program: &'static str) -> Subject {
    Subject { serves: Serves::Demo, ..files(id, title, colour, Program::Workspace(program)) }
}

/// An architecture of `httpd`.
const fn httpd(id: &'static str, title: &'static str, colour: Colour) -> Subject {
    files(id, title, colour, Program::Workspace("httpd"))
}

/// A program of `baselines` that responds with the same bytes to every request.
const fn constant(id: &'static str, title: &'static str, colour: Colour, program: &'static str) -> Subject {
    Subject { serves: Serves::Constant, ..files(id, title, colour, Program::Baseline(program)) }
}

/// A server of files.
const fn files(id: &'static str, title: &'static str, colour: Colour, program: Program) -> Subject {
    Subject {
        id,
        title,
        colour,
        program,
        serves: Serves::Files,
        has_one_worker: false,
        has_thread_per_connection: false,
        options: &[],
        children: |_| 0,
    }
}

impl Subject {
    /// Whether it is a program of this project.
    pub fn is_ours(&self) -> bool {
        matches!(self.program, Program::Workspace(_))
    }

    /// Whether it is a server packaged by Debian.
    pub fn is_packaged(&self) -> bool {
        matches!(self.program, Program::Packaged(..))
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
        // A master process listens before its workers run: programs of this project then have not printed their address.
        let announces = is_ready.is_none() && !self.is_packaged();
        let port = if announces { 0 } else { free_port()? };
        let command = self.command(program, port, environment)?;
        let (scratch, address) = (&environment.scratch, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let children = (self.children)(environment.workers);
        let has_children =
            |pid| children == 0 || usage::children(pid).is_ok_and(|pids| pids.len() >= children);
        bind_to(&cpus.server)?;
        let server = match is_ready {
            Some(is_ready) => Server::awaited(command, address, scratch, |_| is_ready(address)),
            None if announces => Server::announced(command, scratch),
            None => Server::awaited(command, address, scratch, |pid| {
                TcpStream::connect(address).is_ok() && has_children(pid)
            }),
        };
        bind_to(&cpus.driver)?;
        server
    }

    /// The command that starts the program. Writes the configuration file of a packaged server.
    fn command(&self, program: &Path, port: u16, environment: &Environment) -> io::Result<Command> {
        let Environment { root, scratch, workers, .. } = environment;
        let mut command = Command::new(program);
        command.args(self.options);
        if let Program::Packaged(_, configuration) = self.program {
            let file = scratch.join("configuration");
            fs::write(&file, configuration(environment, port))?;
            command.arg(file);
            return Ok(command);
        }
        if self.is_ours() {
            command.args(["--bind", "127.0.0.1"]);
        }
        command.args(["-p", &port.to_string(), "-w", &workers.to_string()]);
        match self.serves {
            Serves::Files => command.arg("-r").arg(root),
            Serves::Demo => command.arg("--root").arg(root.join(STATIC)),
            Serves::Constant => command.args(["--size", &PAGE_LEN.to_string()]),
        };
        if self.is_ours() && self.serves == Serves::Files {
            command.args(["--max-connections", &CONNECTIONS_MAX.to_string()]);
        }
        if environment.access_log {
            command.args(["--log", "combined", "--log-file"]).arg(scratch.join("access.log"));
        }
        if let Some(address) = environment.weather_service.filter(|_| self.serves == Serves::Demo) {
            command.args(["--weather-url", &format!("http://{address}")]);
        }
        Ok(command)
    }
}
