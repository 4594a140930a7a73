//! The access log: its lines are complete whatever clients send, and no request waits for the log.

use crate::{
    client::{Client, get, request, wait_for},
    program,
    reply::Reply,
    server::{InProcessServer, ServerKind, settings},
    site::{HUGE_LEN, Site},
};
use http_daemon::logs::{AccessLog, Format, Log, Output};
use http_engine::{Engine, Handler, Reply as HandlerReply, Request, Response, Settings, Stack};
use http_files::{Files, Root};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Returns a handler that serves the files of the site. At `/after` and `/offload` it replies later, and at `/panic`
/// and `/panic-offload` it panics.
fn handler(site: &Site) -> impl Handler + 'static {
    let files = Files::from_root(Arc::new(Root::open(site.root()).expect("a document root")));
    move |request: &Request<'_>| match request.path() {
        "/after" => HandlerReply::after(Duration::ZERO, || Response::text("after")),
        "/offload" => HandlerReply::offload(|| Response::text("offload")),
        "/panic" => panic!("on purpose"),
        "/panic-offload" => HandlerReply::offload(|| panic!("on purpose")),
        _ => files.handle(request),
    }
}

/// A server in the test process and its access log.
struct LoggedServer {
    server: InProcessServer,
    log: Log,
    /// The path of the log: a file, a FIFO or a device.
    output: PathBuf,
    _site: Arc<Site>,
    _directory: TempDir,
}

impl LoggedServer {
    /// Starts a server that logs to a new file.
    fn start(engine: Engine, format: Format, settings: Settings) -> LoggedServer {
        let directory = TempDir::new().expect("a directory");
        let output = directory.path().join("access.log");
        LoggedServer::with_output(engine, format, settings, directory, output)
    }

    /// Starts a server that logs to `output`. Keeps `directory`, which may contain the output, from being removed.
    fn with_output(
        engine: Engine,
        format: Format,
        settings: Settings,
        directory: TempDir,
        output: PathBuf,
    ) -> LoggedServer {
        let site = Site::shared();
        let log = Log::open(Output::File(output.clone())).expect("a log");
        let layer = AccessLog::new(log.clone(), format).expect("a format other than off");
        let server = InProcessServer::start(engine, settings, Stack::new(handler(&site)).wrap(layer));
        LoggedServer { server, log, output, _site: site, _directory: directory }
    }

    /// Waits until the log file has at least `count` lines, and returns them all. A client may receive a response
    /// before its line is written.
    fn lines(&self, count: usize) -> Vec<String> {
        wait_for("lines", || {
            assert!(self.log.flush(Duration::from_secs(20)), "the log is not written");
            let lines = lines_of(&self.output);
            (lines.len() >= count).then_some(lines)
        })
    }
}

/// Returns the lines of a log file, each of which must be complete.
fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("text");
    assert!(text.is_empty() || text.ends_with('\n'), "an unfinished line: {text:?}");
    text.lines().map(str::to_owned).collect()
}

/// Removes the time from a line of the common or combined format. Panics if the time is not well-formed.
fn without_time(line: &str) -> String {
    let (before, after) = line.split_once(" [").expect("a time");
    let (time, after) = after.split_once("] ").expect("its end");
    let shape = time.replace(|c: char| c.is_ascii_digit(), "0");
    assert!(
        shape.len() == 26 && shape.starts_with("00/") && shape.ends_with("/0000:00:00:00 +0000"),
        "{time}"
    );
    format!("{before} {after}")
}

/// Sends the request `sent` on a new connection. Checks line `number` of the log, counted from 0: it must have this
/// request line, the status and the body length that the client received, and then `rest`.
fn check(logged: &LoggedServer, number: usize, sent: &[u8], request_line: &str, rest: &str) {
    let mut client = logged.server.connect();
    let Reply { status, body, .. } = client.fetch(sent);
    let line = without_time(&logged.lines(number + 1)[number]);
    assert_eq!(line, format!("127.0.0.1 - - \"{request_line}\" {status} {} {rest}", body.len()));
}

/// Sends `count` requests for `notes.txt` on one connection. Their queries are `name` and a number: all lines differ.
fn fetch_many(mut client: Client, name: &str, count: usize) {
    for number in 0..count {
        assert_eq!(client.fetch(get(&format!("/notes.txt?{name}-{number}"))).status, 200);
    }
    client.finish();
}

/// Returns the queries in these lines, sorted. Panics if a line is not the complete line of a request for `notes.txt`
/// that was served.
fn queries(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let query = |line: String| {
        let line = without_time(&line);
        let query = line.strip_prefix("127.0.0.1 - - \"GET /notes.txt?").expect("the beginning of a line");
        query.strip_suffix(" HTTP/1.1\" 200 6 \"-\" \"-\"").expect("the end of a line").to_owned()
    };
    let mut queries: Vec<String> = lines.into_iter().map(query).collect();
    queries.sort();
    queries
}

