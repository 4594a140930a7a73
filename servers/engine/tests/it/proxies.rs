//! Servers behind proxies: the PROXY protocol, and which client the application and the limits see.

use crate::{
    client::{Client, get, request, wait_for},
    server::{InProcessServer, settings},
};
use http_engine::{Engine, Proxies, Request, Response, Settings};
use std::{net::TcpStream, os::unix::net::UnixListener, time::Duration};

/// The address of the proxy. Clients without a proxy are at 127.0.0.1.
const PROXY: &str = "127.0.0.2:0";
const CLIENT: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x08\xc6\x33\x64\x01\x12\x67\0\x50\x04\0\0";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn proxied(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = settings();
    let networks = vec!["127.0.0.2".parse().expect("an address")];
    settings.protocol.proxies = Proxies { networks, proxy_protocol: true, ..Proxies::default() };
    change(&mut settings);
    settings
}

/// Starts a server that responds with the client's address; for the path `/upgrade`, after a 101.
fn start(engine: Engine, settings: Settings) -> InProcessServer {
    InProcessServer::start(engine, settings, |request: &Request<'_>| match request.path() {
        "/upgrade" => Response::switching_protocols("test").on_upgrade(|upgraded| {
            let _ = std::io::Write::write_all(&mut &upgraded, client(upgraded.client_addr()).as_bytes());
        }),
        _ => Response::text(client(request.client_addr())),
    })
}

fn client(address: Option<std::net::SocketAddr>) -> String {
    address.map_or("none".to_owned(), |address| address.ip().to_string())
}

/// Connects from the address of the proxy, and sends this in pieces of `size` bytes.
fn connect(server: &InProcessServer, bytes: &[u8], size: usize) -> Client {
    let mut client = Client::connect_from(PROXY, server.address);
    bytes.chunks(size).for_each(|piece| client.send(piece));
    client
}

http_testing::both_engines! {
    fn the_client_is_the_one_that_a_proxy_announces(engine: Engine) {
        let server = start(engine, proxied(|_| ()));
        for (header, expected) in
            [(CLIENT.as_bytes(), "192.0.2.7"), (V2, "192.0.2.8"), (V2_LOCAL, "127.0.0.2"), (b"PROXY UNKNOWN\r\n", "127.0.0.2")]
        {
            for size in [1, 20, 1000] {
                let mut client = connect(&server, &[header, get("/").as_bytes()].concat(), size);
                assert_eq!(client.response().text(), expected);
                assert_eq!(client.fetch(get("/again")).text(), expected);
                client.finish();
            }
        }
        let offer = "Connection: upgrade\r\nUpgrade: test\r\n";
        let client = connect(&server, (CLIENT.to_owned() + &request("GET", "/upgrade", offer)).as_bytes(), 1000);
        client.await_bytes("192.0.2.7");
        client.reset();
    }

    fn only_a_trusted_peer_may_and_must_begin_with_a_header(engine: Engine) {
        let server = start(engine, proxied(|_| ()));
        let refused = |mut client: Client| {
            let response = client.response();
            assert_eq!((response.status, response.keeps_alive), (400, false));
            client.finish();
        };
        refused(connect(&server, get("/").as_bytes(), 1000));
        refused(connect(&server, b"PROXY TCP4 192.0.2.7\r\n", 1000));
        refused(connect(&server, &[CLIENT.as_bytes(), V2].concat(), 1000));
        for header in [CLIENT.as_bytes(), V2, V2_LOCAL] {
            refused(Client::connect_and_send(server.address, [header, get("/").as_bytes()].concat()));
        }
        let mut direct = server.connect();
        assert_eq!(direct.fetch(request("GET", "/", "X-Forwarded-For: 192.0.2.7\r\n")).text(), "127.0.0.1");
        direct.finish();
    }

    /// Each announced client has the limit, and the proxy has none.
    fn the_limit_per_address_is_that_of_the_announced_client(engine: Engine) {
        let server = start(engine, proxied(|settings| settings.max_connections_per_address = Some(2)));
        let _waiting = [(); 5].map(|()| connect(&server, b"", 1000));
        let open = |address: &str| {
            let header = CLIENT.replace("192.0.2.7", address);
            let mut client = connect(&server, (header + &get("/")).as_bytes(), 1000);
            let response = client.response();
            (client, response.status)
        };
        let mut clients: Vec<_> = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.3"].map(open).into();
        assert!(clients.iter().all(|(_, status)| *status == 200));
        let (refused, status) = open("192.0.2.1");
        assert_eq!(status, 503);
        refused.finish();
        let count = || server.running().metrics().iter().map(|worker| worker.refused_connections).sum::<u64>();
        assert_eq!(count(), 1);
        clients.swap_remove(0).0.finish();
        wait_for("room for the client", || {
            let (client, status) = open("192.0.2.1");
            client.finish();
            (status == 200).then_some(())
        });
    }

    fn a_proxy_that_sends_no_header_is_disconnected(engine: Engine) {
        let server = start(engine, proxied(|settings| {
            settings.protocol.timeouts.head = Duration::from_millis(300);
            settings.protocol.timeouts.idle = Duration::from_secs(3600);
        }));
        for begun in ["", "PROXY TCP4 "] {
            connect(&server, begun.as_bytes(), 1000).expect_eof();
        }
        // The idle timeout applies after the header.
        let mut kept = connect(&server, CLIENT.as_bytes(), 1000);
        connect(&server, b"", 1000).expect_eof();
        assert_eq!(kept.fetch(get("/")).text(), "192.0.2.7");
    }

    /// The header and a request may be on their way.
    fn a_stopping_server_waits_for_the_header(engine: Engine) {
        let long = Duration::from_secs(3600);
        let server = start(engine, proxied(|settings| settings.protocol.timeouts.idle_grace = long));
        let mut client = connect(&server, b"", 1000);
        wait_for("an accepted connection", || {
            server.running().metrics().iter().any(|worker| worker.open_connections > 0).then_some(())
        });
        server.running().stopper().stop(long);
        wait_for("a refused connection", || TcpStream::connect(server.address).err());
        client.send(CLIENT);
        let response = client.fetch(get("/"));
        assert_eq!((&*response.text(), response.keeps_alive), ("192.0.2.7", false));
        client.expect_eof();
        server.running().wait().expect("no connection is left");
    }

    fn a_peer_of_a_unix_socket_can_be_a_proxy(engine: Engine) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        for (unix, expected) in [(true, "192.0.2.7"), (false, "none")] {
            let listener = UnixListener::bind(path.with_extension(expected)).expect("a socket");
            let mut settings = settings();
            settings.protocol.proxies.unix = unix;
            let server = http_engine::Server::listen(listener).expect("a listener").engine(engine).settings(settings);
            let running = server.serve(|request| client(request.client_addr())).expect("a server");
            let mut stream = std::os::unix::net::UnixStream::connect(path.with_extension(expected)).expect("a connection");
            let headers = "Connection: close\r\nX-Forwarded-For: 192.0.2.7\r\n";
            std::io::Write::write_all(&mut stream, request("GET", "/", headers).as_bytes()).expect("a server that reads");
            let response = std::io::read_to_string(stream).expect("a response");
            assert!(response.ends_with(&format!("\r\n\r\n{expected}")), "{response}");
            running.stop(Duration::ZERO);
        }
    }
}
