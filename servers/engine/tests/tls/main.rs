//! TLS, tested from outside with a client that shares only rustls with the server. What HTTP does is tested elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

mod client;
mod settings;

use client::{Client, Options, Records, certificate, connect, pem};
use http_engine::{
    Admit, Body, Engine, FileSlice, Handler, Reply, Request, Response, Server, Settings, Status, Timeouts,
    Upgraded,
    tls::{Certificate, ClientCertificates, Tls, TlsSettings},
};
use http_testing::{
    client::{TIMEOUT, wait_for},
    server::{InProcessServer, settings},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{
    ClientConnection, ContentType, SupportedProtocolVersion,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{
        fs::FileExt,
        net::{UnixListener, UnixStream},
    },
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

const SHORT: Duration = Duration::from_millis(300);
const EACH_VERSION: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];
/// The length of the file at `/file`.
const FILE: usize = 32 << 20;

fn load(name: &str) -> Certificate {
    Certificate::load(pem(&format!("{name}.pem")), pem(&format!("{name}.key"))).expect("a certificate")
}

fn tls(settings: TlsSettings) -> Tls {
    Tls::new(settings).expect("a supported processor")
}

fn default_tls() -> Tls {
    tls(TlsSettings::new(load("default")))
}

/// The application. It tells the test of what an upgraded connection or an upload has read.
struct TlsApp {
    file: Arc<File>,
    read: Mutex<Sender<io::Result<usize>>>,
}

impl TlsApp {
    fn new() -> (TlsApp, Receiver<io::Result<usize>>) {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(FILE as u64).expect("a file");
        for at in (0..FILE as u64).step_by(4096) {
            file.write_all_at(&at.to_ne_bytes(), at).expect("room on the disk");
        }
        let (sender, read) = channel();
        (TlsApp { file: Arc::new(file), read: Mutex::new(sender) }, read)
    }
}

/// Sends back what arrives, from another thread than the one that reads. Returns the number of bytes.
fn echo(mut upgraded: Upgraded) -> io::Result<usize> {
    let mut writer = upgraded.try_clone()?;
    let (sender, pieces) = channel::<Vec<u8>>();
    let writes = thread::spawn(move || pieces.into_iter().try_for_each(|piece| writer.write_all(&piece)));
    let mut total = 0;
    loop {
        let mut piece = vec![0; 100_000];
        let count = upgraded.read(&mut piece)?;
        if count == 0 {
            break;
        }
        piece.truncate(count);
        total += count;
        let _ = sender.send(piece);
    }
    drop(sender);
    writes.join().expect("no panic").map(|()| total)
}

impl Handler for TlsApp {
    fn admit(&self, head: &Request<'_>) -> Admit {
        if head.path() == "/upload" { Admit::AtHead } else { Admit::Buffer }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        let read = self.read.lock().expect("no panic").clone();
        match request.path() {
            "/secure" => Response::text(request.is_secure().to_string()).into(),
            "/session" => {
                let owned = request.to_owned();
                Reply::offload(move || Response::text(format!("{:?}", owned.as_request().tls())))
            }
            "/certificate" => {
                let certificate = request.tls().and_then(|tls| tls.client_certificate.clone());
                Response::bytes(certificate.unwrap_or_default()).into()
            }
            "/file" => {
                let slice = FileSlice { file: Arc::clone(&self.file), offset: 0, len: FILE as u64 };
                Response::bytes(Body::File(slice)).into()
            }
            "/large" => Response::bytes(vec![b'x'; 1_000_000]).into(),
            "/stream" => {
                Response::bytes(Body::reader(io::repeat(b's').take(1_000_000), Some(1_000_000))).into()
            }
            "/failing" => {
                let failing = io::repeat(b's').take(10).chain(Failing);
                Response::bytes(Body::reader(failing, None)).with_header("Connection", "close").into()
            }
            "/upload" => Reply::Read(Box::new(move |mut content| {
                let count = io::copy(&mut content, &mut io::sink()).map(|count| count as usize);
                let text = format!("{count:?}");
                let _ = read.send(count);
                Response::text(text)
            })),
            "/upgrade" => Response::switching_protocols("test")
                .on_upgrade(move |upgraded| drop(read.send(echo(upgraded))))
                .into(),
            "/slow" => Reply::after(SHORT, || Response::text("slow")),
            path => Response::text(format!("{path} {}", request.body().len())).into(),
        }
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("a failure of the test"))
    }
}

