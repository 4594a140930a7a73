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
use crate::report::{Colour, SubjectLabel};

/// A server, or an architecture of a server, that experiments measure.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its name in results and on the command line.
    pub id: &'static str,
    /// Its name in tables and charts.
    title: &'static str,
    /// Its colour in charts.
    colour: Colour,
    /// Its program.
    pub program: Program,
    /// Whether it always has one worker, whatever the options say.
    pub has_one_worker: bool,
    /// Whether each connection has a thread of its own.
    pub has_thread_per_connection: bool,
    /// The arguments of the program that do not depend on the environment.
    options: &'static [&'static str],
    /// The number of child processes that a packaged server starts for this number of workers.
    children: fn(usize) -> usize,
}

/// All subjects, in the order of tables and legends.
pub const ALL: &[Subject] = &[
    Subject {
        has_thread_per_connection: true,
        has_one_worker: true,
        ..usual("threads", "blocking threads", Colour::Vermilion, Program::Demo("sync-server"))
    },
    Subject {
        has_thread_per_connection: true,
        options: &["--prefork"],
        ..usual("prefork-threads", "blocking, prefork", Colour::Orange, Program::Demo("sync-server"))
    },
    Subject {
        has_one_worker: true,
        ..usual("loop", "event loop ×1", Colour::Blue, Program::Demo("async-server"))
    },
    usual("loops", "event loop ×N", Colour::Sky, Program::Demo("async-server")),
    Subject {
        options: &["--prefork"],
        ..usual("prefork-loops", "event loop, prefork", Colour::Green, Program::Demo("async-server"))
    },
    usual("httpd", "httpd", Colour::Blue, Program::Httpd),
    Subject {
        has_thread_per_connection: true,
        options: &["--engine", "blocking"],
        ..usual("httpd-blocking", "httpd, blocking", Colour::Orange, Program::Httpd)
    },
    Subject {
        options: &["--prefork"],
        ..usual("httpd-prefork", "httpd, prefork", Colour::Sky, Program::Httpd)
    },
    Subject {
        has_thread_per_connection: true,
        options: &["--engine", "blocking", "--prefork"],
        ..usual("httpd-blocking-prefork", "httpd, blocking, prefork", Colour::Vermilion, Program::Httpd)
    },
    Subject {
        options: &["-e", "stderr", "-c"],
        children: |workers| workers,
        ..usual("nginx", "nginx", Colour::Grey, Program::Packaged("nginx", configuration::nginx))
    },
    Subject {
        options: &["-D", "-f"],
        children: configuration::lighttpd_children,
        ..usual("lighttpd", "lighttpd", Colour::Green, Program::Packaged("lighttpd", configuration::lighttpd))
    },
    Subject {
        options: &["-m", "worker", "-c"],
        ..usual("h2o", "h2o", Colour::Purple, Program::Packaged("h2o", configuration::h2o))
    },
    Subject {
        options: &["-D", "FOREGROUND", "-f"],
        children: |_| 1,
        ..usual("apache", "Apache", Colour::Brown, Program::Packaged("apache2", configuration::apache))
    },
    // The least that any server has to do, so that its cost is the cost of the kernel.
    usual("limit", "limit", Colour::Silver, Program::Constant("limit")),
    Subject {
        options: &["--eager"],
        ..usual("limit-eager", "limit, eager accept", Colour::Silver, Program::Constant("limit"))
    },
    usual("hyper-dir", "hyper, tower-http", Colour::Sky, Program::Files("hyper")),
    usual("actix-dir", "actix-files", Colour::Sky, Program::Files("actix-dir")),
    usual("tiny-http", "tiny_http", Colour::Sky, Program::Files("tiny-http")),
    usual("hyper-hello", "hyper, constant", Colour::Sky, Program::Constant("hyper")),
];

/// A subject without the properties of a few.
const fn usual(id: &'static str, title: &'static str, colour: Colour, program: Program) -> Subject {
    Subject {
        id,
        title,
        colour,
        program,
        has_one_worker: false,
        has_thread_per_connection: false,
        options: &[],
        children: |_| 0,
    }
}

impl Subject {
    /// What reports say about the subject, whose program is at this path.
    pub fn label(&self, program: &Path) -> SubjectLabel {
        SubjectLabel {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            version: self.program.version(program),
            colour: self.colour,
            is_ours: self.is_ours(),
        }
    }

    /// Whether it is a program of this project.
    fn is_ours(&self) -> bool {
        matches!(self.program, Program::Demo(_) | Program::Httpd)
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
        if self.is_ours() {
            command.args(["--bind", "127.0.0.1"]);
        }
        if !self.is_packaged() {
            command.args(["-p", &port.to_string(), "-w", &workers.to_string()]);
        }
        match self.program {
            Program::Demo(_) => {
                command.arg("--root").arg(root.join(STATIC));
                if let Some(address) = environment.weather_service {
                    command.args(["--weather-url", &format!("http://{address}")]);
                }
            }
            Program::Httpd => {
                command.arg("-r").arg(root).args(["--max-connections", &CONNECTIONS_MAX.to_string()]);
                if environment.access_log {
                    command.args(["--log", "combined", "--log-file"]).arg(scratch.join("access.log"));
                }
            }
            Program::Packaged(_, configuration) => {
                let file = scratch.join("configuration");
                fs::write(&file, configuration(environment, port))?;
                command.arg(file);
            }
            Program::Files(_) => {
                command.arg("-r").arg(root);
            }
            Program::Constant(_) => {
                command.args(["--size", &PAGE_LEN.to_string()]);
            }
        }
        Ok(command)
    }
}