/// Returns what [`queries`] must return if [`fetch_many`] has sent `count` requests with each of these names.
fn expected_queries(names: &[String], count: usize) -> Vec<String> {
    let numbers = |name: &String| (0..count).map(|number| format!("{name}-{number}")).collect::<Vec<_>>();
    let mut queries: Vec<String> = names.iter().flat_map(numbers).collect();
    queries.sort();
    queries
}

/// Makes a FIFO in `directory` and opens it for reading. Returns its path and the reader.
fn fifo(directory: &TempDir) -> (PathBuf, File) {
    let path = directory.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let reader = OpenOptions::new().read(true).custom_flags(nonblocking).open(&path).expect("a reader");
    (path, reader)
}

/// Reads lines from a pipe up to the first line that contains `last`, which is included.
fn lines_until(reader: File, last: &str) -> Vec<String> {
    rustix::io::ioctl_fionbio(&reader, false).expect("a blocking pipe");
    let mut lines = Vec::new();
    for line in BufReader::new(reader).lines() {
        lines.push(line.expect("text"));
        if lines.last().is_some_and(|line| line.contains(last)) {
            break;
        }
    }
    lines
}

http_testing::both_engines! {
    fn logs_the_request_and_the_response(engine: Engine) {
        let logged = LoggedServer::start(engine, Format::Combined, settings());
        let named = "Referer: http://a/?b\r\nUser-Agent: Agent/1 (x; y)\r\n";
        let (none, both) = (r#""-" "-""#, r#""http://a/?b" "Agent/1 (x; y)""#);
        for (number, (sent, line, rest)) in [
            (get("/notes.txt"), "GET /notes.txt HTTP/1.1", none),
            (request("GET", "/notes.txt?a=b", named), "GET /notes.txt?a=b HTTP/1.1", both),
            ("GET /notes.txt HTTP/1.0\r\n\r\n".to_owned(), "GET /notes.txt HTTP/1.0", none),
            (get("/large.bin"), "GET /large.bin HTTP/1.1", none),
            (request("HEAD", "/large.bin", ""), "HEAD /large.bin HTTP/1.1", none),
            (request("GET", "/digits.txt", "Range: bytes=5-9\r\n"), "GET /digits.txt HTTP/1.1", none),
            (request("GET", "/digits.txt", "Range: bytes=0-1,5-6\r\n"), "GET /digits.txt HTTP/1.1", none),
            (request("GET", "/notes.txt", "If-None-Match: *\r\n"), "GET /notes.txt HTTP/1.1", none),
            (get("/dir"), "GET /dir HTTP/1.1", none),
            (get("/nowhere"), "GET /nowhere HTTP/1.1", none),
            (request("PROPFIND", "/", ""), "PROPFIND / HTTP/1.1", none),
            (get("/after"), "GET /after HTTP/1.1", none),
            (get("/offload"), "GET /offload HTTP/1.1", none),
            (get("/panic"), "GET /panic HTTP/1.1", none),
            // A job that panics on the pool no longer has the request line.
            (get("/panic-offload"), "-", none),
        ].into_iter().enumerate() {
            check(&logged, number, sent.as_bytes(), line, rest);
        }
    }

    fn logs_rejected_requests(engine: Engine) {
        let logged = LoggedServer::start(engine, Format::Combined, settings());
        let none = r#""-" "-""#;
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
        let fields = "Transfer-Encoding: chunked\r\nReferer: me\r\n";
        let chunked = request("POST", "/notes.txt", fields) + "xyz\r\n";
        for (number, (sent, line, rest)) in [
            ("garbage\r\n\r\n", "garbage", none),
            ("\x16\x03\x01\x02\r\n", r"\x16\x03\x01\x02", none),
            ("GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1", none),
            ("GET /a HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "GET /a HTTP/1.1", none),
            (&long, &format!("GET /{}...", "a".repeat(1995)), none),
            (&request("POST", "/notes.txt", "Content-Length: 1048577\r\n"), "POST /notes.txt HTTP/1.1", none),
            (&chunked, "POST /notes.txt HTTP/1.1", r#""me" "-""#),
        ].into_iter().enumerate() {
            check(&logged, number, sent.as_bytes(), line, rest);
        }
    }

    fn logs_rejected_connections(engine: Engine) {
        let settings = Settings { max_connections_per_address: Some(1), ..settings() };
        let logged = LoggedServer::start(engine, Format::Common, settings);
        let mut first = logged.server.connect();
        assert_eq!(first.fetch(get("/notes.txt")).status, 200);
        logged.lines(1);
        let Reply { status, body, .. } = logged.server.connect().fetch(get("/notes.txt"));
        let line = without_time(&logged.lines(2)[1]);
        assert_eq!((status, line), (503, format!("127.0.0.1 - - \"-\" 503 {}", body.len())));
        first.finish();
    }

    fn escapes_what_could_forge_a_line(engine: Engine) {
        let logged = LoggedServer::start(engine, Format::Combined, settings());
        let agent = b"\" 200 0 \"-\" \"\\\xff\x09\xc3\xa4";
        let head = b"GET /\"%0A\\x HTTP/1.1\r\nHost: test\r\nUser-Agent: ";
        let rest = r#""-" "\x22 200 0 \x22-\x22 \x22\x5C\xFF\x09\xC3\xA4""#;
        check(&logged, 0, &[&head[..], agent, b"\r\n\r\n"].concat(), r"GET /\x22%0A\x5Cx HTTP/1.1", rest);
    }

    fn json_lines_have_typed_members(engine: Engine) {
        let logged = LoggedServer::start(engine, Format::Json, settings());
        let fields = "Range: bytes=1-3\r\nUser-Agent: \"\u{e4}\\\r\n";
        assert_eq!(logged.server.connect().fetch(request("GET", "/notes.txt?q", fields)).status, 206);
        logged.lines(1);
        assert_eq!(logged.server.connect().fetch("garbage\r\n\r\n").status, 400);
        let lines = logged.lines(2);
        let [mut served, rejected] =
            [0, 1].map(|at| serde_json::from_str::<serde_json::Value>(&lines[at]).expect("JSON"));
        assert!(served["duration_ms"].take().as_f64().is_some_and(|duration| duration >= 0.0));
        let time = served["time"].take().as_str().map(|time| time.replace(|c: char| c.is_ascii_digit(), "0"));
        assert_eq!(time.as_deref(), Some("0000-00-00T00:00:00Z"));
        assert_eq!(served, serde_json::json!({
            "time": null, "peer": "127.0.0.1", "method": "GET", "target": "/notes.txt?q", "version": "HTTP/1.1",
            "status": 206, "bytes": 3, "complete": true, "duration_ms": null, "referer": null,
            "user_agent": "\"\u{c3}\u{a4}\\",
        }));
        assert_eq!((&rejected["target"], &rejected["status"]), (&serde_json::Value::Null, &400.into()));
    }

    fn counts_only_the_bytes_sent_of_an_aborted_download(engine: Engine) {
        let logged = LoggedServer::start(engine, Format::Json, settings());
        let mut client = Client::connect_with_small_buffer(logged.server.address);
        client.send(get("/huge.bin"));
        client.stream.read_exact(&mut [0; 100_000]).expect("the download begins");
        client.reset();
        let line: serde_json::Value = serde_json::from_str(&logged.lines(1)[0]).expect("JSON");
        let sent = line["bytes"].as_u64().expect("a number");
        assert!(sent > 90_000 && sent < HUGE_LEN, "{line}");
        assert_eq!((&line["status"], &line["complete"]), (&200.into(), &false.into()));
    }

    fn logs_pipelined_requests_in_order(engine: Engine) {
        let logged = LoggedServer::start(engine, Format::Combined, settings());
        let mut client = logged.server.connect();
        client.send((0..100).map(|number| get(&format!("/notes.txt?{number:02}"))).collect::<String>());
        (0..100).for_each(|_| assert_eq!(client.response().status, 200));
        client.finish();
        let expected: Vec<String> = (0..100).map(|number| format!("{number:02}")).collect();
        assert_eq!(queries(logged.lines(100)), expected);
    }

    /// Lines that do not fit into the pipe are dropped and counted. Those that fit are complete.
    fn a_full_pipe_does_not_delay_requests(engine: Engine) {
        let directory = TempDir::new().expect("a directory");
        let (path, reader) = fifo(&directory);
        let logged = LoggedServer::with_output(engine, Format::Combined, settings(), directory, path);
        let (mut client, mut sent) = (logged.server.connect(), 0);
        let long = get(&format!("/notes.txt?{}", "q".repeat(1900)));
        while logged.log.lost() == 0 {
            assert!(sent < 10_000, "the log never drops a line");
            assert_eq!(client.fetch(&long).status, 200);
            sent += 1;
        }
        assert!(!logged.log.flush(Duration::ZERO), "the pipe is full");
        let reading = thread::spawn(move || lines_until(reader, "?last "));
        assert!(logged.log.flush(Duration::from_secs(20)), "the log is written while the pipe is read");
        assert_eq!(client.fetch(get("/notes.txt?last")).status, 200);
        let lines = queries(reading.join().expect("all lines"));
        let lost = logged.log.lost();
        assert_eq!((lost > 0, lines.len() as u64 + lost), (true, sent + 1));
        client.finish();
    }

    fn reopening_loses_no_line(engine: Engine) {
        let logged = LoggedServer::start(engine, Format::Combined, settings());
        let (clients, count) = (4, 500);
        let names: Vec<String> = (0..clients).map(|client| client.to_string()).collect();
        let mut rotated = Vec::new();
        thread::scope(|scope| {
            let senders: Vec<_> = names
                .iter()
                .map(|name| scope.spawn(|| fetch_many(logged.server.connect(), name, count)))
                .collect();
            while senders.iter().any(|sender| !sender.is_finished()) || rotated.len() < 3 {
                let old = logged.output.with_extension(rotated.len().to_string());
                fs::rename(&logged.output, &old).expect("a rename");
                rotated.push(old);
                logged.log.reopen();
                wait_for("a new file", || logged.output.exists().then_some(()));
            }
        });
        let all = wait_for("all lines", || {
            assert!(logged.log.flush(Duration::from_secs(20)));
            let files = rotated.iter().chain([&logged.output]);
            let all: Vec<String> = files.flat_map(|file| lines_of(file)).collect();
            (all.len() >= clients * count).then_some(all)
        });
        assert!(queries(all) == expected_queries(&names, count), "lines are lost, duplicated or torn");
        assert_eq!(logged.log.lost(), 0);
    }

    /// Worker processes do this: each opens the file itself.
    fn several_logs_can_append_to_one_file(engine: Engine) {
        let directory = TempDir::new().expect("a directory");
        let output = directory.path().join("access.log");
        let own = || TempDir::new().expect("a directory");
        let start = |_| LoggedServer::with_output(engine, Format::Combined, settings(), own(), output.clone());
        let all: Vec<LoggedServer> = (0..3).map(start).collect();
        let names = ["a", "b", "c"].map(str::to_owned);
        thread::scope(|scope| {
            for (logged, name) in all.iter().zip(&names) {
                scope.spawn(|| fetch_many(logged.server.connect(), name, 500));
            }
        });
        let lines = wait_for("all lines", || {
            all.iter().for_each(|logged| assert!(logged.log.flush(Duration::from_secs(20))));
            let lines = lines_of(&output);
            (lines.len() >= 1500).then_some(lines)
        });
        assert!(queries(lines) == expected_queries(&names, 500), "lines are lost, duplicated or torn");
    }

    fn a_full_disk_loses_lines_and_no_request(engine: Engine) {
        let directory = TempDir::new().expect("a directory");
        let logged = LoggedServer::with_output(engine, Format::Combined, settings(), directory, "/dev/full".into());
        fetch_many(logged.server.connect(), "x", 100);
        wait_for("a hundred lost lines", || {
            logged.log.flush(Duration::from_secs(20));
            (logged.log.lost() == 100).then_some(())
        });
        fetch_many(logged.server.connect(), "y", 10);
    }
}

#[test]
fn reports_a_log_that_cannot_be_opened() {
    let directory = TempDir::new().expect("a directory");
    let check = |path: PathBuf| assert!(Log::open(Output::File(path.clone())).is_err(), "{}", path.display());
    check(directory.path().join("nowhere/access.log"));
    check(directory.path().to_owned());
    // Opening a FIFO without a reader must not block the start.
    let (path, reader) = fifo(&directory);
    drop(reader);
    check(path);
}

/// The disk stays full to the end, so each process reports the count when it exits.
#[test]
fn every_kind_of_server_reports_lost_lines() {
    for kind in [
        ServerKind::EventLoop,
        ServerKind::Blocking,
        ServerKind::EventLoopPrefork,
        ServerKind::BlockingPrefork,
    ] {
        let program =
            program::serve(&[kind.arguments(), &["--log", "combined", "--log-file", "/dev/full"]].concat());
        fetch_many(Client::connect(program.address()), "x", 7);
        let stderr = program.stop().stderr;
        assert!(
            stderr.contains(": cannot write to /dev/full: no space left on device"),
            "{kind:?}: {stderr}"
        );
        let lost = stderr.lines().filter_map(|line| line.split_once("lines lost for /dev/full: "));
        let lost: u64 = lost.map(|(_, count)| count.parse::<u64>().expect("a number")).sum();
        assert_eq!(lost, 7, "{kind:?}: {stderr}");
    }
}

#[test]
fn the_format_off_makes_no_access_log() {
    let log = Log::open(Output::File("/dev/null".into())).expect("a log");
    assert!(AccessLog::new(log, Format::Off).is_none());
}