/// Starts a server with these settings. Returns also what its application reads.
fn start_with(
    engine: Engine,
    tls: &Tls,
    settings: Settings,
) -> (InProcessServer, Receiver<io::Result<usize>>) {
    let (app, read) = TlsApp::new();
    let server = Server::bind("127.0.0.1:0").expect("a free port").tls(tls).settings(settings);
    (InProcessServer::run(engine, server, app), read)
}

fn start(engine: Engine, tls: &Tls) -> InProcessServer {
    start_with(engine, tls, settings()).0
}

/// Sends an upgrade, and reads the 101.
fn upgrade(server: &InProcessServer) -> Client {
    let mut client = Client::connect(server);
    client.send("GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n");
    assert!(client.head().expect("a head").starts_with("HTTP/1.1 101 "));
    client
}

http_testing::both_engines! {
    fn a_shutdown_waits_for_the_first_request_after_a_handshake(engine: Engine) {
        let mut settings = settings();
        settings.protocol.timeouts.idle_grace = Duration::from_millis(1);
        let (server, _) = start_with(engine, &default_tls(), settings);
        let mut served = Client::connect(&server);
        assert_eq!(served.text("/secure"), "true");
        let mut new = Client::connect(&server);
        // The first message of the handshake.
        new.tls.conn.write_tls(&mut new.tls.sock).expect("the server receives");
        wait_for("the connection", || (server.running().metrics().iter().map(|worker| worker.open_connections).sum::<u64>() == 2).then_some(()));
        server.running().stopper().stop(Duration::from_secs(20));
        assert_eq!(served.end().expect("an announced end"), b"");
        assert_eq!(new.text("/secure"), "true");
        assert_eq!(new.end().expect("an announced end"), b"");
        server.running().wait().expect("no failure");
    }

    fn refuses_tls_1_2_if_told_to(engine: Engine) {
        let server = start(engine, &tls(TlsSettings::new(load("default")).only_tls_1_3()));
        let client = |versions| Client::with(&server, &Options { versions, ..Options::default() });
        assert_eq!(client(EACH_VERSION[1]).text("/secure"), "true");
        let error = client(EACH_VERSION[0]).rejection();
        assert!(error.contains("ProtocolVersion"), "{error}");
    }

    fn a_request_tells_what_was_negotiated(engine: Engine) {
        let server = start(engine, &default_tls());
        for (versions, name, expected) in [
            (EACH_VERSION[0], "localhost", "TLSv1.2\", cipher: \"ECDHE-ECDSA-AES128-GCM-SHA256\", server_name: Some(\"localhost\")"),
            (EACH_VERSION[1], "LocalHost", "TLSv1.3\", cipher: \"TLS_AES_128_GCM_SHA256\", server_name: Some(\"localhost\")"),
            (EACH_VERSION[1], "127.0.0.1", "TLSv1.3\", cipher: \"TLS_AES_128_GCM_SHA256\", server_name: None"),
        ] {
            let options = Options { name, versions, ..Options::default() };
            let config = options.config();
            for is_resumed in [false, true] {
                let mut client = Client::new(&server, name, &config);
                assert_eq!(client.text("/session"), format!("Some(TlsInfo {{ protocol: \"{expected}, client_certificate: None }})"));
                assert_eq!(client.is_resumed(), is_resumed);
            }
        }
    }

    fn serves_with_both_versions_of_tls(engine: Engine) {
        let server = start(engine, &default_tls());
        for versions in EACH_VERSION {
            let mut client = Client::with(&server, &Options { versions, ..Options::default() });
            assert_eq!(client.text("/secure"), "true");
            assert_eq!(client.version(), Some(versions[0].version));
            assert_eq!(client.tls.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
            (0..100).for_each(|_| assert_eq!(client.response().body, b"/1 0"));
            client.send("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n".to_owned() + &"x".repeat(100_000));
            assert_eq!(client.response().body, b"/2 100000");
            for path in ["/large", "/stream"] {
                assert_eq!(client.get(path).body.len(), 1_000_000, "{path}");
            }
            client.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert_eq!(client.response().body, b"/last 0");
            // Fails without a close_notify.
            assert_eq!(client.end().expect("an announced end"), b"");
        }
    }

    /// RFC 9110 §7.4.
    fn an_absolute_target_must_be_an_https_uri(engine: Engine) {
        let (app, _read) = TlsApp::new();
        let plain = InProcessServer::start(engine, settings(), app);
        assert_eq!(plain.connect().fetch("GET /secure HTTP/1.1\r\nHost: a\r\n\r\n").text(), "false");
        assert_eq!(plain.connect().fetch("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n").status, 421);
        let server = start(engine, &default_tls());
        let mut client = Client::connect(&server);
        assert_eq!(client.text("https://localhost/x"), "/x 0");
        assert_eq!(client.get("http://localhost/x").status, Status::MISDIRECTED_REQUEST.code());
    }

    fn a_handshake_may_come_byte_by_byte(engine: Engine) {
        let server = start(engine, &default_tls());
        for versions in EACH_VERSION {
            for step in [1, 7, 1000] {
                let mut client = Client::with(&server, &Options { versions, ..Options::default() });
                client.tls.sock.step = step;
                assert_eq!(client.text("/a"), "/a 0", "{step}");
                assert_eq!(client.text("/b"), "/b 0", "{step}");
            }
        }
    }

    fn sessions_are_resumed_on_every_worker_and_with_a_new_certificate(engine: Engine) {
        let tls = default_tls();
        let server = start(engine, &tls);
        for versions in EACH_VERSION {
            let config = Options { versions, ..Options::default() }.config();
            for number in 0..10 {
                let mut client = Client::new(&server, "localhost", &config);
                assert_eq!(client.text("/a"), "/a 0");
                assert_eq!(client.is_resumed(), number > 0, "{versions:?} {number}");
                if number == 5 {
                    tls.replace(TlsSettings::new(load("default"))).expect("settings");
                }
            }
        }
        tls.replace(TlsSettings::new(load("default")).client_certificates(
            ClientCertificates::requested(pem("ca.pem")).expect("an authority")
        )).expect("settings");
        let config = Options::default().config();
        assert!(!{ let mut client = Client::new(&server, "localhost", &config); client.get("/"); client.is_resumed() });
    }

    fn each_name_has_its_certificate(engine: Engine) {
        let settings = TlsSettings::new(load("default")).certificate(&load("exact")).certificate(&load("wildcard"));
        let server = start(engine, &tls(settings));
        for (name, file) in [
            ("localhost", "default"),
            ("127.0.0.1", "default"),
            ("www.example.org", "exact"),
            ("WWW.example.ORG", "exact"),
            ("other.example.org", "wildcard"),
        ] {
            let mut client = Client::with(&server, &Options { name, ..Options::default() });
            client.get("/");
            assert_eq!(client.server_certificate(), certificate(&format!("{file}.pem")), "{name}");
        }
        // Clients reject these. The error has the name in the certificate.
        for (name, expected) in [("example.org", "\"localhost\""), ("a.b.example.org", "\"*.example.org\"")] {
            let error = Client::with(&server, &Options { name, ..Options::default() }).rejection();
            assert!(error.contains("not valid for name") && error.contains(expected), "{name}: {error}");
        }
    }

    fn a_new_certificate_leaves_open_connections_alone(engine: Engine) {
        let tls = default_tls();
        let server = start(engine, &tls);
        let mut old = Client::connect(&server);
        old.get("/");
        tls.replace(TlsSettings::new(load("exact"))).expect("settings");
        assert_eq!(old.text("/still"), "/still 0");
        let mut new = Client::with(&server, &Options { name: "www.example.org", ..Options::default() });
        assert_eq!(new.text("/new"), "/new 0");
        assert_eq!(new.server_certificate(), certificate("exact.pem"));
    }

    fn clients_may_need_a_certificate(engine: Engine) {
        let authorities = |name| ClientCertificates::required(pem(name)).expect("an authority");
        let settings = || TlsSettings::new(load("default"));
        let tls = tls(settings().client_certificates(authorities("ca.pem")));
        let server = start(engine, &tls);
        let with = Options { identity: true, ..Options::default() };
        assert_eq!(Client::with(&server, &with).text("/a"), "/a 0");
        let error = Client::connect(&server).rejection();
        assert!(error.contains("CertificateRequired"), "{error}");
        tls.replace(settings().client_certificates(authorities("other-ca.pem"))).expect("settings");
        let error = Client::with(&server, &with).rejection();
        assert!(error.contains("received fatal alert"), "{error}");
        let requested = ClientCertificates::requested(pem("ca.pem")).expect("an authority");
        tls.replace(settings().client_certificates(requested)).expect("settings");
        for versions in EACH_VERSION {
            let config = Options { identity: true, versions, ..Options::default() }.config();
            for is_resumed in [false, true] {
                let mut client = Client::new(&server, "localhost", &config);
                assert_eq!(client.get("/certificate").body, *certificate("client.pem"));
                assert_eq!(client.is_resumed(), is_resumed);
            }
        }
        assert_eq!(Client::connect(&server).get("/certificate").body, b"");
    }

    fn what_is_not_tls_is_rejected(engine: Engine) {
        let server = start(engine, &default_tls());
        let check = |sent: &[u8], expected: &[u8]| {
            let mut stream = connect(&server);
            stream.write_all(sent).expect("a connection");
            let mut received = Vec::new();
            // The rest of what was sent may reset the connection.
            let _ = stream.read_to_end(&mut received);
            assert!(received.starts_with(expected), "{}: {}", sent.escape_ascii(), received.escape_ascii());
        };
        check(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n");
        // Alerts: decode error.
        check(b"garbage, which is not TLS either", b"\x15\x03\x03\x00\x02\x02\x32");
        check(&[0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0], b"\x15\x03\x03\x00\x02\x02\x32");
        let error = Client::with(&server, &Options { alpn: &["h2"], ..Options::default() }).rejection();
        assert!(error.contains("NoApplicationProtocol"), "{error}");
        assert_eq!(Client::connect(&server).text("/a"), "/a 0");
    }

    /// Of clients that differ in the version only, that with TLS 1.2 is answered. The others get the alert
    /// protocol_version.
    fn versions_before_1_2_are_rejected(engine: Engine) {
        let server = start(engine, &default_tls());
        // One suite, no compression; signature algorithms, a group and the format of its points.
        let offer = b"\0\0\x02\xc0\x2b\x01\0\0\x18\0\x0d\0\x06\0\x04\x04\x03\x08\x04\0\x0a\0\x04\0\x02\0\x17\0\x0b\0\x02\x01\0";
        let alert = &b"\x15\x03\x03\x00\x02\x02\x46"[..];
        for (minor, expected) in [(0, alert), (1, alert), (2, alert), (3, b"\x16\x03\x03")] {
            let hello = [&[3, minor][..], &[7; 32], offer].concat();
            let len = hello.len() as u8;
            let record = [&[22, 3, 1, 0, len + 4, 1, 0, 0, len][..], &hello].concat();
            let mut stream = connect(&server);
            stream.write_all(&record).expect("a connection");
            let mut received = vec![0; expected.len()];
            stream.read_exact(&mut received).expect("a response");
            assert_eq!(received, expected, "version 3.{minor}: {}", received.escape_ascii());
        }
    }

    /// A client that begins a handshake, and goes on slowly or not at all.
    fn a_handshake_has_the_deadline_of_a_head(engine: Engine) {
        let mut with = settings();
        with.protocol.timeouts = Timeouts { head: SHORT, ..Timeouts::default() };
        let (server, _read) = start_with(engine, &default_tls(), with);
        let [mut silent, mut partial, mut dripping] = [(); 3].map(|()| connect(&server));
        partial.write_all(b"\x16\x03\x01\x02\x00\x01").expect("a connection");
        dripping.write_all(b"\x16\x03\x01\x20\x00\x01\x00\x10\x00").expect("a connection");
        wait_for("the end of a slow handshake", || dripping.write_all(b"x").is_err().then_some(()));
        for stream in [&mut silent, &mut partial] {
            assert_eq!(stream.read(&mut [0]).expect("an end"), 0);
        }
    }

    /// The client reads nothing of a handshake that the socket does not hold.
    fn a_handshake_that_is_not_read_has_the_deadline_of_a_head(engine: Engine) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let (chain, key) = (fs::read(pem("default.pem")).expect("a file"), fs::read(pem("default.key")).expect("a file"));
        let long = Certificate::from_pem(&chain.repeat(400), &key).expect("a certificate");
        let mut with = settings();
        with.protocol.timeouts = Timeouts { head: SHORT, ..Timeouts::default() };
        let unix = UnixListener::bind(&path).expect("a socket");
        let server = Server::bind("127.0.0.1:0").and_then(|server| server.and_listen(unix)).expect("listeners");
        let server = server.tls(&tls(TlsSettings::new(long))).settings(with);
        let _server = InProcessServer::run(engine, server, TlsApp::new().0);
        let mut stream = UnixStream::connect(&path).expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = ClientConnection::new(Options::default().config(), name).expect("a client");
        client.write_tls(&mut stream).expect("room");
        let timeout = Timespec::try_from(TIMEOUT).expect("a time");
        let end = poll(&mut [PollFd::new(&stream, PollFlags::empty())], Some(&timeout));
        assert_eq!(end, Ok(1), "the server closes the connection");
    }

    /// They are idle, so that the oldest is closed for a new one.
    fn unfinished_handshakes_keep_no_client_out(engine: Engine) {
        let with = Settings { max_connections: Some(8), ..settings() };
        let (server, _read) = start_with(engine, &default_tls(), with);
        let _unfinished = [(); 50].map(|()| {
            let mut stream = connect(&server);
            stream.write_all(b"\x16\x03\x01\x02\x00\x01").expect("a connection");
            stream
        });
        assert_eq!(Client::connect(&server).text("/a"), "/a 0");
    }

    fn a_handshake_that_is_too_large_is_rejected(engine: Engine) {
        let mut with = settings();
        with.protocol.timeouts.head = Duration::from_secs(3600);
        let (server, _read) = start_with(engine, &default_tls(), with);
        let mut stream = connect(&server);
        // A ClientHello of 64 KiB, in records of 16 KiB.
        let mut record = vec![0; 5 + 16 * 1024];
        record[..5].copy_from_slice(b"\x16\x03\x01\x40\x00");
        let mut first = record.clone();
        first[5..9].copy_from_slice(b"\x01\x00\xff\xff");
        let sent = stream.write_all(&first).and_then(|()| stream.write_all(&record)).and_then(|()| stream.write_all(&record));
        let ended = sent.and_then(|()| stream.read_to_end(&mut Vec::new()));
        let is_timeout = ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!(!is_timeout && ended.unwrap_or_default() < 100);
        assert_eq!(Client::connect(&server).text("/a"), "/a 0");
    }

    /// rustls waits for the end of the message, which contains at most 64 KiB. Its records may contain a byte each.
    fn a_message_after_the_handshake_that_is_too_large_is_rejected(engine: Engine) {
        let (server, read) = start_with(engine, &default_tls(), settings());
        for upgraded in [false, true] {
            let mut client = if upgraded { upgrade(&server) } else { Client::connect(&server) };
            if !upgraded {
                client.get("/");
            }
            let mut client = Records::new(client);
            let mut sent = client.send(ContentType::Handshake, b"\x18\x00\xff\xff");
            for _ in 0..10_000 {
                sent = sent.and_then(|()| client.send(ContentType::Handshake, b"x"));
            }
            let ended = sent.and_then(|()| client.stream.read_to_end(&mut Vec::new()));
            let is_timeout = ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            assert!(!is_timeout && ended.unwrap_or_default() < 1_000, "{upgraded}");
            assert!(!upgraded || read.recv().expect("an end").is_err());
        }
    }

    fn large_files_arrive_whole(engine: Engine) {
        let server = start(engine, &default_tls());
        let body = Client::connect(&server).get("/file").body;
        assert_eq!(body.len(), FILE);
        for at in (0..FILE).step_by(4096) {
            assert_eq!(body[at..at + 8], at.to_ne_bytes(), "{at}");
        }
    }

    fn an_upload_is_streamed_and_must_be_complete(engine: Engine) {
        let (server, read) = start_with(engine, &default_tls(), settings());
        let mut client = Client::connect(&server);
        let head = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n";
        client.send(head);
        (0..3).for_each(|_| client.send(vec![b'x'; 1_000_000]));
        assert_eq!(client.response().body, b"Ok(3000000)");
        assert_eq!(read.recv().expect("an upload").expect("complete"), 3_000_000);
        for announced in [false, true] {
            let mut client = Client::connect(&server);
            client.send(head);
            client.send(vec![b'x'; 2_999_999]);
            if announced { client.close_notify() } else { client.truncate() }
            assert!(read.recv().expect("an upload").is_err());
        }
    }

    /// A client that announces its end still gets its response.
    fn a_client_may_close_its_side(engine: Engine) {
        let server = start(engine, &default_tls());
        let mut client = Client::connect(&server);
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        client.close_notify();
        client.truncate();
        assert_eq!(client.response().body, b"slow");
        assert_eq!(client.response().body.len(), 1_000_000);
        assert_eq!(client.end().expect("an announced end"), b"");
    }

    /// Its end is not announced: it would seem complete.
    fn a_response_that_fails_is_truncated(engine: Engine) {
        let server = start(engine, &default_tls());
        let mut client = Client::connect(&server);
        client.send("GET /failing HTTP/1.0\r\n\r\n");
        let error = client.end().expect_err("no announced end");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    fn an_upgraded_connection_is_read_and_written_by_several_threads(engine: Engine) {
        let (server, read) = start_with(engine, &default_tls(), settings());
        let mut client = upgrade(&server);
        for size in [1, 100, 100_000, 1_000_000] {
            let data: Vec<u8> = (0..size).map(|number| (number % 251) as u8).collect();
            let (conn, stream) = (&mut client.tls, &data);
            let mut echoed = vec![0; size];
            // Each piece fits into the buffers of the sockets.
            for (piece, echo) in stream.chunks(50_000).zip(echoed.chunks_mut(50_000)) {
                conn.write_all(piece).expect("the server receives");
                conn.read_exact(echo).expect("the server sends");
            }
            assert!(echoed == data, "{size}");
        }
        client.close_notify();
        assert_eq!(client.end().expect("an announced end"), b"");
        assert_eq!(read.recv().expect("an end").expect("an announced end"), 1_100_101);
        let mut client = upgrade(&server);
        client.truncate();
        let error = read.recv().expect("an end").expect_err("no announced end");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    fn a_shutdown_finishes_requests_and_announces_the_end(engine: Engine) {
        let server = start(engine, &default_tls());
        let mut idle = Client::connect(&server);
        idle.get("/");
        let mut busy = Client::connect(&server);
        busy.get("/");
        busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut other = Client::connect(&server);
        other.get("/");
        server.running().stopper().stop(Duration::from_secs(20));
        assert_eq!(busy.response().body, b"slow");
        for client in [&mut busy, &mut idle, &mut other] {
            assert_eq!(client.end().expect("an announced end"), b"");
        }
    }
}
