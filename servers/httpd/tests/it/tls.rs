//! https: certificates, redirects from http, and what of them a reload changes. What TLS itself does is tested with the
//! engine.

use crate::{
    client::{self, TIMEOUT, get, wait_for},
    program::{self, HTTPD, Program, ServerKind, check_failure, text, upgrade},
    site::Directory,
};
use rustix::process::Signal;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Command,
    sync::Arc,
};

/// The path of a certificate or key of the engine's tests.
fn pem(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/tls/pem").join(name)
}

/// A client with TLS.
struct Client<S: Read + Write = TcpStream>(StreamOwned<ClientConnection, S>);

impl Client {
    /// Connects, and asks for the certificate of this host.
    fn connect(address: SocketAddr, host: &'static str) -> Client {
        Client::with(address, host, &[&TLS13], false)
    }

    fn with(
        address: SocketAddr,
        host: &'static str,
        versions: &[&'static SupportedProtocolVersion],
        has_certificate: bool,
    ) -> Client {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a timeout");
        Client::over(stream, host, versions, has_certificate)
    }
}

impl<S: Read + Write> Client<S> {
    /// Begins a handshake on a connection, which has timeouts.
    fn over(
        stream: S,
        host: &'static str,
        versions: &[&'static SupportedProtocolVersion],
        has_certificate: bool,
    ) -> Client<S> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(pem("ca.pem")).expect("a certificate"))
            .expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()));
        let config = config.with_protocol_versions(versions).expect("versions").with_root_certificates(roots);
        let config = if has_certificate {
            let chain = CertificateDer::pem_file_iter(pem("client.pem")).expect("a file");
            let chain = chain.collect::<Result<_, _>>().expect("certificates");
            let key = PrivateKeyDer::from_pem_file(pem("client.key")).expect("a key");
            config.with_client_auth_cert(chain, key).expect("an identity")
        } else {
            config.with_no_client_auth()
        };
        let name = ServerName::try_from(host).expect("a name");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a client");
        Client(StreamOwned::new(tls, stream))
    }

    /// Requests `target` of `host`. Returns the head and the body of the response, which has a length.
    fn try_fetch(&mut self, target: &str, host: &str) -> io::Result<(String, String)> {
        self.0.write_all(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8(head).expect("text");
        let length = header(&head, "Content-Length").expect("a length").parse().expect("a number");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((head, String::from_utf8(body).expect("text")))
    }

    /// Checks how the response begins, and one of its headers; without a name, its body.
    #[track_caller]
    fn check(&mut self, (target, host): (&str, &str), status: u16, name: &str, expected: Option<&str>) {
        let (head, body) = self.try_fetch(target, host).expect("a response");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{target} of {host}: {head}");
        let seen = if name.is_empty() { Some(&*body) } else { header(&head, name) };
        assert_eq!(seen, expected, "{target} of {host}: {head}");
    }

    /// The first certificate of the server.
    fn certificate(&self) -> &CertificateDer<'_> {
        &self.0.conn.peer_certificates().expect("certificates")[0]
    }
}

/// The value of a header in a head.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Makes a directory with two sites and their certificates, and a configuration file with these options in front.
fn make_sites(options: &str) -> Directory {
    let directory = Directory::new();
    for (name, content) in [
        ("local/index.html", "local"),
        ("local/.well-known/acme-challenge/token", "proof"),
        ("example/index.html", "example"),
    ] {
        directory.write(name, content);
    }
    for name in ["default", "exact", "wildcard"] {
        for extension in ["pem", "key"] {
            let name = format!("{name}.{extension}");
            directory.write(&name, fs::read_to_string(pem(&name)).expect("a file"));
        }
    }
    let config = format!(
        "{options}\n\
         [[site]]\nhosts = ['localhost', 'old.localhost']\nroot = 'local'\nredirect-host = 'old.localhost=localhost'\n\
         tls-cert = 'default.pem'\ntls-key = 'default.key'\n\
         [[site]]\nhosts = ['www.example.org']\nroot = 'example'\nhsts = 60\n\
         tls-cert = 'exact.pem'\ntls-key = 'exact.key'\n"
    );
    directory.write("httpd.toml", &config);
    directory
}

