//! Configuration files for nginx, lighttpd and h2o: everything that their manuals recommend for serving files fast, as
//! far as it is safe in production.

use super::rivals::Place;

/// The limit of connections for every server, some more than any work needs.
pub(super) const CONNECTIONS_MAX: usize = 12_000;

/// The length of the accept queue, which the kernel may limit further.
const BACKLOG: usize = 4096;

/// The configuration of nginx. It caches the descriptors of more files than most works have, and revalidates them after
/// five seconds. It writes an access log in blocks of 64 KiB.
pub(super) fn nginx(place: &Place<'_>) -> String {
    let Place { root, scratch, port, workers, is_root, logs } = place;
    let (root, scratch) = (root.display(), scratch.display());
    // By default workers drop root privileges, and could not read a private document root.
    let user = if *is_root { "user root;" } else { "" };
    let log = if *logs { format!("{scratch}/access.log combined buffer=64k flush=1s") } else { "off".into() };
    format!(
        "daemon off; {user} pid {scratch}/nginx.pid; error_log stderr crit;
worker_processes {workers}; worker_rlimit_nofile 65536;
events {{ worker_connections {CONNECTIONS_MAX}; multi_accept on; use epoll; }}
http {{
    access_log {log}; server_tokens off; include /etc/nginx/mime.types;
    sendfile on; tcp_nopush on; tcp_nodelay on;
    open_file_cache max=10000 inactive=60s; open_file_cache_valid 5s;
    keepalive_timeout 75s; keepalive_requests 1000000000;
    client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
    server {{ listen 127.0.0.1:{port} reuseport backlog={BACKLOG}; root {root}; index index.html; }}
}}
"
    )
}

/// The configuration of lighttpd. It caches open files by default. It starts worker processes only if there are
/// several.
pub(super) fn lighttpd(place: &Place<'_>) -> String {
    let Place { root, scratch, port, workers, logs, .. } = place;
    let (root, scratch) = (root.display(), scratch.display());
    let workers = if *workers > 1 { *workers } else { 0 };
    let log = if *logs {
        format!("server.modules += (\"mod_accesslog\")\naccesslog.filename = \"{scratch}/access.log\"\n")
    } else {
        String::new()
    };
    format!(
        "server.document-root = \"{root}\"
server.bind = \"127.0.0.1\"
server.port = {port}
server.listen-backlog = {BACKLOG}
server.errorlog = \"/dev/stderr\"
server.event-handler = \"linux-sysepoll\"
server.network-backend = \"sendfile\"
server.max-worker = {workers}
server.max-connections = {CONNECTIONS_MAX}
server.max-fds = {}
server.max-keep-alive-requests = 1000000000
server.max-keep-alive-idle = 75
index-file.names = (\"index.html\")
mimetype.assign = (\".html\" => \"text/html\", \"\" => \"application/octet-stream\")
{log}",
        2 * CONNECTIONS_MAX
    )
}

/// The configuration of h2o. Its workers are threads.
pub(super) fn h2o(place: &Place<'_>) -> String {
    let Place { root, scratch, port, workers, is_root, logs } = place;
    let (root, scratch) = (root.display(), scratch.display());
    let user = if *is_root { "user: root\n" } else { "" };
    let log = if *logs { format!("access-log: {scratch}/access.log\n") } else { String::new() };
    format!(
        "{user}num-threads: {workers}
max-connections: {CONNECTIONS_MAX}
http1-request-timeout: 75
pid-file: {scratch}/h2o.pid
error-log: {scratch}/error.log
{log}listen:
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn settings_go_where_they_belong() {
        let place = Place {
            root: Path::new("/the/root"),
            scratch: Path::new("/the/scratch"),
            port: 8081,
            workers: 3,
            logs: true,
            is_root: true,
        };
        let quiet = Place { workers: 1, logs: false, is_root: false, ..place };
        let check = |text: fn(&Place<'_>) -> String, always: &[&str], ours: &[&str], not_ours: &[&str]| {
            for word in always.iter().chain(ours) {
                assert!(text(&place).contains(word), "{word}: {}", text(&place));
            }
            for word in always.iter().chain(not_ours) {
                assert!(text(&quiet).contains(word), "{word}: {}", text(&quiet));
            }
            for word in ours {
                assert!(!text(&quiet).contains(word), "{word}: {}", text(&quiet));
            }
        };
        let nginx_always = &[
            "root /the/root;",
            "127.0.0.1:8081 ",
            "open_file_cache ",
            "sendfile on;",
            "keepalive_requests ",
        ];
        let logged = "access_log /the/scratch/access.log combined ";
        check(nginx, nginx_always, &[logged, "worker_processes 3;", "user root;"], &["access_log off;"]);
        let lighttpd_always = &["\"/the/root\"", "server.port = 8081\n", "\"sendfile\""];
        check(lighttpd, lighttpd_always, &["mod_accesslog", "max-worker = 3"], &["max-worker = 0"]);
        let h2o_always = &["file.dir: /the/root\n", "port: 8081\n"];
        check(h2o, h2o_always, &["access-log: /the", "num-threads: 3", "user: root"], &["num-threads: 1"]);
    }
}
