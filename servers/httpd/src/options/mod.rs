//! The options of `httpd` that the other servers do not have, and those of the tables of a configuration file. Each is
//! defined and documented here only: the texts are also those of `--help`.

mod access;
mod bandwidth;
mod compression;
mod headers;
mod pages;
mod tls;
mod types;

use self::{
    access::AccessGroup,
    bandwidth::BandwidthGroup,
    compression::CompressionOptions,
    headers::HeaderOptions,
    pages::PageOptions,
    tls::{CertificateOptions, TlsOptions},
    types::TypeOptions,
};
use crate::{
    hosts::HostPattern,
    precompress::Precompress,
    rules::{Destination, HostRedirect, Redirect, RedirectStatus, Rewrite, Template},
    server::{Mount, MountPath},
    site::Site,
    tls::{SiteCertificate, Tls},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use http_daemon::{
    options::{self, Common, MAX_MILLIS},
    units::{Time, time},
};
use http_engine::Engine;
use http_files::{EntityTags, FileSystem, Options, Root};
use std::{path::PathBuf, str::FromStr};

/// Serves the files of a directory over HTTP/1.1.
///
/// Exit codes: 0 after a signal or a handoff; 1 if the server could not start or continue; 2 for wrong usage.
// The help text shows the lines above. The signals are SIGTERM and SIGINT. In a handoff, which SIGUSR2 starts, a new
// process of the program takes over the listening sockets, and the old one exits.
#[derive(Parser)]
pub struct Arguments {
    /// The directory to serve [default: .]
    #[arg(value_name = "ROOT")]
    positional_root: Option<PathBuf>,

    /// The directory to serve; the same as ROOT
    #[arg(short, long, value_name = "ROOT", conflicts_with = "positional_root")]
    root: Option<PathBuf>,

    #[command(flatten)]
    file: FileOptions,

    #[command(flatten)]
    redirects: RedirectOptions,

    #[command(flatten)]
    certificate: CertificateOptions,

    #[command(flatten)]
    tls: TlsOptions,

    /// How to wait for clients
    #[arg(long, value_enum, help_heading = options::WORKERS, default_value_t = EngineOption::EventLoop)]
    engine: EngineOption,

    // Otherwise the last heading of the options before would apply.
    #[command(flatten, next_help_heading = None::<&'static str>)]
    site: SiteOptions,

    #[command(flatten, next_help_heading = None::<&'static str>)]
    common: Common,
}

// What the program does instead of serving. Not a doc comment: clap would show it in place of that of `Arguments`.
#[derive(Subcommand)]
pub enum Subcommands {
    Precompress(Precompress),
}

/// The options that say where options come from.
#[derive(Args)]
pub struct FileOptions {
    /// Take options from this TOML file, whose keys are the long names of options, as in port = 8080
    ///
    /// The command line comes first, then the environment, as in HTTPD_PORT=8080, then the top of the file. What a site
    /// of the file sets itself comes before all of them.
    #[arg(long, help_heading = CONFIGURATION, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Do not serve: check all options, open the directories, read the files that options name, look for the user, what
    /// it may access, and the directories of the logs, and exit with 0, or with 2 if something is wrong
    #[arg(long, help_heading = CONFIGURATION, conflicts_with = "upgrade")]
    pub check: bool,

    /// Do not serve: print all options with their values as a configuration file, which says where each value comes
    /// from
    #[arg(long, help_heading = CONFIGURATION, conflicts_with_all = ["check", "upgrade"])]
    pub print_config: bool,

    /// Do not serve: print the manual page
    #[arg(long, help_heading = CONFIGURATION, conflicts_with_all = ["check", "print_config", "upgrade"])]
    pub man: bool,

    /// Do not serve: print the completions for a shell
    #[arg(long, help_heading = CONFIGURATION, value_name = "SHELL",
        conflicts_with_all = ["check", "print_config", "man", "upgrade"])]
    pub completions: Option<Shell>,
}

/// The heading in the help of the options that do not serve, but concern the configuration.
const CONFIGURATION: &str = "Configuration";

/// The signals, for the long help.
pub const SIGNALS: &str = "\
Signals:
  SIGTERM, SIGINT  finish the requests in flight within --grace, then end; a second signal ends at once
  SIGHUP           reload: open the logs and the directories again, read all files that options name
  SIGUSR1          open the logs again
  SIGUSR2          upgrade: start the program again and hand the sockets over to it";

