//! Upgrades: which requests get a 101, what is sent before and after it, and what reaches the function that takes over.

use crate::{
    app::AppReply,
    drive::{Drive, NoTransport},
    script::Act::{self, DisableKeepAlive, End, HangUp, Hold, Pass, Read, ReadAll, Release, Send},
};
use http_core::{Admit, CancellationToken, Config, Request, Response, Status, Upgraded};
use std::io::Read as _;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n";
const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const SWITCHED: &str = "101 chat [upgrade]";

/// Responds to `/chat` with a 101, and says in other responses whether the client asks for the protocol.
fn app(request: &Request<'_>) -> AppReply {
    let switch = |protocol| Response::switching_protocols(protocol).on_upgrade(drop);
    match request.path() {
        "/chat" => AppReply::Now(switch("chat")),
        "/later" => AppReply::Later(switch("chat")),
        "/version" => AppReply::Now(switch("chat/2")),
        "/no-function" => AppReply::Now(Response::switching_protocols("chat")),
        "/no-protocol" => AppReply::Now(Response::new(Status::SWITCHING_PROTOCOLS).on_upgrade(drop)),
        "/replaced" => AppReply::Now(Response::text("no").with_status(Status::OK).on_upgrade(drop)),
        "/required" => {
            let required = Response::new(Status::UPGRADE_REQUIRED).with_header("Upgrade", "chat, chat/2");
            AppReply::Now(if request.method_token() == "GET" { required } else { required.with_close() })
        }
        _ => AppReply::Now(Response::text(request.upgrades_to("chat").to_string())),
    }
}

/// Returns each response as its status, Upgrade and Connection.
fn summaries(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8(output.to_vec()).expect("text");
    let responses = text.split("HTTP/1.1 ").skip(1).map(|response| {
        let value = |name: &str| response.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("-");
        format!("{} {} [{}]", &response[..3], value("Upgrade: "), value("Connection: "))
    });
    responses.collect()
}

fn run(acts: &[Act<'_>]) -> Drive {
    let mut drive = Drive::new(Config::default(), app);
    drive.admit = |head| if head.path() == "/chat" { Admit::AtHead } else { Admit::Buffer };
    drive.act(acts);
    drive
}

/// Runs the script, and compares the steps and the responses.
fn check(acts: &[Act<'_>], steps: &str, responses: &[&str]) {
    let drive = run(acts);
    assert_eq!(drive.steps.join(" "), steps, "{acts:?}");
    assert_eq!(summaries(&drive.output), responses, "{acts:?}");
}

/// Sends a request with these headers, in HTTP/1.1 or 1.0, and compares the status of the response.
fn check_request(line: &str, headers: &str, expected: &str) {
    let request = format!("{line}\r\nHost: x\r\n{headers}\r\n");
    let drive = run(&[Send(&request)]);
    assert_eq!(summaries(&drive.output), [expected], "{request}");
}

#[test]
fn the_connection_is_handed_over_after_the_101() {
    check(&[Send(UPGRADE)], "receive request flush upgrade ", &[SWITCHED]);
    let output = run(&[Send(UPGRADE)]).output;
    let head = "HTTP/1.1 101 Switching Protocols\r\nServer: test\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
        Upgrade: chat\r\nConnection: upgrade\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&output), head);
    let later = UPGRADE.replace("/chat", "/later");
    check(&[Hold, Send(&later), Release], "receive request await flush upgrade ", &[SWITCHED]);
    check(&[Send(&later), DisableKeepAlive], "receive request await flush upgrade ", &[SWITCHED]);
}

#[test]
fn what_follows_the_head_is_not_parsed() {
    let steps = "receive request flush upgrade GET /a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n";
    check(&[Send(&[UPGRADE, GET].concat())], steps, &[SWITCHED]);
    check(
        &[Send(&[UPGRADE, "\r\n\0"].concat()), End],
        "receive request flush upgrade \\r\\n\\x00",
        &[SWITCHED],
    );
    // A response with another status is an ordinary one.
    let ignored = UPGRADE.replace("/chat", "/ignored");
    let [yes, no] = ["200 - [keep-alive]"; 2];
    check(&[Send(&[&ignored, GET].concat())], "receive request flush receive", &[yes, no]);
}

#[test]
fn earlier_responses_are_sent_first() {
    let steps = "receive request flush upgrade tail";
    check(
        &[Send(&[GET, GET, UPGRADE, "tail"].concat())],
        steps,
        &["200 - [keep-alive]", "200 - [keep-alive]", SWITCHED],
    );
}

