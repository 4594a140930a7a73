//! Tests of the load driver with TLS, against a server of rustls.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use http_test_suite::request::get;
use load_test::load::{self, Exchange, Fault, Load, Until};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::{listen, read_head};

/// The length of a body that takes several records, and fills the receive buffer of the driver several times.
const LEN: usize = 300_000;

/// What the server does after each response.
#[derive(Clone, Copy)]
enum After {
    /// It waits for the next request.
    Wait,
    /// It ends the TLS stream (close_notify), and closes the connection.
    End,
    /// It closes the connection.
    Close,
}

/// Starts a server whose responses have this head and [`LEN`] bytes.
fn serve(head: &'static str, after: After) -> SocketAddr {
    let file = |name: &str| format!("{}/src/subject/{name}", env!("CARGO_MANIFEST_DIR"));
    let certificate = CertificateDer::from_pem_file(file("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("certificate.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate], key).unwrap());
    let response = [head.as_bytes(), &[b'x'; LEN]].concat();
    listen(move |tcp| {
        let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = Stream::new(&mut session, tcp);
        while read_head(&mut stream).is_some() && stream.write_all(&response).is_ok() {
            match after {
                After::Wait => continue,
                After::End => stream.conn.send_close_notify(),
                After::Close => {}
            }
            return stream.flush().unwrap_or_default();
        }
    })
}

/// Sends 20 requests, and compares the counts of right responses and of errors.
fn check(server: SocketAddr, keep_alive: bool, requests: u64, errors: &[(Fault, u64)]) {
    let exchange = Exchange::new(get("/")).expect_body([b'x'; LEN]);
    let load = Load {
        connections: 3,
        keep_alive,
        tls: Some("localhost".to_owned()),
        until: Until::Requests(20),
        ..Load::new(server, exchange)
    };
    let stats = load::run(&load, &|_| {}).unwrap();
    assert_eq!((stats.requests, stats.errors), (requests, errors.iter().copied().collect()));
}

#[test]
fn counts_requests_over_tls() {
    check(serve("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", After::Wait), true, 20, &[]);
    let with_length = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n";
    let until_end = "HTTP/1.1 200 OK\r\n\r\n";
    for keep_alive in [true, false] {
        check(serve(with_length, After::End), keep_alive, 20, &[]);
        check(serve(with_length, After::Close), keep_alive, 20, &[]);
        check(serve(until_end, After::End), keep_alive, 20, &[]);
        // Without the end of the TLS stream, the end of a body could be missing (RFC 9112 §9.8).
        check(serve(until_end, After::Close), keep_alive, 0, &[(Fault::Reset, 20)]);
    }
}

#[test]
fn a_server_without_tls_is_a_fault() {
    let server = listen(|tcp| {
        let mut hello = [0; 5];
        if tcp.read_exact(&mut hello).is_ok() {
            tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_or_default();
        }
    });
    check(server, true, 0, &[(Fault::Connect, 20)]);
    let server = listen(|_| {});
    check(server, true, 0, &[(Fault::Connect, 20)]);
}

#[test]
fn requests_https_urls() {
    let server = serve("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", After::Wait);
    let url = format!("https://localhost:{}/", server.port());
    let output =
        Command::new(env!("CARGO_BIN_EXE_load-test")).args(["-c", "2", "-n", "10", &url]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("10 responses in ") && text.starts_with(&url), "{text}");
}
