//! The table of all servers and architectures that experiments measure, and how each is started.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::configuration::{self, CONNECTIONS_MAX, Environment, write_certificate};
use super::process::{Cpus, Server, bind_to, free_port};
use super::programs::Program::{self, Constant, Demo, Files, Httpd, Packaged};
use super::site::{PAGE_LEN, STATIC};
use super::usage;
use crate::report::Colour::{self, Blue, Brown, Green, Grey, Orange, Purple, Silver, Sky, Vermilion};
use crate::report::SubjectLabel;

/// A server that experiments measure: a program, with options that choose its architecture.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The name of the subject in results and on the command line.
    pub id: &'static str,
    /// The name of the subject in tables and charts.
    title: &'static str,
    /// The colour of the subject in charts.
    colour: Colour,
    /// The program that is started, with its options.
    pub program: Program,
    /// Whether it always has one worker, whatever the options say.
    pub has_one_worker: bool,
}

/// All subjects, in the order of tables and legends.
pub const ALL: &[Subject] = &[
    Subject {
        has_one_worker: true,
        ..subject("threads", "blocking threads", Vermilion, Demo("sync-server", &[]))
    },
    subject("prefork-threads", "blocking, prefork", Orange, Demo("sync-server", &["--prefork"])),
    Subject { has_one_worker: true, ..subject("loop", "event loop ×1", Blue, Demo("async-server", &[])) },
    subject("loops", "event loop ×N", Sky, Demo("async-server", &[])),
    subject("prefork-loops", "event loop, prefork", Green, Demo("async-server", &["--prefork"])),
    subject("httpd", "httpd", Blue, Httpd(&[])),
    subject("httpd-blocking", "httpd, blocking", Orange, Httpd(&["--engine", "blocking"])),
    subject("httpd-prefork", "httpd, prefork", Sky, Httpd(&["--prefork"])),
    subject(
        "httpd-blocking-prefork",
        "httpd, blocking, prefork",
        Vermilion,
        Httpd(&["--engine", "blocking", "--prefork"]),
    ),
    subject("nginx", "nginx", Grey, Packaged("nginx", &["-e", "stderr", "-c"], configuration::nginx)),
    subject("lighttpd", "lighttpd", Green, Packaged("lighttpd", &["-D", "-f"], configuration::lighttpd)),
    subject("h2o", "h2o", Purple, Packaged("h2o", &["-m", "worker", "-c"], configuration::h2o)),
    subject(
        "apache",
        "Apache",
        Brown,
        Packaged("apache2", &["-D", "FOREGROUND", "-f"], configuration::apache),
    ),
    // The least that any server has to do, so that its cost is the cost of the kernel.
    subject("bare-loop", "bare loop", Silver, Constant("bare-loop", &[])),
    subject(
        "deferred-loop",
        "bare loop, deferred accept",
        Silver,
        Constant("bare-loop", &["--defer-accept"]),
    ),
    subject("hyper-dir", "hyper, tower-http", Sky, Files("hyper")),
    subject("actix-dir", "actix-files", Sky, Files("actix-dir")),
    subject("tiny-http", "tiny_http", Sky, Files("tiny-http")),
    subject("hyper-hello", "hyper, constant", Sky, Constant("hyper", &[])),
];

/// Makes a subject with these fields, which can have several workers.
const fn subject(id: &'static str, title: &'static str, colour: Colour, program: Program) -> Subject {
    Subject { id, title, colour, program, has_one_worker: false }
}

impl Subject {
    /// What reports say about the subject, whose program is at this path and prints its version.
    pub fn label(&self, program: &Path) -> SubjectLabel {
        SubjectLabel {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            version: self.program.version(program),
            colour: self.colour,
            is_ours: self.is_ours(),
        }
    }

    /// Whether the subject is a program of this project: httpd, or the demo application.
    fn is_ours(&self) -> bool {
        matches!(self.program, Demo(..) | Httpd(_))
    }

    /// Whether the subject serves each connection in a thread of its own.
    pub fn has_thread_per_connection(&self) -> bool {
        matches!(self.program, Demo("sync-server", _) | Httpd(["--engine", "blocking", ..]))
    }

    /// The number of child processes that a packaged server starts for this number of workers.
    fn children(&self, workers: usize) -> usize {
        match self.program {
            Packaged("nginx", ..) => workers,
            Packaged("lighttpd", ..) if workers > 1 => workers,
            Packaged("apache2", ..) => 1,
            _ => 0,
        }
    }

    /// Whether the subject is a server packaged by Debian: nginx, lighttpd, h2o or Apache.
    pub fn is_packaged(&self) -> bool {
        matches!(self.program, Packaged(..))
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
        // A master process listens before its workers run: programs of this project then have not printed their
        // address.
        let announces = is_ready.is_none() && !self.is_packaged();
        let port = if announces { 0 } else { free_port()? };
        let command = self.command(program, port, environment)?;
        let (subject_dir, address) =
            (&environment.subject_dir, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let children = self.children(environment.workers);
        let has_children =
            |pid| children == 0 || usage::children(pid).is_ok_and(|pids| pids.len() >= children);
        bind_to(&cpus.server)?;
        let server = match is_ready {
            Some(is_ready) => Server::awaited(command, address, subject_dir, |_| is_ready(address)),
            None if announces => Server::announced(command, subject_dir),
            None => Server::awaited(command, address, subject_dir, |pid| {
                TcpStream::connect(address).is_ok() && has_children(pid)
            }),
        };
        bind_to(&cpus.driver)?;
        server
    }

    /// The command that starts the program on this port. Writes the configuration file of a packaged server.
    fn command(&self, program: &Path, port: u16, environment: &Environment) -> io::Result<Command> {
        let Environment { root, subject_dir, workers, .. } = environment;
        if environment.tls {
            write_certificate(subject_dir)?;
        }
        let mut command = Command::new(program);
        if self.is_ours() {
            command.args(["--bind", "127.0.0.1"]);
        }
        if !self.is_packaged() {
            command.args(["-p", &port.to_string(), "-w", &workers.to_string()]);
        }
        match self.program {
            Demo(_, options) => {
                command.args(options).arg("--root").arg(root.join(STATIC));
                if let Some(address) = environment.weather_service {
                    command.args(["--weather-url", &format!("http://{address}")]);
                }
            }
            Httpd(options) => {
                command
                    .args(options)
                    .arg("-r")
                    .arg(root)
                    .args(["--max-connections", &CONNECTIONS_MAX.to_string()]);
                if environment.tls {
                    command.arg("--tls-cert").arg(environment.certificate());
                    command.arg("--tls-key").arg(environment.key());
                }
                if environment.access_log {
                    command.args(["--log", "combined", "--log-file"]).arg(subject_dir.join("access.log"));
                }
            }
            Packaged(_, options, configuration) => {
                let file = subject_dir.join("configuration");
                fs::write(&file, configuration(environment, port))?;
                command.args(options).arg(file);
            }
            Files(_) => {
                command.arg("-r").arg(root);
            }
            Constant(_, options) => {
                command.args(options).args(["--size", &PAGE_LEN.to_string()]);
            }
        }
        Ok(command)
    }
}
