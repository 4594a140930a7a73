//! The proxies: how each is configured, started and named.

use crate::{lane::Lane, network::Subject};
use load_test::subject::process::Server;
use std::{
    fmt::Write,
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
};

/// A proxy of Debian.
pub struct Proxy {
    /// The name in the tables.
    pub name: &'static str,
    program: &'static str,
    /// The options before the name of the configuration file.
    options: &'static [&'static str],
    configure: Configure,
}

/// Makes the text of a configuration file for the directory and for pairs of ports: where the proxy listens, and where
/// it forwards to.
type Configure = fn(&str, &[(u16, u16)]) -> String;

/// All proxies.
pub const ALL: &[Proxy] = &[
    proxy("nginx", "nginx", &["-e", "stderr", "-c"], nginx),
    proxy("nginx, streaming", "nginx", &["-e", "stderr", "-c"], nginx_streaming),
    proxy("Apache", "apache2", &["-D", "FOREGROUND", "-f"], apache),
    proxy("HAProxy", "haproxy", &["-q", "-f"], haproxy),
    proxy("HAProxy, lax", "haproxy", &["-q", "-f"], haproxy_lax),
    proxy("lighttpd", "lighttpd", &["-D", "-f"], lighttpd),
    proxy("lighttpd, streaming", "lighttpd", &["-D", "-f"], lighttpd_streaming),
    proxy("h2o", "h2o", &["-m", "worker", "-c"], h2o),
];

/// Makes a proxy with these fields.
const fn proxy(
    name: &'static str,
    program: &'static str,
    options: &'static [&'static str],
    configure: Configure,
) -> Proxy {
    Proxy { name, program, options, configure }
}

impl Proxy {
    /// The version that the program prints: the first number with a dot.
    ///
    /// # Errors
    ///
    /// If the program is not installed.
    pub fn version(&self) -> io::Result<String> {
        let output = Command::new(self.program).arg("-v").output()?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let mut words = text.split(|char: char| char.is_whitespace() || char == '/');
        let version =
            words.find(|word| word.starts_with(|char: char| char.is_ascii_digit()) && word.contains('.'));
        Ok(version.unwrap_or_default().split('-').next().unwrap_or_default().to_owned())
    }

    /// Starts the proxy with this number of lanes. Its files are in `directory`.
    ///
    /// # Errors
    ///
    /// If it does not start; the error has its output.
    pub fn start(&self, directory: &Path, lanes: usize) -> io::Result<Subject> {
        let listen = || {
            (0..lanes).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<Vec<_>>>()
        };
        let (origins, free) = (listen()?, listen()?);
        let port_of = |listener: &TcpListener| Ok::<_, io::Error>(listener.local_addr()?.port());
        let ports = free.iter().zip(&origins).map(|(own, origin)| Ok((port_of(own)?, port_of(origin)?)));
        let ports = ports.collect::<io::Result<Vec<_>>>()?;
        // The proxy listens there now. Another program could take a port first, but the kernel does not soon assign it
        // again.
        drop(free);
        let file = directory.join("configuration");
        fs::write(&file, (self.configure)(&directory.display().to_string(), &ports))?;
        let mut command = Command::new(self.program);
        command.args(self.options).arg(file);
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let addresses: Vec<_> = ports.iter().map(|(port, _)| address(*port)).collect();
        let server = Server::awaited(command, addresses[0], directory, |_| {
            addresses.iter().all(|address| TcpStream::connect(address).is_ok())
        })?;
        let lanes =
            addresses.into_iter().zip(origins).map(|(address, origin)| Lane::new(address, Some(origin)));
        let name = format!("{} {}", self.name, self.version()?);
        Ok(Subject { name, lanes: lanes.collect::<Result<_, _>>()?, server: Some(server) })
    }
}

/// Makes a text with a part for each pair of ports.
fn each(ports: &[(u16, u16)], part: impl Fn(usize, u16, u16) -> String) -> String {
    ports.iter().enumerate().fold(String::new(), |mut text, (lane, (port, origin))| {
        let _ = writeln!(text, "{}", part(lane, *port, *origin));
        text
    })
}

fn nginx(directory: &str, ports: &[(u16, u16)]) -> String {
    nginx_with(directory, ports, "")
}

fn nginx_streaming(directory: &str, ports: &[(u16, u16)]) -> String {
    nginx_with(directory, ports, "proxy_request_buffering off;")
}

/// The connection to the origin may stay open, as the manual recommends.
fn nginx_with(directory: &str, ports: &[(u16, u16)], settings: &str) -> String {
    let servers = each(ports, |_, port, origin| {
        format!(
            "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{origin}; }} }}"
        )
    });
    format!(
        "daemon off; master_process off; pid {directory}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
access_log off; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host; {settings}
client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
{servers}}}
"
    )
}

fn apache(directory: &str, ports: &[(u16, u16)]) -> String {
    let modules = ["mpm_event", "authz_core", "proxy", "proxy_http"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let hosts = each(ports, |_, port, origin| {
        format!(
            "Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
ProxyPass / http://127.0.0.1:{origin}/ retry=0
</VirtualHost>"
        )
    });
    format!(
        "{modules}ServerName localhost
PidFile {directory}/pid
DefaultRuntimeDir {directory}
ErrorLog {directory}/error.log
{hosts}"
    )
}

fn haproxy(directory: &str, ports: &[(u16, u16)]) -> String {
    haproxy_with(directory, ports, "")
}

fn haproxy_lax(directory: &str, ports: &[(u16, u16)]) -> String {
    haproxy_with(directory, ports, "option accept-invalid-http-request")
}

fn haproxy_with(_: &str, ports: &[(u16, u16)], settings: &str) -> String {
    let proxies = each(ports, |lane, port, origin| {
        format!(
            "frontend front{lane}\n    bind 127.0.0.1:{port}\n    default_backend back{lane}\n    {settings}
backend back{lane}\n    server origin 127.0.0.1:{origin}"
        )
    });
    format!(
        "global\n    maxconn 4000\n    nbthread 1
defaults\n    mode http\n    retries 0
    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n{proxies}"
    )
}

fn lighttpd(directory: &str, ports: &[(u16, u16)]) -> String {
    lighttpd_with(directory, ports, "")
}

fn lighttpd_streaming(directory: &str, ports: &[(u16, u16)]) -> String {
    lighttpd_with(directory, ports, "server.stream-request-body = 2\n")
}

fn lighttpd_with(directory: &str, ports: &[(u16, u16)], settings: &str) -> String {
    let sockets = each(ports, |_, port, origin| {
        format!(
            "$SERVER[\"socket\"] == \"127.0.0.1:{port}\" {{
    proxy.server = (\"\" => ((\"host\" => \"127.0.0.1\", \"port\" => {origin})))
}}"
        )
    });
    let (first, _) = ports[0];
    format!(
        "server.modules = (\"mod_proxy\")
server.document-root = \"{directory}\"
server.bind = \"127.0.0.1\"
server.port = {first}
server.errorlog = \"{directory}/error.log\"
{settings}{sockets}"
    )
}

fn h2o(directory: &str, ports: &[(u16, u16)]) -> String {
    let hosts = each(ports, |lane, port, origin| {
        format!(
            "  lane{lane}:
    listen:
      host: 127.0.0.1
      port: {port}
    paths:
      /:
        proxy.reverse.url: http://127.0.0.1:{origin}/
        proxy.preserve-host: ON"
        )
    });
    format!("num-threads: 1\nerror-log: {directory}/error.log\nhosts:\n{hosts}")
}
