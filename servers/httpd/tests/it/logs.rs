//! The access log: its lines are complete whatever clients send, and no request waits for the log.

use crate::{
    client::{Client, get, request, wait_for},
    program::{self, Program, ServerKind, check_served, text},
    site::HUGE_LEN,
};
use http_daemon::logs::{AccessLog, Format, Log, Output};
use http_engine::{Reply, Request, Response, Stack};
use http_testing::server::{InProcessServer, settings};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, mknodat},
    io::ioctl_fionbio,
    process::Signal,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// How many requests a client sends in the tests that compare all lines.
const COUNT: usize = 300;

/// The referer and the user agent in a line, if the client has sent none.
const NONE: &str = r#""-" "-""#;

/// A temporary directory, and the path of a log in it.
struct LogFile {
    path: PathBuf,
    _directory: TempDir,
}

impl LogFile {
    /// Makes the directory. There is no log yet.
    fn new() -> LogFile {
        let directory = tempfile::tempdir().expect("a directory");
        LogFile { path: directory.path().join("access.log"), _directory: directory }
    }

    /// Starts an `httpd` of this kind that writes the log.
    fn serve(&self, kind: ServerKind, arguments: &[&str]) -> Program {
        program::serve(kind, &[&["--log-file", text(&self.path)], arguments].concat())
    }

    /// Makes a FIFO in the place of the log, and opens it for reading.
    fn make_fifo(&self) -> File {
        mknodat(CWD, &self.path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        let nonblocking = OFlags::NONBLOCK.bits() as i32;
        OpenOptions::new().read(true).custom_flags(nonblocking).open(&self.path).expect("a reader")
    }

    /// Waits until the log has `count` lines, and returns them. A client may receive a response before its line is
    /// written.
    fn lines(&self, count: usize) -> Vec<String> {
        wait_for("lines in the log", || {
            let lines = lines_of(&self.path);
            (lines.len() >= count).then_some(lines)
        })
    }

    /// Checks that the log has these lines, without their times, in any order.
    fn check<const N: usize>(&self, mut expected: [String; N]) {
        let mut lines: Vec<String> = self.lines(N).iter().map(|line| without_time(line)).collect();
        lines.sort();
        expected.sort();
        assert_eq!(lines, expected);
    }
}

/// Returns the lines of a log, each of which must be complete.
fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "an unfinished line: {text:?}");
    text.lines().map(str::to_owned).collect()
}

/// Removes the time from a line of the common or combined format. Panics if the time is not well-formed.
fn without_time(line: &str) -> String {
    let (before, after) = line.split_once(" [").expect("a time");
    let (time, after) = after.split_once("] ").expect("its end");
    let shape = time.replace(|c: char| c.is_ascii_digit(), "0");
    assert!(shape.starts_with("00/") && shape.ends_with("/0000:00:00:00 +0000"), "{time}");
    format!("{before} {after}")
}

/// Sends [`COUNT`] requests for `notes.txt` on one connection. Their queries are `name` and a number: all lines differ.
fn fetch_many(mut client: Client, name: &str) {
    for number in 0..COUNT {
        assert_eq!(client.fetch(get(&format!("/notes.txt?{name}-{number}"))).status, 200);
    }
}

/// Returns the queries in these lines. Panics if a line is not the complete line of a request for `notes.txt` that was
/// served.
fn queries(lines: &[String]) -> Vec<String> {
    let query = |line: &String| {
        let line = without_time(line);
        let query = line.strip_prefix("127.0.0.1 - - \"GET /notes.txt?").expect("the beginning of a line");
        query.strip_suffix(&format!(" HTTP/1.1\" 200 6 {NONE}")).expect("the end of a line").to_owned()
    };
    lines.iter().map(query).collect()
}