fn start(kind: ServerKind, directory: &Directory, arguments: &[&str]) -> Program {
    let mut command = Command::new(HTTPD);
    command.current_dir(directory.root()).args(kind.arguments()).args(["--config", "httpd.toml"]);
    Program::start(command.args(["-p", "0", "-b", "127.0.0.1", "-w", "2"]).args(arguments))
}

two_kinds! {
    fn each_site_has_its_certificate(kind: ServerKind) {
        let directory = make_sites("");
        let program = start(kind, &directory, &["--log-file", "access.log", "--log-format",
            "$scheme $host $ssl_protocol $ssl_cipher"]);
        assert!(program.startup_line.contains(" at https://127.0.0.1:"), "{}", program.startup_line);
        let mut local = Client::connect(program.address(), "localhost");
        local.check(("/", "localhost"), 200, "", Some("local"));
        local.check(("/", "localhost"), 200, "Strict-Transport-Security", None);
        local.check(("/a?b", "old.localhost:1"), 308, "Location", Some("https://localhost/a?b"));
        local.check(("/", "www.example.org"), 421, "Location", None);
        local.check(("https://localhost/", "localhost"), 200, "", Some("local"));
        local.check(("http://localhost/", "localhost"), 421, "Location", None);
        let mut example = Client::connect(program.address(), "www.example.org");
        example.check(("/", "www.example.org"), 200, "Strict-Transport-Security", Some("max-age=60"));
        assert_ne!(local.certificate(), example.certificate());
        let mut old = Client::with(program.address(), "localhost", &[&TLS12], false);
        old.check(("/", "localhost"), 200, "", Some("local"));
        let lines = || fs::read_to_string(directory.path("access.log")).expect("a log");
        wait_for("the log", || {
            (lines().contains("https localhost TLSv1.3 TLS_AES_128_GCM_SHA256\n")
                && lines().contains("https localhost TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256\n")).then_some(())
        });
        assert_eq!(program.stop().code, Some(0));
    }

    fn requests_without_tls_are_redirected(kind: ServerKind) {
        let directory = make_sites("redirect-http = 0\n");
        let program = start(kind, &directory, &[]);
        let [secure, plain] = program.addresses[..] else { panic!("{}", program.startup_line) };
        let mut client = client::Client::connect(plain);
        let mut fetch = |target: &str, host: &str| {
            client.fetch(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        };
        let redirect = fetch("/a?b", "localhost:80");
        let port = secure.port();
        assert_eq!(redirect.status, 308);
        assert_eq!(redirect.header("Location"), Some(&*format!("https://localhost:{port}/a?b")));
        assert_eq!(fetch("/.well-known/acme-challenge/token", "localhost").text(), "proof");
        assert_eq!(fetch("/.well-known/acme-challenge/none", "localhost").status, 404);
        Client::connect(secure, "localhost").check(("/", "localhost"), 200, "", Some("local"));
        assert_eq!(program.stop().code, Some(0));
        let directory = make_sites("redirect-http = '127.0.0.1:0'\nhttps-port = 443\n");
        let program = start(kind, &directory, &[]);
        let redirect = client::Client::connect(program.addresses[1]).fetch(get("/"));
        assert_eq!(redirect.header("Location"), Some("https://test/"));
    }

    fn a_site_has_the_certificate_of_the_hosts_that_it_redirects(kind: ServerKind) {
        let directory = make_sites("");
        directory.write("httpd.toml",
            "[[site]]\nhosts = 'localhost'\nroot = 'local'\ntls-cert = 'default.pem'\ntls-key = 'default.key'\n\
             [[site]]\nhosts = 'www.example.org'\nroot = 'example'\nredirect-host = 'old.example.org=www.example.org'\n\
             tls-cert = 'wildcard.pem'\ntls-key = 'wildcard.key'\n");
        let program = start(kind, &directory, &[]);
        let mut old = Client::connect(program.address(), "old.example.org");
        old.check(("/a", "old.example.org"), 308, "Location", Some("https://www.example.org/a"));
        old.check(("/", "localhost"), 421, "Location", None);
    }

    fn every_socket_of_bind_has_tls(kind: ServerKind) {
        let directory = make_sites("redirect-http = 0\n");
        let path = directory.path("socket");
        let program = start(kind, &directory, &["-b", &format!("unix:{}", text(&path))]);
        let line = &program.startup_line;
        assert!(line.contains(" at https://127.0.0.1:") && line.contains(" and unix:"), "{line}");
        let stream = UnixStream::connect(&path).expect("a server");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let mut local = Client::over(stream, "localhost", &[&TLS13], false);
        local.check(("/", "localhost"), 200, "", Some("local"));
        Client::connect(program.address(), "localhost").check(("/", "localhost"), 200, "", Some("local"));
        assert_eq!(program.stop().code, Some(0));
    }

    /// The header of the PROXY protocol is not encrypted.
    fn a_trusted_proxy_announces_its_client_before_the_handshake(kind: ServerKind) {
        let directory = make_sites("trusted-proxy = 'loopback'\nproxy-protocol = true\nredirect-http = 0\n");
        let program = start(kind, &directory, &["--log-file", "access.log", "--log-format",
            "$remote_addr $scheme $ssl_protocol $status"]);
        let [secure, plain] = program.addresses[..] else { panic!("{}", program.startup_line) };
        for address in [secure, plain] {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
            stream.write_all(b"PROXY TCP4 192.0.2.9 192.0.2.1 4711 443\r\n").expect("a server");
            if address == plain {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a server");
                let mut response = String::new();
                stream.read_to_string(&mut response).expect("a response");
                assert!(response.starts_with("HTTP/1.1 308 "), "{response}");
            } else {
                let mut client = Client::over(stream, "localhost", &[&TLS13], false);
                client.check(("/", "localhost"), 200, "", Some("local"));
            }
        }
        assert_eq!(program.stop().code, Some(0));
        let log = directory.read("access.log");
        let mut lines: Vec<_> = log.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["192.0.2.9 http - 308", "192.0.2.9 https TLSv1.3 200"]);
    }

    fn a_reload_replaces_certificates(kind: ServerKind) {
        let directory = make_sites("error-log = 'errors'\n");
        let program = start(kind, &directory, &[]);
        let mut open = Client::connect(program.address(), "localhost");
        open.check(("/", "localhost"), 200, "", Some("local"));
        let replace = |from: &str, extension: &str| {
            fs::copy(directory.path(&format!("{from}.{extension}")), directory.path("new")).expect("a copy");
            directory.rename("new", &format!("exact.{extension}"));
        };
        // A key that does not belong to the certificate: the old one stays.
        replace("wildcard", "key");
        program.signal(Signal::HUP);
        wait_for("the error", || {
            let errors = fs::read_to_string(directory.path("errors")).expect("a log");
            errors.contains("exact.key: it does not belong to the first certificate").then_some(())
        });
        let served = || {
            let mut client = Client::connect(program.address(), "www.example.org");
            client.check(("/", "www.example.org"), 200, "", Some("example"));
            client.certificate().clone().into_owned()
        };
        let before = served();
        replace("wildcard", "pem");
        program.signal(Signal::HUP);
        let after = CertificateDer::from_pem_file(pem("wildcard.pem")).expect("a certificate");
        assert_ne!(before, after);
        let mut in_a_row = 0;
        wait_for("the new certificate in all workers", || {
            in_a_row = if served() == after { in_a_row + 1 } else { 0 };
            (in_a_row == 20).then_some(())
        });
        open.check(("/", "localhost"), 200, "", Some("local"));
        assert_eq!(program.stop().code, Some(0));
    }

    fn only_clients_with_a_certificate_are_served(kind: ServerKind) {
        let ca = pem("ca.pem");
        let options = format!("tls-client-ca = '{}'\n", text(&ca));
        for (auth, is_served) in [("tls-client-auth = 'require'\n", false), ("tls-client-auth = 'request'\n", true)] {
            let directory = make_sites(&(options.clone() + auth));
            let program = start(kind, &directory, &[]);
            let mut with = Client::with(program.address(), "localhost", &[&TLS13], true);
            with.check(("/", "localhost"), 200, "", Some("local"));
            let mut without = Client::connect(program.address(), "localhost");
            assert_eq!(without.try_fetch("/", "localhost").is_ok(), is_served, "{auth}");
        }
        let directory = make_sites("tls-min = '1.3'\n");
        let program = start(kind, &directory, &[]);
        let mut old = Client::with(program.address(), "localhost", &[&TLS12], false);
        old.try_fetch("/", "localhost").expect_err("TLS 1.2 is refused");
    }

    fn a_successor_takes_over_both_kinds_of_listeners(kind: ServerKind) {
        let directory = make_sites("redirect-http = 0\n");
        let pid_file = directory.path("pid");
        let program = start(kind, &directory, &["--pid-file", text(&pid_file), "--admin", "0"]);
        let [secure, plain, admin] = program.addresses[..] else { panic!("{}", program.startup_line) };
        let metrics = || client::Client::connect(admin).fetch(get("/metrics")).text().to_owned();
        let name = "tls_certificate_expiry_timestamp_seconds{certificate=\"exact.pem\"} ";
        let text = metrics();
        assert_eq!(text.matches(name).count(), 1, "{text}");
        assert_eq!(upgrade(&pid_file).code, Some(0));
        for _ in 0..8 {
            Client::connect(secure, "localhost").check(("/", "localhost"), 200, "", Some("local"));
            let redirect = client::Client::connect(plain).fetch(get("/"));
            assert_eq!(redirect.header("Location"), Some(&*format!("https://test:{}/", secure.port())));
        }
        let successor = program::read_pid(&pid_file).expect("a PID");
        rustix::process::kill_process(successor, Signal::TERM).expect("a process");
        assert_eq!(program.wait().code, Some(0));
    }
}

