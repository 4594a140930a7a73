//! The options that all servers share. Each is defined and documented here only: the texts are also those of `--help`.

use crate::{
    bind_address::{AdminAddress, BindAddress},
    logs::LogSettings,
    trusted_proxy::{self, TrustedProxy},
    units::{FileMode, Size, Time, count, file_mode, size, switch, time},
};
use clap::{ArgAction, Args, Command, CommandFactory, Parser};
use http_engine::{Config, ForwardedHeaders, Limits, Settings, Timeouts};
use std::{path::PathBuf, time::Duration};

/// The heading in the help of the options that determine the workers.
pub const WORKERS: &str = "Workers";

/// Explains the values of options at the end of the help.
const VALUES: &str = "A SIZE is a number of bytes or has a unit: 512, 64K, 10M, 1G (powers of 1024).\n\
    A TIME is a number of seconds or has a unit: 500ms, 30s, 1m, 2h.";

/// The maximum number of addresses to listen on. A name that `--bind` gives counts as its addresses.
pub(crate) const MAX_BINDS: usize = 64;

/// The largest value of an option that takes a count, unless the option has a smaller maximum.
const MAX_COUNT: u64 = u32::MAX as u64;

/// The largest value of an option that takes a size in bytes, unless the option has a smaller maximum: 4 GiB.
const MAX_SIZE: u64 = 4 << 30;

/// The largest value of an option that takes a time, in milliseconds: one day.
pub const MAX_MILLIS: u64 = 86_400_000;

/// The options of every server.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Port to listen on; 0 selects a free port
    #[arg(short, long, value_parser = count::<u16>(0..=65_535))]
    pub port: u16,

    /// Address or name to listen on, with a port if it differs from --port: localhost, [::1]:8080, [fe80::1%eth0]:80,
    /// or * for all addresses; a Unix socket: unix:/run/httpd/httpd.sock, or unix:@NAME for an abstract name; or fd:3,
    /// a listening socket that the program has inherited; can be repeated [default: 127.0.0.1, and ::1 if the machine
    /// has IPv6]
    #[arg(short, long, value_name = "ADDRESS[:PORT]")]
    #[allow(
        rustdoc::broken_intra_doc_links,
        reason = "the brackets belong to an address, and the help shows them"
    )]
    pub bind: Vec<BindAddress>,

    /// Permissions of the files of Unix sockets, as an octal number: processes that may write to the file may connect.
    /// With
    /// --user, the files belong to that user and group [default: 0666]
    #[arg(long, value_name = "MODE", default_value = "0666", hide_default_value = true, value_parser = file_mode)]
    pub socket_mode: FileMode,

    /// Number of event loops, of threads kept ready, or of worker processes [default: CPU cores, at most 8]
    #[arg(short, long, value_name = "COUNT", help_heading = WORKERS, value_parser = count::<usize>(1..=1024))]
    pub workers: Option<usize>,

    /// Run each worker as a separate process and replace it if it ends
    #[arg(long, help_heading = WORKERS)]
    pub prefork: bool,

    /// The options that limit what clients may use.
    #[command(flatten)]
    pub limits: LimitOptions,

    /// The options that say which peers are proxies.
    #[command(flatten)]
    pub proxies: ProxyOptions,

    /// The options that determine how the server runs as a service.
    #[command(flatten)]
    pub service: ServiceOptions,
}

/// The options that limit what clients may use, and for how long.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// Connections open at once in the whole server, divided evenly among worker processes; reduced to fit the limit on
    /// open files [default for each process: 10000 with event loops, 1024 with a thread per connection]
    #[arg(long, value_name = "COUNT", value_parser = count::<usize>(1..=MAX_COUNT))]
    pub max_connections: Option<usize>,

    /// Connections open at once from one client address, per process [default: no limit]
    #[arg(long, value_name = "COUNT", value_parser = count::<usize>(1..=MAX_COUNT))]
    pub max_connections_per_ip: Option<usize>,

    /// Size of a request head; a larger one is rejected with status 431
    #[arg(long, value_name = "SIZE", value_parser = size(256..=65_536),
        default_value_t = Size(Limits::default().head_bytes as u64))]
    pub max_head: Size,

    /// Size of a request body; a larger one is rejected with status 413, or closes the connection if the server does
    /// not use it
    #[arg(long, value_name = "SIZE", value_parser = size(0..=MAX_SIZE),
        default_value_t = Size(Limits::default().body_bytes as u64))]
    pub max_body: Size,

    /// Memory for the requests of all connections of a process, beyond 16 KiB each; a request that needs more is
    /// rejected with status 503
    #[arg(long, value_name = "SIZE", value_parser = size(0..=MAX_SIZE),
        default_value_t = Size(Settings::default().max_buffered_bytes as u64))]
    pub max_buffered: Size,

    /// Time to receive a request head, from its first byte
    #[arg(long, value_name = "TIME", value_parser = time(1..=MAX_MILLIS),
        default_value_t = Time(Timeouts::default().head))]
    pub head_timeout: Time,

    /// Time that a client may pause while it sends a request body
    #[arg(long, value_name = "TIME", value_parser = time(1..=MAX_MILLIS),
        default_value_t = Time(Timeouts::default().body_idle))]
    pub body_timeout: Time,

    /// Time that a client may pause while it receives a response
    #[arg(long, value_name = "TIME", value_parser = time(1..=MAX_MILLIS),
        default_value_t = Time(Timeouts::default().write_stall))]
    pub write_timeout: Time,

    /// Time that a connection may stay open between two requests
    #[arg(long, value_name = "TIME", value_parser = time(1..=MAX_MILLIS),
        default_value_t = Time(Timeouts::default().idle))]
    pub idle_timeout: Time,

    /// Time after SIGTERM, SIGINT or an upgrade in which an idle connection gets one more response: a client may have
    /// sent its request before it could see the connection close
    #[arg(long, value_name = "TIME", value_parser = time(0..=MAX_MILLIS),
        default_value_t = Time(Timeouts::default().idle_grace))]
    pub idle_grace: Time,

    /// Time to finish the requests in flight after SIGTERM, SIGINT or an upgrade
    #[arg(long, value_name = "TIME", value_parser = time(0..=MAX_MILLIS),
        default_value_t = Time(Duration::from_secs(30)))]
    pub grace: Time,
}