two_kinds! {
    fn logs_requests_and_responses(kind: ServerKind) {
        let log = LogFile::new();
        let program = log.serve(kind, &[]);
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
        let named = "Referer: http://a/?b\r\nUser-Agent: Agent/1 (x; y)\r\n";
        let forged = "User-Agent: \" 200 0 \"-\" \"\\\t\u{e4}\r\n";
        let chunked = request("POST", "/notes.txt", "Transfer-Encoding: chunked\r\nReferer: me\r\n") + "xyz\r\n";
        log.check([
            (
                &*request("GET", "/notes.txt?a=b", named),
                "GET /notes.txt?a=b HTTP/1.1",
                r#""http://a/?b" "Agent/1 (x; y)""#,
            ),
            (
                &request("GET", "/\"%0A\\x", forged),
                r"GET /\x22%0A\x5Cx HTTP/1.1",
                r#""-" "\x22 200 0 \x22-\x22 \x22\x5C\x09\xC3\xA4""#,
            ),
            ("GET /notes.txt HTTP/1.0\r\n\r\n", "GET /notes.txt HTTP/1.0", NONE),
            (&get("/large.bin"), "GET /large.bin HTTP/1.1", NONE),
            (&request("HEAD", "/large.bin", ""), "HEAD /large.bin HTTP/1.1", NONE),
            (&request("GET", "/digits.txt", "Range: bytes=0-1,5-6\r\n"), "GET /digits.txt HTTP/1.1", NONE),
            (&request("GET", "/notes.txt", "If-None-Match: *\r\n"), "GET /notes.txt HTTP/1.1", NONE),
            (&request("PROPFIND", "/", ""), "PROPFIND / HTTP/1.1", NONE),
            // Rejected requests.
            ("garbage\r\n\r\n", "garbage", NONE),
            ("\x16\x03\x01\x02\r\n", r"\x16\x03\x01\x02", NONE),
            ("GET /a HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "GET /a HTTP/1.1", NONE),
            (&long, &format!("GET /{}...", "a".repeat(1995)), NONE),
            (&chunked, "POST /notes.txt HTTP/1.1", r#""me" "-""#),
        ].map(|(sent, line, rest)| {
            let response = Client::connect(program.address()).fetch(sent);
            format!("127.0.0.1 - - \"{line}\" {} {} {rest}", response.status, response.body.len())
        }));
    }

    /// The ID in the log is that of the response, also if the request is rejected.
    fn logs_in_a_format_of_the_operator(kind: ServerKind) {
        let log = LogFile::new();
        let format = "$remote_addr [$time_local] \"$request\" $status $body_bytes_sent $http_x_a $request_id";
        let program = log.serve(kind, &["--log-format", format]);
        log.check([
            (&*request("GET", "/notes.txt", "X-A: b\r\nX-Request-Id: abc-1\r\n"), "GET /notes.txt HTTP/1.1", "b"),
            (&request("GET", "/nowhere", "X-Request-Id: a b\r\n"), "GET /nowhere HTTP/1.1", "-"),
            ("garbage\r\n\r\n", "garbage", "-"),
        ].map(|(sent, line, header)| {
            let response = Client::connect(program.address()).fetch(sent);
            let id = response.header("X-Request-Id").expect("an ID");
            assert_eq!(sent.contains(id), id == "abc-1", "{id}");
            // `check` removes the time, in brackets.
            format!("127.0.0.1 \"{line}\" {} {} {header} {id}", response.status, response.body.len())
        }));
    }

    fn sends_request_ids_without_a_log(kind: ServerKind) {
        let program = program::serve(kind, &["--request-id"]);
        let mut client = Client::connect(program.address());
        let ids = [(); 2].map(|()| client.fetch(get("/notes.txt")).header("X-Request-Id").map(str::to_owned));
        assert!(ids[0] != ids[1] && ids.iter().flatten().all(|id| id.len() == 32), "{ids:?}");
    }

    /// A file implies the combined format only if the format is not stated.
    fn writes_no_log_that_is_off(kind: ServerKind) {
        let log = LogFile::new();
        let program = log.serve(kind, &["--log", "off"]);
        check_served(program.address());
        program.stop_cleanly();
        assert!(!log.path.exists());
    }

    fn counts_only_the_bytes_sent_of_an_aborted_download(kind: ServerKind) {
        let log = LogFile::new();
        let program = log.serve(kind, &["--log", "json"]);
        let mut client = Client::connect_with_small_buffer(program.address());
        client.send(get("/huge.bin"));
        client.stream.read_exact(&mut [0; 100_000]).expect("the download begins");
        client.reset();
        let line = log.lines(1).remove(0);
        let (_, bytes) = line.split_once(r#","status":200,"bytes":"#).expect("a status and a number");
        let (bytes, _) = bytes.split_once(r#","complete":false,"#).expect("a download that is not complete");
        assert!((90_000..HUGE_LEN).contains(&bytes.parse().expect("a number")), "{line}");
    }

    fn logs_pipelined_requests_in_order(kind: ServerKind) {
        let log = LogFile::new();
        let program = log.serve(kind, &[]);
        let expected: Vec<String> = (0..100).map(|number| format!("{number}")).collect();
        let mut client = Client::connect(program.address());
        client.send(expected.iter().map(|number| get(&format!("/notes.txt?{number}"))).collect::<String>());
        expected.iter().for_each(|_| assert_eq!(client.response().status, 200));
        assert_eq!(queries(&log.lines(100)), expected);
    }

    /// Lines that do not fit into the pipe are dropped and counted. Those that fit are complete.
    fn a_full_pipe_does_not_delay_requests(kind: ServerKind) {
        let log = LogFile::new();
        let reader = log.make_fifo();
        let program = log.serve(kind, &[]);
        let mut client = Client::connect(program.address());
        // More than the pipe and the server's queue hold.
        let sent = 1_000;
        let long = get(&format!("/notes.txt?{}", "q".repeat(1900)));
        (0..sent).for_each(|_| assert_eq!(client.fetch(&long).status, 200));
        ioctl_fionbio(&reader, false).expect("a blocking pipe");
        let reading = thread::spawn(move || BufReader::new(reader).lines().collect::<Result<Vec<_>, _>>());
        let stderr = program.stop().stderr;
        let lines = reading.join().expect("no panic").expect("text");
        let lost = lost_lines(&stderr, &log.path);
        assert!(lost > 0, "{} lines in the pipe, {stderr}", lines.len());
        assert_eq!(queries(&lines).len() + lost, sent);
    }

    /// The disk stays full to the end, so each process reports the count when it exits.
    fn lines_that_the_disk_does_not_take_are_counted(kind: ServerKind) {
        let program = program::serve(kind, &["--log-file", "/dev/full"]);
        fetch_many(Client::connect(program.address()), "x");
        let stderr = program.stop().stderr;
        assert!(stderr.contains(": cannot write to /dev/full: no space left on device"), "{stderr}");
        assert_eq!(lost_lines(&stderr, "/dev/full".as_ref()), COUNT, "{stderr}");
    }

    /// Each worker process has opened the file itself.
    fn rotations_lose_no_line(kind: ServerKind) {
        let log = LogFile::new();
        let program = log.serve(kind, &[]);
        let (names, mut files) = (["0", "1", "2"], vec![log.path.clone()]);
        thread::scope(|scope| {
            let connect = || Client::connect(program.address());
            let senders = names.map(|name| scope.spawn(move || fetch_many(connect(), name)));
            while senders.iter().any(|sender| !sender.is_finished()) || files.len() < 4 {
                let old = log.path.with_extension(files.len().to_string());
                fs::rename(&log.path, &old).expect("a rename");
                files.push(old);
                program.signal(Signal::USR1);
                wait_for("a new file", || log.path.exists().then_some(()));
            }
        });
        program.stop_cleanly();
        let mut actual = queries(&files.iter().flat_map(|file| lines_of(file)).collect::<Vec<_>>());
        let numbers = |name: &str| (0..COUNT).map(|number| format!("{name}-{number}")).collect::<Vec<_>>();
        let mut expected = names.map(numbers).concat();
        actual.sort();
        expected.sort();
        assert!(actual == expected, "lines are lost, duplicated or torn");
    }
}

/// Returns how many lines of this log are lost according to the messages in `stderr`.
fn lost_lines(stderr: &str, path: &Path) -> usize {
    let message = format!("lines lost for {}: ", path.display());
    let counts = stderr.lines().filter_map(|line| line.split_once(&*message)?.1.parse::<usize>().ok());
    counts.sum()
}

http_testing::both_engines! {
    fn logs_replies_that_come_later_and_panics(engine: Engine) {
        let file = LogFile::new();
        let log = Log::open(Output::File(file.path.clone())).expect("a log");
        let layer = AccessLog::new(log, Format::Combined).expect("a format other than off");
        let handler = |request: &Request<'_>| match request.path() {
            "/after" => Reply::after(Duration::ZERO, || Response::text("after")),
            "/offload" => Reply::offload(|| Response::text("offload")),
            "/panic" => panic!("on purpose"),
            _ => Reply::offload(|| -> Response { panic!("on purpose") }),
        };
        let server = InProcessServer::start(engine, settings(), Stack::new(handler).wrap(layer));
        // A job that panics on the pool no longer has the request line.
        file.check([
            ("/after", "GET /after HTTP/1.1", 200),
            ("/offload", "GET /offload HTTP/1.1", 200),
            ("/panic", "GET /panic HTTP/1.1", 500),
            ("/panic-offload", "-", 500),
        ].map(|(target, line, status)| {
            let response = server.connect().fetch(get(target));
            assert_eq!(response.status, status, "{target}");
            format!("127.0.0.1 - - \"{line}\" {status} {} {NONE}", response.body.len())
        }));
    }
}