#[test]
fn a_request_asks_for_a_protocol_with_three_headers_at_most() {
    let ask = |line: &str, headers: &str, expected| {
        let body = run(&[Send(&format!("{line}\r\nHost: x\r\n{headers}\r\n"))]).output;
        assert!(body.ends_with(expected), "{line} {headers}: {}", body.escape_ascii());
    };
    let get = "GET /a HTTP/1.1";
    let many = "x, ".repeat(7);
    for headers in [
        "Connection: upgrade\r\nUpgrade: chat\r\n",
        "Upgrade: x, CHAT\r\nConnection: keep-alive, Upgrade\r\n",
        "Connection: x\r\nConnection: upgrade\r\nUpgrade: y\r\nUpgrade: chat\r\n",
        &format!("Connection: upgrade\r\nUpgrade: {many}chat\r\n"),
    ] {
        ask(get, headers, b"true");
        ask("GET /a HTTP/1.0", headers, b"false");
    }
    for headers in [
        "Connection: upgrade\r\n",
        "Upgrade: chat\r\n",
        "Connection: close\r\nUpgrade: chat\r\n",
        "Connection: upgrade\r\nUpgrade: chat/2\r\n",
        "Connection: upgrade\r\nUpgrade: cha\r\n",
        &format!("Connection: upgrade\r\nUpgrade: {many}x, chat\r\n"),
    ] {
        ask(get, headers, b"false");
    }
}

#[test]
fn a_101_needs_a_request_that_asks_for_it() {
    let get = |path: &str| format!("GET {path} HTTP/1.1");
    let asks = "Connection: upgrade\r\nUpgrade: chat\r\n";
    let refused = "500 - [close]";
    check_request(&get("/chat"), asks, SWITCHED);
    check_request("OPTIONS /chat HTTP/1.1", asks, SWITCHED);
    check_request("HEAD /chat HTTP/1.1", asks, SWITCHED);
    check_request(
        &get("/version"),
        "Connection: upgrade\r\nUpgrade: chat, CHAT/2\r\n",
        "101 chat/2 [upgrade]",
    );
    check_request(&get("/chat"), "Upgrade: chat\r\n", refused);
    check_request(&get("/chat"), "Connection: upgrade\r\n", refused);
    check_request(&get("/chat"), "Connection: upgrade\r\nUpgrade: other\r\n", refused);
    check_request(&get("/version"), asks, refused);
    check_request("GET /chat HTTP/1.0", asks, refused);
    check_request(&get("/no-function"), asks, refused);
    check_request(&get("/no-protocol"), asks, refused);
    check_request(&get("/replaced"), asks, "200 - [keep-alive]");
    // The protocols of an earlier request do not count.
    let ignored = UPGRADE.replace("/chat", "/ignored");
    let steps = "receive request UpgradeNotRequested request flush shutdown receive";
    let unasked = GET.replace("/a", "/chat");
    check(&[Send(&[&*ignored, &unasked].concat())], steps, &["200 - [keep-alive]", refused]);
}

#[test]
fn content_is_received_before_a_101() {
    let post = |path: &str, headers: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n{headers}\r\n")
    };
    let later = post("/later", "Content-Length: 3\r\n");
    check(&[Send(&later), Send("abcdef")], "receive request await flush upgrade def", &[SWITCHED]);
    // RFC 9110 §7.8: 100 is sent before 101.
    let expects = post("/later", "Expect: 100-continue\r\nContent-Length: 3\r\n");
    let steps = "receive flush receive request await flush upgrade d";
    check(&[Send(&expects), Send("abcd")], steps, &["100 - [-]", SWITCHED]);
    let early = post("/chat", "Content-Length: 3\r\n");
    let steps = "receive UpgradeBeforeContent request flush shutdown receive";
    check(&[Send(&early)], steps, &["500 - [close]"]);
}

#[test]
fn what_was_received_with_the_request_is_read_first() {
    let peer = ([192, 0, 2, 7], 4711).into();
    let token = CancellationToken::default();
    let mut upgraded = Upgraded::new(NoTransport, b"abc".to_vec(), Some(peer), token);
    assert_eq!(upgraded.client_addr(), Some(peer));
    assert!(upgraded.set_write_timeout(None).is_err());
    let mut buffer = [0; 2];
    for expected in ["", "ab", "c", ""] {
        let len = if expected.is_empty() { 0 } else { 2 };
        let count = upgraded.read(&mut buffer[..len]).expect("bytes");
        assert_eq!(&buffer[..count], expected.as_bytes());
    }
    let mut rest = Vec::new();
    assert_eq!(upgraded.read_to_end(&mut rest).map_err(|error| error.kind()), Ok(0));
}

#[test]
fn an_upgrade_is_advertised() {
    check_request("GET /required HTTP/1.1", "", "426 chat, chat/2 [keep-alive, upgrade]");
    check_request("PUT /required HTTP/1.1", "", "426 chat, chat/2 [close, upgrade]");
    check_request("GET /required HTTP/1.0", "", "426 chat, chat/2 [close, upgrade]");
}

#[test]
fn a_client_that_does_not_read_the_101_is_disconnected() {
    let steps = "receive request flush WriteStall";
    check(&[Read(0), Send(UPGRADE), Pass(40_000)], steps, &[]);
    check(&[Read(0), Send(UPGRADE), ReadAll], "receive request flush upgrade ", &[SWITCHED]);
    check(&[Read(0), Send(UPGRADE), HangUp, ReadAll], "receive request flush upgrade ", &[SWITCHED]);
}