/// The options that say which peers are proxies, and how they name their clients.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Proxies")]
pub struct ProxyOptions {
    /// Address or network of proxies that are trusted to name the client of a request, or loopback, private, or unix
    /// for the peers of Unix sockets; can be repeated. All rules, limits on requests, and logs apply to that client
    /// [default: none]
    #[arg(long, value_name = "NETWORK")]
    pub trusted_proxy: Vec<TrustedProxy>,

    /// Headers in which trusted proxies name the client: forwarded, or x-forwarded-for, alone or followed by
    /// ,x-forwarded-proto or ,x-forwarded-host. Name only those that each proxy sets: clients can forge the others
    #[arg(long, value_name = "NAMES", default_value_t = ForwardedHeaders::default())]
    pub forwarded_header: ForwardedHeaders,

    /// Expect the header of the PROXY protocol, version 1 or 2, at the beginning of each connection from a trusted
    /// proxy
    // The master passes all options on to its workers, also those that are off.
    #[arg(long, requires_ifs = [("true", "trusted_proxy"), ("on", "trusted_proxy")])]
    pub proxy_protocol: bool,
}

/// The options that determine how the server runs as a service.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Service")]
pub struct ServiceOptions {
    /// The access log and the error log.
    #[command(flatten)]
    pub logs: LogSettings,

    /// Port of 127.0.0.1, or address or name with a port, as in localhost:9100 or *:9100, of the admin server:
    /// /healthz, and /metrics for Prometheus. It has no access control [default: none]
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    #[allow(
        rustdoc::broken_intra_doc_links,
        reason = "the brackets mark an optional part, and the help shows them"
    )]
    pub admin: Option<AdminAddress>,

    /// File that holds the PID while the server runs [default: none]
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,

    /// User to switch to once the port is bound and the logs are open, by name or number; not root [default: no switch]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,

    /// Group to switch to with the user, by name or number; not root [default: the user's group]
    #[arg(long, value_name = "GROUP", requires = "user")]
    pub group: Option<String>,

    /// Restrict file access to the served directories, the program, and the directories of the configuration, the logs
    /// and the PID file (Landlock); an upgrade can start a new program file only from a directory without other
    /// programs
    #[arg(long)]
    pub confine: bool,

    /// Do not serve: make the server that holds the PID file start the program again and hand over to it, as SIGUSR2
    /// does, and exit when the new process serves
    #[arg(long, requires = "pid_file")]
    pub upgrade: bool,
}

impl LimitOptions {
    /// Converts the options to the limits and timeouts of each connection behind these proxies. A limit or timeout that
    /// has no option keeps its default.
    pub(crate) fn protocol_config(&self, proxies: &ProxyOptions) -> Config {
        let limits = Limits {
            head_bytes: self.max_head.bytes(),
            body_bytes: self.max_body.bytes(),
            ..Limits::default()
        };
        let timeouts = Timeouts {
            head: self.head_timeout.0,
            body_idle: self.body_timeout.0,
            write_stall: self.write_timeout.0,
            idle: self.idle_timeout.0,
            idle_grace: self.idle_grace.0,
            ..Timeouts::default()
        };
        let ProxyOptions { trusted_proxy, forwarded_header, proxy_protocol } = proxies;
        let proxies = trusted_proxy::proxies(trusted_proxy, *forwarded_header, *proxy_protocol);
        Config { limits, timeouts, proxies, ..Config::default() }
    }
}

/// Parses the command line of the program `name` into `P`, a struct that flattens [`Common`]. `default_port` is the
/// default of `--port`.
///
/// Wrong arguments end the process with a message and exit code 2. `--help` and `--version` end it with exit code 0.
pub fn parse<P: Parser>(name: &'static str, default_port: &'static str) -> P {
    let matches = command::<P>(name, default_port).get_matches();
    P::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Returns the command line of the program `name`, for a program that does more than [`parse`] with it. `P` is a struct
/// that flattens [`Common`], and `default_port` the default of `--port`.
pub fn command<P: CommandFactory>(name: &'static str, default_port: &'static str) -> Command {
    let command = P::command().name(name).bin_name(name).version(env!("CARGO_PKG_VERSION"));
    let port = |argument: clap::Arg| argument.required(false).default_value(default_port);
    with_switches(command.max_term_width(100).after_help(VALUES).mut_arg("port", port))
}

/// Lets each flag of `command` take a value, as in `--prefork=off`: one source of options can then switch off what
/// another one has switched on.
pub fn with_switches(command: Command) -> Command {
    command.mut_args(|argument| match argument.get_action() {
        ArgAction::SetTrue => argument
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .value_name("on|off")
            .value_parser(switch())
            .hide_possible_values(true)
            .default_value("false")
            .default_missing_value("true")
            .hide_default_value(true),
        _ => argument,
    })
}
