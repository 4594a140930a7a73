//! Failures of the application: what the client receives, and the one line that the engine logs.

use crate::{
    app::{TestApp, with_reply_timeout},
    client::{Client, get, request, wait_for},
    faults::MANIFEST,
    server::{InProcessServer, settings},
};
use http_engine::{Request, Response, Settings};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// What the engines have logged in this process.
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Stores each record in [`LOGGED`].
struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOGGED.lock().expect("no panic").push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// Begins to record. The tests of one process share one record, and clients of two servers may have the same address:
/// other tests that record wait until the guard is dropped.
fn record() -> MutexGuard<'static, ()> {
    static INSTALL: Once = Once::new();
    static RECORDING: Mutex<()> = Mutex::new(());
    INSTALL.call_once(|| {
        log::set_logger(&Recorder).expect("no other logger");
        log::set_max_level(log::LevelFilter::Warn);
    });
    let guard = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
    LOGGED.lock().expect("no panic").clear();
    guard
}

/// Returns the lines recorded so far.
fn logged() -> Vec<String> {
    LOGGED.lock().expect("no panic").clone()
}

/// The status of the response if it is complete.
type Outcome = Option<u16>;

/// Requests all paths at the same time. Each client must get its outcome on a connection that closes, although another
/// request follows, and the log the line. `CLIENT` in a line is the client's address; only such lines are counted.
fn check(server: &InProcessServer, cases: &[(&str, Outcome, String)]) {
    let ask = |(path, _, _): &(&str, Outcome, String)| {
        Client::connect_and_send(server.address, get(path) + &get("/next"))
    };
    let clients: Vec<Client> = cases.iter().map(ask).collect();
    for (mut client, (path, outcome, line)) in clients.into_iter().zip(cases) {
        let response = client.try_response().ok();
        assert_eq!(response.as_ref().map(|response| response.status), *outcome, "{path}");
        if let Some(response) = response {
            assert_eq!((response.keeps_alive, response.header("Set-Cookie")), (false, None), "{path}");
            assert_eq!(response.header("Retry-After"), (*outcome == Some(503)).then_some("1"), "{path}");
            client.expect_eof();
        }
        let address = client.stream.local_addr().expect("an address").to_string();
        let line = line.replace("CLIENT", &address);
        let what = format!("{path}: {line}");
        wait_for(&what, || logged().contains(&line).then_some(()));
        // The connection has closed when another one has been served.
        assert_eq!(server.connect().fetch(get("/")).status, 200);
        // A client of a test that does not record may have the same address.
        let names_it = |line: &String| {
            [*path, "a request"].iter().any(|what| line.contains(&format!("{what} from {address}")))
        };
        let lines: Vec<_> = logged().into_iter().filter(names_it).collect();
        assert!(lines.len() <= 1, "{what}: {lines:#?}");
    }
}

http_testing::both_engines! {
    fn a_failure_of_the_application_is_logged_once(engine: Engine) {
        let _recording = record();
        let one_worker = Settings { workers: 1, ..settings() };
        let server = TestApp::start(engine, one_worker).server;
        let source = |path, error| {
            format!("cannot produce the rest of the response to {path} from CLIENT: {error}; closing the connection")
        };
        let dropped = |path| format!("the handler dropped the responder of {path} from CLIENT; responding 500");
        let timeout = |path| format!("no response to {path} from CLIENT within the reply timeout; responding 503");
        let file = |path, cause| {
            format!("cannot send the rest of {path} to a request from CLIENT: {cause}; closing the connection")
        };
        let invalid = |path, reason: &str| {
            format!("cannot send the handler's response to {path} from CLIENT: {reason}; responding 500 instead")
        };
        let forged = "header \"X-Forged\": a header value must not contain control characters";
        check(&TestApp::start(engine, Settings { workers: 1, ..with_reply_timeout() }).server, &[
            ("/forgotten", Some(503), timeout("/forgotten")),
            ("/never", Some(503), timeout("/never")),
        ]);
        check(&server, &[
            ("/fails?a=b", None, source("/fails?a=b", "the database is gone")),
            ("/fails-late", None, source("/fails-late", "the database is gone")),
            ("/fails-to-send", None, source("/fails-to-send", "Chunk::Data without data")),
            ("/fails-sender", None, source("/fails-sender", "its sender was dropped before the end of the body")),
            ("/fails-reader", None, source("/fails-reader", "the disk is gone")),
            ("/fails-reader-short", None, source("/fails-reader-short", "the body ends 2 bytes before its stated length")),
            ("/dropped", Some(500), dropped("/dropped")),
            ("/dropped-elsewhere", Some(500), dropped("/dropped-elsewhere")),
            ("/fails-short", None, file(MANIFEST, "the file has become shorter")),
            ("/fails-in-stream", None, file(MANIFEST, "the file has become shorter")),
            ("/fails-to-send-file", None, source("/fails-to-send-file", "Chunk::File without data")),
            ("/fails-unreadable", None, file("/dev/null", "invalid argument")),
            ("/fails-header", Some(500), invalid("/fails-header", forged)),
            ("/fails-length", Some(500), invalid("/fails-length", "header \"Content-Length\": is 7, but the body has 5 bytes")),
            ("/fails-status", Some(500), invalid("/fails-status", "status 102: only the library sends interim responses")),
        ]);
    }

    fn a_panic_after_an_upgrade_is_logged(engine: Engine) {
        let _recording = record();
        let server = InProcessServer::start(engine, settings(), |_: &Request<'_>| {
            Response::switching_protocols("test").on_upgrade(|_| crate::faults::fail())
        });
        let ask = request("GET", "/taken", "Connection: upgrade\r\nUpgrade: test\r\n");
        let client = Client::connect_and_send(server.address, ask);
        let address = client.stream.local_addr().expect("an address");
        let line = format!(
            "the function that took over the connection of /taken from {address} has panicked; closing the connection"
        );
        wait_for(&line, || logged().contains(&line).then_some(()));
    }
}
