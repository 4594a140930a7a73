//! Configuration files of nginx, lighttpd, h2o and Apache: one for speed, one with the packages' default behaviour.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The limit on connections in the configuration of servers, above what any workload needs.
pub const CONNECTIONS_MAX: usize = 12_000;

/// The length of the accept queue of nginx and lighttpd, which the kernel may limit further.
const BACKLOG: usize = 4096;

/// What a server is started with, apart from its port.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The document root: the directory that the server serves.
    pub root: PathBuf,
    /// The temporary directory of the subject, for files that the server writes; other users may read it.
    pub subject_dir: PathBuf,
    /// The number of workers: event loops, threads or processes that serve.
    pub workers: usize,
    /// Whether the server writes an access log in the combined format.
    pub access_log: bool,
    /// Whether the server uses TLS, with the files [`certificate`](Environment::certificate) and
    /// [`key`](Environment::key).
    pub tls: bool,
    /// Whether the server compresses texts, at its default level.
    pub compress: bool,
    /// Whether a packaged server is configured as its manual recommends for serving files fast, as far as that is safe
    /// in production; if not, it keeps the default behaviour of its package.
    pub is_fast: bool,
    /// The address of the service that the demo application asks for the weather; `None` if no workload needs it.
    pub weather_service: Option<SocketAddr>,
}

impl Environment {
    /// The file of the certificate, in PEM.
    pub fn certificate(&self) -> PathBuf {
        self.subject_dir.join("certificate.pem")
    }

    /// The file of the private key, in PEM.
    pub fn key(&self) -> PathBuf {
        self.subject_dir.join("certificate.key")
    }
}

/// Writes a certificate for `localhost` and its private key into `dir`, both in PEM, and returns their files.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write_certificate(dir: &Path) -> io::Result<[PathBuf; 2]> {
    let [certificate, key] = ["certificate.pem", "certificate.key"].map(|name| dir.join(name));
    fs::write(&certificate, include_bytes!("certificate.pem"))?;
    fs::write(&key, include_bytes!("certificate.key"))?;
    Ok([certificate, key])
}

/// The text of the configuration file of nginx. For speed it caches the descriptors of more files than most workloads
/// have, and checks them again after five seconds; it writes an access log in blocks of 64 KiB.
pub fn nginx(environment: &Environment, port: u16) -> String {
    let Environment { workers, access_log, tls, compress, is_fast, .. } = environment;
    let (root, subject_dir) = (environment.root.display(), environment.subject_dir.display());
    let (certificate, key) = (environment.certificate(), environment.key());
    let (ssl, files) = match tls {
        true => {
            let files =
                format!("ssl_certificate {}; ssl_certificate_key {};", certificate.display(), key.display());
            (" ssl", format!("{files} ssl_protocols TLSv1.3;"))
        }
        false => ("", String::new()),
    };
    let gzip = if *compress { "gzip on; gzip_types text/plain;" } else { "" };
    let log = match access_log {
        true => format!("{subject_dir}/access.log combined buffer=64k flush=1s"),
        false => "off".to_owned(),
    };
    let fast = |settings: &str| if *is_fast { settings.to_owned() } else { String::new() };
    let main = fast("worker_rlimit_nofile 65536;");
    let events = fast(&format!("worker_connections {CONNECTIONS_MAX}; multi_accept on; use epoll;"));
    let http = fast(
        "server_tokens off; sendfile on; tcp_nopush on; tcp_nodelay on;
    open_file_cache max=10000 inactive=60s; open_file_cache_valid 5s;
    keepalive_timeout 75s; keepalive_requests 1000000000;",
    );
    let listen = fast(&format!(" reuseport backlog={BACKLOG}"));
    format!(
        "daemon off; pid {subject_dir}/nginx.pid; error_log stderr crit; worker_processes {workers}; {main}
events {{ {events} }}
http {{
    access_log {log}; include /etc/nginx/mime.types;
    {http} {gzip} {files}
    client_body_temp_path {subject_dir}/body; proxy_temp_path {subject_dir}/proxy; fastcgi_temp_path {subject_dir}/fastcgi;
    uwsgi_temp_path {subject_dir}/uwsgi; scgi_temp_path {subject_dir}/scgi;
    server {{ listen 127.0.0.1:{port}{ssl}{listen}; root {root}; index index.html; }}
}}
"
    )
}