/// The end of the long help.
pub const EXAMPLES: &str = "\
Examples:
  httpd                                       serve this directory at http://localhost:8080/
  httpd -p 80 -b '*' --user www-data /srv/www serve a directory to all, without staying root
  httpd precompress /srv/www                  write compressed forms of its files, to be served
  httpd --config httpd.toml --check           check a configuration file
  kill -HUP \"$(cat httpd.pid)\"                reload the file and the logs";

/// The options that a file cannot have: they say what this start of the program does.
pub const OF_COMMAND_LINE: &[&str] =
    &["config", "check", "print-config", "man", "completions", "upgrade", "help", "version"];

/// The table of a site in a configuration file: `[[site]]`.
#[derive(Parser)]
pub struct SiteTable {
    /// The hosts of the site, as in "example.org" or "*.example.org"
    #[arg(long)]
    hosts: Vec<HostPattern>,

    /// The directory to serve
    #[arg(long)]
    root: PathBuf,

    #[command(flatten)]
    redirects: RedirectOptions,

    #[command(flatten)]
    certificate: CertificateOptions,

    #[command(flatten)]
    options: SiteOptions,
}

impl SiteTable {
    /// Returns the hosts, and what the site has besides.
    pub fn into_site(self) -> (Vec<HostPattern>, SiteParts) {
        let parts = SiteParts {
            redirects: self.redirects.redirect_host,
            certificate: self.certificate.into_certificate(),
            site: self.options.into_site(self.root),
        };
        (self.hosts, parts)
    }
}

/// What a site has besides its hosts and tables.
pub struct SiteParts {
    /// The redirects of hosts.
    pub redirects: Vec<HostRedirect>,
    pub certificate: Option<SiteCertificate>,
    pub site: Site,
}

/// The table of a directory that is served at a path of a site: `[[site.mount]]`.
#[derive(Parser)]
pub struct MountTable {
    /// The path, as in "/docs"
    #[arg(long)]
    path: MountPath,

    /// The directory to serve
    #[arg(long)]
    root: PathBuf,

    #[command(flatten)]
    options: SiteOptions,
}

impl MountTable {
    /// Returns what the table means.
    pub fn into_mount(self) -> Mount {
        Mount { path: self.path, site: self.options.into_site(self.root) }
    }
}

/// The options of one site that do not apply to its mounts.
#[derive(Args)]
struct RedirectOptions {
    /// Redirect requests for a host to another one with status 308, as in www.example.org=example.org; can be repeated
    #[arg(long, value_name = "HOST=HOST", help_heading = "Pages")]
    redirect_host: Vec<HostRedirect>,
}

/// The table of a redirect: `[[site.redirect]]`.
#[derive(Parser)]
pub struct RedirectTable {
    /// The paths to redirect, as in "/old/{name}" or "/old/{*rest}"
    #[arg(long)]
    from: Template,

    /// A path or URL with parameters of `from`, as in "/new/{name}"
    #[arg(long)]
    to: Destination,

    /// The status
    #[arg(long, default_value = "308")]
    status: RedirectStatus,
}

impl RedirectTable {
    /// Returns what the table means. Fails if its templates do not fit.
    pub fn into_redirect(self) -> Result<Redirect, String> {
        Redirect::new(self.from, self.to, self.status)
    }
}

/// The table of a rewrite: `[[site.rewrite]]`.
#[derive(Parser)]
pub struct RewriteTable {
    /// The paths to rewrite, as in "/app/{*rest}"
    #[arg(long)]
    from: Template,

    /// The path to serve, with parameters of `from`
    #[arg(long)]
    to: Template,
}

impl RewriteTable {
    /// Returns what the table means. Fails if its templates do not fit.
    pub fn into_rewrite(self) -> Result<Rewrite, String> {
        Rewrite::new(self.from, self.to)
    }
}

/// The options of one site.
#[derive(Args)]
struct SiteOptions {
    /// How to make entity tags (the ETag header)
    #[arg(long, value_enum, help_heading = "Headers", default_value_t = EtagOption::Strong)]
    etag: EtagOption,