/// The certificate is for localhost and 127.0.0.1.
#[test]
fn says_which_host_a_certificate_is_not_for() {
    let directory = make_sites("");
    directory.write(
        "httpd.toml",
        "error-log = 'errors'\n[[site]]\nhosts = ['localhost', '127.0.0.1', '[::1]']\nroot = 'local'\n\
         tls-cert = 'default.pem'\ntls-key = 'default.key'\n",
    );
    let program = start(ServerKind::EventLoop, &directory, &[]);
    let read = || fs::read_to_string(directory.path("errors")).unwrap_or_default();
    wait_for("the message", || read().contains("the certificate ").then_some(()));
    let message = "the certificate default.pem is not for [::1], a host of its site";
    assert!(read().contains(message), "{}", read());
    assert_eq!(program.stop().code, Some(0));
}

#[test]
fn wrong_certificates_are_named_at_the_start() {
    let check = |options: &str, message: &str| {
        let directory = make_sites("");
        directory.write("httpd.toml", options);
        let config = directory.path("httpd.toml");
        let absolute = options.replace("'@", &format!("'{}/", text(directory.root())));
        directory.write("httpd.toml", &absolute);
        let message = message.replace('@', &format!("{}/", text(directory.root())));
        let root = text(directory.root());
        check_failure(&["--check", "-r", root, "--config", text(&config)], 2, &message);
    };
    check(
        "tls-cert = '@exact.pem'\ntls-key = '@wildcard.key'\n",
        "@httpd.toml:1:12: cannot use the private key @wildcard.key: it does not belong to the first certificate of @exact.pem",
    );
    check("tls-cert = '@exact.pem'\n", "--tls-key");
    check(
        "tls-cert = '@none.pem'\ntls-key = '@wildcard.key'\n",
        "@httpd.toml:1:12: cannot read the PEM file @none.pem: no such file or directory",
    );
    check(
        "\ntls-cert = '@httpd.toml'\ntls-key = '@wildcard.key'\n",
        "@httpd.toml:2:12: cannot use the certificate @httpd.toml: it contains no certificate",
    );
    check("redirect-http = 80\n", "redirect-http needs a certificate: tls-cert and tls-key");
    check("tls-client-auth = 'require'\n", "tls-client-auth needs --tls-client-ca");
    check("tls-min = '1.3'\n", "tls-min needs a certificate: tls-cert and tls-key");
    let site = |host: &str| format!("[[site]]\nhosts = '{host}'\nroot = '@local'\n");
    let certificate = "tls-cert = '@exact.pem'\ntls-key = '@exact.key'\n";
    check(
        &format!("{}{certificate}{}", site("a"), site("b")),
        "@httpd.toml:6:1: the site needs tls-cert and tls-key: other sites have them",
    );
}

#[test]
fn the_default_port_is_8443() {
    let (chain, key) = (pem("exact.pem"), pem("exact.key"));
    let options = ["--tls-cert", text(&chain), "--tls-key", text(&key), "--print-config"];
    let printed = program::run(&options).stdout;
    assert!(printed.contains("port = 8443 # default\n"), "{printed}");
}