/// The text of the configuration file of lighttpd. It caches open files by default. It has worker processes only if
/// there are several.
pub fn lighttpd(environment: &Environment, port: u16) -> String {
    let Environment { workers, access_log, is_fast, .. } = environment;
    let (root, subject_dir) = (environment.root.display(), environment.subject_dir.display());
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
    if *is_fast {
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
            if *workers > 1 { *workers } else { 0 },
            2 * CONNECTIONS_MAX
        ));
    }
    if *access_log {
        text.push_str(&format!(
            "server.modules += (\"mod_accesslog\")\naccesslog.filename = \"{subject_dir}/access.log\"\n"
        ));
    }
    text
}

/// The text of the configuration file of h2o. Its workers are threads.
pub fn h2o(environment: &Environment, port: u16) -> String {
    let Environment { workers, access_log, tls, compress, is_fast, .. } = environment;
    let (root, subject_dir) = (environment.root.display(), environment.subject_dir.display());
    let (certificate, key) = (environment.certificate(), environment.key());
    let ssl = match tls {
        true => format!(
            "  ssl:\n    certificate-file: {}\n    key-file: {}\n",
            certificate.display(),
            key.display()
        ),
        false => String::new(),
    };
    let compress = if *compress { "compress: [gzip]\n" } else { "" };
    let log = if *access_log { format!("access-log: {subject_dir}/access.log\n") } else { String::new() };
    let fast = match is_fast {
        true => format!("max-connections: {CONNECTIONS_MAX}\nhttp1-request-timeout: 75\n"),
        false => String::new(),
    };
    format!(
        "num-threads: {workers}
error-log: {subject_dir}/error.log
{fast}{log}{compress}listen:
  host: 127.0.0.1
  port: {port}
{ssl}hosts:
  default:
    paths:
      /:
        file.dir: {root}
"
    )
}

/// The text of the configuration file of Apache with its event module; it has no settings for speed.
pub fn apache(environment: &Environment, port: u16) -> String {
    let (root, subject_dir) = (environment.root.display(), environment.subject_dir.display());
    let modules = ["mpm_event", "authz_core", "dir", "mime"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    format!(
        "{modules}ServerName localhost
Listen 127.0.0.1:{port}
PidFile {subject_dir}/apache.pid
DefaultRuntimeDir {subject_dir}
ErrorLog /dev/stderr
DocumentRoot {root}
DirectoryIndex index.html
TypesConfig /etc/mime.types
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reaches_the_file() {
        let fast = Environment {
            root: "/the/root".into(),
            subject_dir: "/the/subject_dir".into(),
            workers: 3,
            access_log: true,
            tls: true,
            compress: true,
            is_fast: true,
            weather_service: None,
        };
        let default = Environment {
            workers: 1,
            access_log: false,
            tls: false,
            compress: false,
            is_fast: false,
            ..fast.clone()
        };
        let check = |text: fn(&Environment, u16) -> String, both: &[&str], only_fast: &[&str]| {
            let (fast, default) = (text(&fast, 8081), text(&default, 8081));
            let in_files = |setting: &&str| (fast.contains(*setting), default.contains(*setting));
            assert!(both.iter().all(|setting| in_files(setting) == (true, true)), "{fast}{default}");
            assert!(only_fast.iter().all(|setting| in_files(setting) == (true, false)), "{fast}{default}");
        };
        let log = "access_log /the/subject_dir/access.log combined ";
        check(
            nginx,
            &["root /the/root;", "listen 127.0.0.1:8081"],
            &[log, "processes 3;", "gzip on;", ":8081 ssl "],
        );
        check(nginx, &[], &["sendfile on;", "ssl_certificate_key /the/subject_dir/certificate.key;"]);
        check(lighttpd, &["\"/the/root\"", "port = 8081\n"], &["mod_accesslog", "max-worker = 3"]);
        check(
            h2o,
            &["file.dir: /the/root\n", "port: 8081\n"],
            &["access-log: /the", "num-threads: 3", "compress: "],
        );
        check(h2o, &[], &["8081\n  ssl:\n    certificate-file: /the/subject_dir/certificate.pem\n"]);
        check(apache, &["DocumentRoot /the/root\n", "Listen 127.0.0.1:8081\n"], &[]);
    }
}
