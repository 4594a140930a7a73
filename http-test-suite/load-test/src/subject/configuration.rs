//! Configuration files of nginx, lighttpd, h2o and Apache: one for speed, one with the packages' default behaviour.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The limit of connections for every server, some more than any workload needs.
pub const CONNECTIONS_MAX: usize = 12_000;

/// The length of the accept queue, which the kernel may limit further.
const BACKLOG: usize = 4096;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The document root.
    pub root: PathBuf,
    /// The directory for files that the server writes; other users may read it.
    pub scratch: PathBuf,
    /// The port on 127.0.0.1; 0 if the program chooses one and prints it.
    pub port: u16,
    /// The number of event loops, threads or processes that serve.
    pub workers: usize,
    /// Whether the server writes an access log in the combined format.
    pub access_log: bool,
    /// Which configuration file a packaged server gets.
    pub configuration: Configuration,
    /// The service that the demo application asks for the weather, if a workload needs it.
    pub weather_service: Option<SocketAddr>,
}

/// Which configuration file a packaged server gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configuration {
    /// Everything that the manual recommends for serving files fast, as far as it is safe in production.
    Fast,
    /// The least that serves a directory; all behaviour is the package's default.
    Default,
}

impl Environment {
    /// Whether the configuration file is the one for speed.
    fn is_fast(&self) -> bool {
        self.configuration == Configuration::Fast
    }
}

/// The configuration of nginx. For speed it caches the descriptors of more files than most workloads have, and checks
/// them again after five seconds; it writes an access log in blocks of 64 KiB.
pub fn nginx(environment: &Environment) -> String {
    let Environment { port, workers, access_log, .. } = environment;
    let (root, scratch) = (environment.root.display(), environment.scratch.display());
    let log = match access_log {
        true => format!("{scratch}/access.log combined buffer=64k flush=1s"),
        false => "off".to_owned(),
    };
    let (main, events, http, listen) = match environment.is_fast() {
        true => (
            "worker_rlimit_nofile 65536;",
            format!("worker_connections {CONNECTIONS_MAX}; multi_accept on; use epoll;"),
            "server_tokens off; sendfile on; tcp_nopush on; tcp_nodelay on;
    open_file_cache max=10000 inactive=60s; open_file_cache_valid 5s;
    keepalive_timeout 75s; keepalive_requests 1000000000;",
            format!(" reuseport backlog={BACKLOG}"),
        ),
        false => ("", String::new(), "", String::new()),
    };
    format!(
        "daemon off; pid {scratch}/nginx.pid; error_log stderr crit; worker_processes {workers}; {main}
events {{ {events} }}
http {{
    access_log {log}; include /etc/nginx/mime.types;
    {http}
    client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
    server {{ listen 127.0.0.1:{port}{listen}; root {root}; index index.html; }}
}}
"
    )
}

/// The configuration of lighttpd. It caches open files by default. It has worker processes only if there are several.
pub fn lighttpd(environment: &Environment) -> String {
    let Environment { port, workers, access_log, .. } = environment;
    let (root, scratch) = (environment.root.display(), environment.scratch.display());
    let mut text = format!(
        "server.document-root = \"{root}\"
server.bind = \"127.0.0.1\"
server.port = {port}
server.errorlog = \"/dev/stderr\"
index-file.names = (\"index.html\")
mimetype.assign = (\".html\" => \"text/html\", \".css\" => \"text/css\", \".js\" => \"text/javascript\",
  \".txt\" => \"text/plain\", \".png\" => \"image/png\", \".svg\" => \"image/svg+xml\", \".json\" => \"application/json\",
  \".jpg\" => \"image/jpeg\", \".jpeg\" => \"image/jpeg\", \".gif\" => \"image/gif\",
  \".swf\" => \"application/x-shockwave-flash\")
"
    );
    if environment.is_fast() {
        text.push_str(&format!(
            "server.listen-backlog = {BACKLOG}
server.event-handler = \"linux-sysepoll\"
server.network-backend = \"sendfile\"
server.max-worker = {}
server.max-connections = {CONNECTIONS_MAX}
server.max-fds = {}
server.max-keep-alive-requests = 1000000000
server.max-keep-alive-idle = 75
",
            lighttpd_children(*workers),
            2 * CONNECTIONS_MAX
        ));
    }
    if *access_log {
        text.push_str(&format!(
            "server.modules += (\"mod_accesslog\")\naccesslog.filename = \"{scratch}/access.log\"\n"
        ));
    }
    text
}

/// The number of worker processes that lighttpd starts for this number of workers.
pub fn lighttpd_children(workers: usize) -> usize {
    if workers > 1 { workers } else { 0 }
}

/// The configuration of h2o. Its workers are threads.
pub fn h2o(environment: &Environment) -> String {
    let Environment { port, workers, access_log, .. } = environment;
    let (root, scratch) = (environment.root.display(), environment.scratch.display());
    let log = if *access_log { format!("access-log: {scratch}/access.log\n") } else { String::new() };
    let fast = match environment.is_fast() {
        true => format!("max-connections: {CONNECTIONS_MAX}\nhttp1-request-timeout: 75\n"),
        false => String::new(),
    };
    format!(
        "num-threads: {workers}
error-log: {scratch}/error.log
{fast}{log}listen:
  host: 127.0.0.1
  port: {port}
hosts:
  default:
    paths:
      /:
        file.dir: {root}
"
    )
}

/// The configuration of Apache with its event module; it is the same for both values of [`Configuration`].
pub fn apache(environment: &Environment) -> String {
    let (root, scratch) = (environment.root.display(), environment.scratch.display());
    let modules = ["mpm_event", "authz_core", "dir", "mime"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    format!(
        "{modules}ServerName localhost
Listen 127.0.0.1:{}
PidFile {scratch}/apache.pid
DefaultRuntimeDir {scratch}
ErrorLog /dev/stderr
DocumentRoot {root}
DirectoryIndex index.html
TypesConfig /etc/mime.types
",
        environment.port
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reaches_the_file() {
        let environment = |workers, access_log, configuration| Environment {
            root: "/the/root".into(),
            scratch: "/the/scratch".into(),
            port: 8081,
            workers,
            access_log,
            configuration,
            weather_service: None,
        };
        let fast = environment(3, true, Configuration::Fast);
        let default = environment(1, false, Configuration::Default);
        let check = |text: fn(&Environment) -> String, both: &[&str], only_fast: &[&str]| {
            let (fast, default) = (text(&fast), text(&default));
            let in_files = |setting: &&str| (fast.contains(*setting), default.contains(*setting));
            assert!(both.iter().all(|setting| in_files(setting) == (true, true)), "{fast}{default}");
            assert!(only_fast.iter().all(|setting| in_files(setting) == (true, false)), "{fast}{default}");
        };
        let log = "access_log /the/scratch/access.log combined ";
        let nginx_fast =
            [log, "worker_processes 3;", "open_file_cache ", "sendfile on;", "keepalive_requests "];
        check(nginx, &["root /the/root;", "listen 127.0.0.1:8081"], &nginx_fast);
        check(
            lighttpd,
            &["\"/the/root\"", "port = 8081\n"],
            &["mod_accesslog", "max-worker = 3", "\"sendfile\""],
        );
        let h2o_fast = ["access-log: /the", "num-threads: 3", "max-connections: "];
        check(h2o, &["file.dir: /the/root\n", "port: 8081\n"], &h2o_fast);
        check(apache, &["DocumentRoot /the/root\n", "Listen 127.0.0.1:8081\n"], &[]);
    }
}