    /// Time for a file system to find or read a file; then the request gets status 504, or its connection closes
    #[arg(long, value_name = "TIME", help_heading = "Limits", value_parser = time(1..=MAX_MILLIS),
        default_value_t = Time(Root::DEFAULT_FILE_TIMEOUT))]
    file_timeout: Time,

    /// How long calls to the file systems below the directory may take
    #[arg(long, value_enum, help_heading = "Limits", default_value_t = FileSystemOption::Auto)]
    file_system: FileSystemOption,

    #[command(flatten)]
    compression: CompressionOptions,

    #[command(flatten)]
    headers: HeaderOptions,

    #[command(flatten)]
    types: TypeOptions,

    #[command(flatten)]
    pages: PageOptions,

    #[command(flatten)]
    access: AccessGroup,

    #[command(flatten)]
    bandwidth: BandwidthGroup,
}

impl Arguments {
    /// Returns what the options mean: the site, TLS, the engine that serves it, the options of every server, and where
    /// options come from.
    pub fn into_site(self) -> (SiteParts, Tls, Engine, Common, FileOptions) {
        let root = self.root.or(self.positional_root).unwrap_or_else(|| ".".into());
        let engine = match self.engine {
            EngineOption::EventLoop => Engine::EventLoop,
            EngineOption::Blocking => Engine::Blocking,
        };
        let parts = SiteParts {
            redirects: self.redirects.redirect_host,
            certificate: self.certificate.into_certificate(),
            site: self.site.into_site(root),
        };
        (parts, self.tls.into_tls(), engine, self.common, self.file)
    }
}

impl SiteOptions {
    /// Returns the site of the directory `root`.
    fn into_site(self, root: PathBuf) -> Site {
        let entity_tags = match self.etag {
            EtagOption::Strong => EntityTags::Strong,
            EtagOption::Mtime => EntityTags::Mtime,
        };
        let file_system = match self.file_system {
            FileSystemOption::Auto => None,
            FileSystemOption::Memory => Some(FileSystem::Memory),
            FileSystemOption::Local => Some(FileSystem::Local),
            FileSystemOption::Slow => Some(FileSystem::Slow),
        };
        let follow_symlinks = self.pages.follow_symlinks;
        let (types, mime_types) = self.types.into_types();
        let mut options = Options {
            entity_tags,
            compression: self.compression.into(),
            cors: self.headers.cors(),
            headers: self.headers.into_rules(),
            types,
            ..Options::default()
        };
        self.pages.apply(&mut options);
        Site {
            root,
            file_timeout: self.file_timeout.0,
            file_system,
            mime_types,
            follow_symlinks,
            options: options.into(),
            access: self.access.into_options(),
            bandwidth: self.bandwidth.into_options(),
        }
    }
}

/// The value of an option that can be switched off: `None` if it is.
type Switched<T> = Option<T>;

/// Returns a parser for the value of an option that can be switched on, which means the value `on`, or off.
fn switched<T: FromStr>(
    on: &'static str,
) -> impl Fn(&str) -> Result<Switched<T>, T::Err> + Clone + Send + Sync + 'static {
    move |text| match text {
        "off" | "false" => Ok(None),
        "on" | "true" => on.parse().map(Some),
        other => other.parse().map(Some),
    }
}

/// The values of `--engine`.
#[derive(Clone, Copy, ValueEnum)]
enum EngineOption {
    /// A few threads, each serving many connections
    EventLoop,
    /// One thread per connection
    Blocking,
}

/// The values of `--etag`.
#[derive(Clone, Copy, ValueEnum)]
enum EtagOption {
    /// Strong tags: a hash of the content for a file of at most 64 KiB, which is the same on all hosts, and of length,
    /// times, inode and device for a longer one, which is not
    Strong,
    /// Weak tags of length and modification time: the same on all hosts behind a balancer, but not for If-Range
    Mtime,
}

/// The values of `--file-system`.
#[derive(Clone, Copy, ValueEnum)]
enum FileSystemOption {
    /// As the kernel says, for each file system
    Auto,
    /// In memory: calls never wait
    Memory,
    /// On a disk of this machine: what the kernel has cached is used at once, and threads wait for the disk
    Local,
    /// On a network or in another process: every call may take for ever, and a thread makes it
    Slow,
}
