//! httpd behind proxies: rules, limits, logs and redirects apply to the client that a trusted proxy names.

use crate::{
    client::{Client, Response, get, request},
    handoff::Generations,
    program::{self, HTTPD, check_failure, text},
    site::Directory,
};
use std::{fs, net::SocketAddr, os::unix::fs::symlink};

/// The address of the proxy, and the options that trust it.
const PROXY: &str = "127.0.0.2:0";
const TRUSTED: [&str; 2] = ["--trusted-proxy", "127.0.0.2"];

/// Sends a GET request for `/` with these header lines from the address of the proxy.
fn fetch(address: SocketAddr, headers: &str) -> Response {
    Client::connect_from(PROXY, address).fetch(request("GET", "/notes.txt", headers))
}

fn forwarded(client: &str) -> String {
    format!("X-Forwarded-For: 203.0.113.1, {client}, 127.0.0.2\r\n")
}

two_kinds! {
    fn rules_apply_to_the_client(kind: ServerKind) {
        let program = program::serve(kind, &[&TRUSTED[..], &["--deny", "192.0.2.0/24", "--deny", "127.0.0.2"]].concat());
        let status = |headers: &str| fetch(program.address(), headers).status;
        assert_eq!(status(&forwarded("192.0.2.1")), 403);
        assert_eq!(status(&forwarded("198.51.100.1")), 200);
        assert_eq!(status("X-Forwarded-For: unknown\r\n"), 403);
        assert_eq!(status("Forwarded: for=198.51.100.1\r\n"), 403);
        // This peer is no proxy.
        let mut direct = Client::connect(program.address());
        assert_eq!(direct.fetch(request("GET", "/notes.txt", &forwarded("192.0.2.1"))).status, 200);
    }

    /// One connection of the proxy carries the requests of many clients.
    fn each_client_has_its_rate(kind: ServerKind) {
        let program = program::serve(kind, &[&TRUSTED[..], &["--rate", "1/h", "--max-connections-per-ip", "1"]].concat());
        let mut client = Client::connect_from(PROXY, program.address());
        let mut status = |of: &str| client.fetch(request("GET", "/notes.txt", &forwarded(of))).status;
        assert_eq!(["192.0.2.1", "192.0.2.2", "192.0.2.1"].map(&mut status), [200, 200, 429]);
    }

    fn logs_and_redirects_name_what_the_client_has_used(kind: ServerKind) {
        let directory = Directory::new();
        let log = directory.path("access.log");
        let options = [
            "--forwarded-header", "forwarded", "--redirect-host", "www.example.org=example.org",
            "--log-format", "$remote_addr:$remote_port $scheme://$host$request_uri $status", "--log-file", text(&log),
        ];
        let program = program::serve(kind, &[&TRUSTED[..], &options].concat());
        let element = "Forwarded: for=9.9.9.9;host=forged, for=\"192.0.2.1:4711\";proto=https;host=www.example.org\r\n";
        let response = fetch(program.address(), element);
        assert_eq!((response.status, response.header("Location")), (308, Some("//example.org/notes.txt")));
        assert_eq!(fetch(program.address(), "X-Forwarded-For: 192.0.2.1\r\n").status, 200);
        program.stop_cleanly();
        let mut lines: Vec<_> = fs::read_to_string(log).expect("a log").lines().map(str::to_owned).collect();
        // Two processes may have written them.
        lines.sort_unstable();
        lines[0] = lines[0].split_once(' ').expect("an address").1.to_owned();
        assert_eq!(lines, ["http://test/notes.txt 200", "192.0.2.1:4711 https://www.example.org/notes.txt 308"]);
    }

    fn takes_the_client_from_the_proxy_protocol(kind: ServerKind) {
        let options = ["--trusted-proxy", "loopback", "--proxy-protocol", "--deny", "192.0.2.1", "--max-connections-per-ip", "1"];
        let program = program::serve(kind, &options);
        let connect = |header: &str| Client::connect_and_send(program.address(), header.to_owned() + &get("/notes.txt"));
        let header = |client: &str| format!("PROXY TCP4 {client} 198.51.100.1 4711 80\r\n");
        for (header, status) in [(header("192.0.2.1"), 403), (header("192.0.2.2"), 200), (String::new(), 400)] {
            let mut client = connect(&header);
            assert_eq!(client.response().status, status, "{header}");
            client.finish();
        }
    }

    /// The successor, and with processes a new worker, trust the same proxies.
    fn an_upgrade_keeps_the_proxies(kind: ServerKind) {
        let options = [&TRUSTED[..], &["--proxy-protocol", "--deny", "192.0.2.1"]].concat();
        let generations = Generations::start(kind, |path| symlink(HTTPD, path).expect("a link"), &options);
        let check = || {
            for (client, status) in [("192.0.2.1", 403), ("192.0.2.2", 200)] {
                let mut proxy = Client::connect_from(PROXY, generations.first().address());
                proxy.send(format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n") + &get("/notes.txt"));
                assert_eq!(proxy.response().status, status, "{client}");
            }
        };
        check();
        generations.check_upgrade();
        check();
        generations.stop();
    }
}

#[test]
fn rejects_options_that_make_no_sense() {
    check_failure(&["--proxy-protocol"], 2, "--trusted-proxy");
    check_failure(&["--trusted-proxy", "nginx"], 2, "or be loopback, private or unix");
    let both = ["--trusted-proxy", "private", "--forwarded-header", "forwarded,x-forwarded-for"];
    check_failure(&both, 2, "must be `forwarded`, or `x-forwarded-for`");
}
