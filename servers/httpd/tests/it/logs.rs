//! The access log: its lines are complete whatever clients send, and no request waits for the log.

use crate::{
    client::{Client, get, request, wait_for},
    program,
    site::{HUGE_LEN, Site},
};
use http_daemon::logs::{AccessLog, Format, Log, Output};
use http_engine::{Engine, Handler, Reply, Request, Response, Settings, Stack};
use http_files::{Files, Root};
use http_testing::server::{InProcessServer, settings};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
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

/// How long a test waits until a log is written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);

/// How many requests a client of a test sends, if several write to logs at once.
const COUNT: usize = 300;

/// Returns a handler that serves the files of the site. At `/after` and `/offload` it replies later, and at `/panic`
/// and `/panic-offload` it panics.
fn handler(site: &Site) -> impl Handler + 'static {
    let files = Files::from_root(Arc::new(Root::open(site.root()).expect("a document root")));
    move |request: &Request<'_>| match request.path() {
        "/after" => Reply::after(Duration::ZERO, || Response::text("after")),
        "/offload" => Reply::offload(|| Response::text("offload")),
        "/panic" => panic!("on purpose"),
        "/panic-offload" => Reply::offload(|| panic!("on purpose")),
        _ => files.handle(request),
    }
}

/// A server in the test process and its access log.
struct LoggedServer {
    server: InProcessServer,
    log: Log,
    /// The path of the log: a file or a FIFO.
    output: PathBuf,
    _site: Arc<Site>,
}

impl LoggedServer {
    /// Starts a server that logs to `output`.
    fn start(engine: Engine, format: Format, settings: Settings, output: PathBuf) -> LoggedServer {
        let site = Site::shared();
        let log = Log::open(Output::File(output.clone())).expect("a log");
        let layer = AccessLog::new(log.clone(), format).expect("a format other than off");
        let server = InProcessServer::start(engine, settings, Stack::new(handler(&site)).wrap(layer));
        LoggedServer { server, log, output, _site: site }
    }

    /// Waits until the log file has at least `count` lines, and returns them all. A client may receive a response
    /// before its line is written.
    fn lines(&self, count: usize) -> Vec<String> {
        wait_for("lines", || {
            assert!(self.log.flush(FLUSH_TIMEOUT), "the log is not written");
            let lines = lines_of(&self.output);
            (lines.len() >= count).then_some(lines)
        })
    }
}

/// Makes a temporary directory. Returns it, and the path of a log in it.
fn directory() -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("a directory");
    let log = directory.path().join("access.log");
    (directory, log)
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
    assert!(shape.starts_with("00/") && shape.ends_with("/0000:00:00:00 +0000"), "{time}");
    format!("{before} {after}")
}

/// Sends `count` requests for `notes.txt` on one connection. Their queries are `name` and a number: all lines differ.
fn fetch_many(mut client: Client, name: &str, count: usize) {
    for number in 0..count {
        assert_eq!(client.fetch(get(&format!("/notes.txt?{name}-{number}"))).status, 200);
    }
    client.finish();
}

/// Returns the queries in these lines. Panics if a line is not the complete line of a request for `notes.txt` that was
/// served.
fn queries(lines: &[String]) -> Vec<String> {
    let query = |line: &String| {
        let line = without_time(line);
        let query = line.strip_prefix("127.0.0.1 - - \"GET /notes.txt?").expect("the beginning of a line");
        query.strip_suffix(" HTTP/1.1\" 200 6 \"-\" \"-\"").expect("the end of a line").to_owned()
    };
    lines.iter().map(query).collect()
}

/// Checks that `lines` are those of [`COUNT`] requests by [`fetch_many`] with each of these names, in any order.
fn check_complete(lines: &[String], names: &[&str]) {
    let (mut actual, number) =
        (queries(lines), |name: &&str| (0..COUNT).map(|n| format!("{name}-{n}")).collect());
    let mut expected: Vec<String> = names.iter().flat_map::<Vec<_>, _>(number).collect();
    actual.sort();
    expected.sort();
    assert!(actual == expected, "lines are lost, duplicated or torn");
}

/// Makes a FIFO and opens it for reading.
fn fifo(path: &Path) -> File {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().read(true).custom_flags(nonblocking).open(path).expect("a reader")
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
    fn logs_requests_and_responses(engine: Engine) {
        let (_directory, output) = directory();
        let logged = LoggedServer::start(engine, Format::Combined, settings(), output);
        let (none, long) = (r#""-" "-""#, format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)));
        let named = "Referer: http://a/?b\r\nUser-Agent: Agent/1 (x; y)\r\n";
        let forged = "User-Agent: \" 200 0 \"-\" \"\\\t\u{e4}\r\n";
        let chunked = request("POST", "/notes.txt", "Transfer-Encoding: chunked\r\nReferer: me\r\n") + "xyz\r\n";
        for (number, (sent, line, rest)) in [
            (&*request("GET", "/notes.txt?a=b", named), "GET /notes.txt?a=b HTTP/1.1", r#""http://a/?b" "Agent/1 (x; y)""#),
            (&request("GET", "/\"%0A\\x", forged), r"GET /\x22%0A\x5Cx HTTP/1.1", r#""-" "\x22 200 0 \x22-\x22 \x22\x5C\x09\xC3\xA4""#),
            ("GET /notes.txt HTTP/1.0\r\n\r\n", "GET /notes.txt HTTP/1.0", none),
            (&get("/large.bin"), "GET /large.bin HTTP/1.1", none),
            (&request("HEAD", "/large.bin", ""), "HEAD /large.bin HTTP/1.1", none),
            (&request("GET", "/digits.txt", "Range: bytes=0-1,5-6\r\n"), "GET /digits.txt HTTP/1.1", none),
            (&request("GET", "/notes.txt", "If-None-Match: *\r\n"), "GET /notes.txt HTTP/1.1", none),
            (&get("/dir"), "GET /dir HTTP/1.1", none),
            (&request("PROPFIND", "/", ""), "PROPFIND / HTTP/1.1", none),
            (&get("/after"), "GET /after HTTP/1.1", none),
            (&get("/offload"), "GET /offload HTTP/1.1", none),
            (&get("/panic"), "GET /panic HTTP/1.1", none),
            // A job that panics on the pool no longer has the request line.
            (&get("/panic-offload"), "-", none),
            // Rejected requests.
            ("garbage\r\n\r\n", "garbage", none),
            ("\x16\x03\x01\x02\r\n", r"\x16\x03\x01\x02", none),
            ("GET /a HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "GET /a HTTP/1.1", none),
            (&long, &format!("GET /{}...", "a".repeat(1995)), none),
            (&chunked, "POST /notes.txt HTTP/1.1", r#""me" "-""#),
        ].into_iter().enumerate() {
            let reply = logged.server.connect().fetch(sent);
            let actual = without_time(&logged.lines(number + 1)[number]);
            assert_eq!(actual, format!("127.0.0.1 - - \"{line}\" {} {} {rest}", reply.status, reply.body.len()));
        }
    }

    fn logs_rejected_connections(engine: Engine) {
        let (_directory, output) = directory();
        let settings = Settings { max_connections_per_address: Some(1), ..settings() };
        let logged = LoggedServer::start(engine, Format::Common, settings, output);
        let mut first = logged.server.connect();
        assert_eq!(first.fetch(get("/notes.txt")).status, 200);
        logged.lines(1);
        let reply = logged.server.connect().fetch(get("/notes.txt"));
        let line = without_time(&logged.lines(2)[1]);
        assert_eq!((reply.status, line), (503, format!("127.0.0.1 - - \"-\" 503 {}", reply.body.len())));
        first.finish();
    }

    fn counts_only_the_bytes_sent_of_an_aborted_download(engine: Engine) {
        let (_directory, output) = directory();
        let logged = LoggedServer::start(engine, Format::Json, settings(), output);
        let mut client = Client::connect_with_small_buffer(logged.server.address);
        client.send(get("/huge.bin"));
        client.stream.read_exact(&mut [0; 100_000]).expect("the download begins");
        client.reset();
        let line = logged.lines(1).remove(0);
        let (_, bytes) = line.split_once(r#","status":200,"bytes":"#).expect("a status and a number");
        let (bytes, _) = bytes.split_once(r#","complete":false,"#).expect("a download that is not complete");
        assert!((90_000..HUGE_LEN).contains(&bytes.parse().expect("a number")), "{line}");
    }

    fn logs_pipelined_requests_in_order(engine: Engine) {
        let (_directory, output) = directory();
        let logged = LoggedServer::start(engine, Format::Combined, settings(), output);
        let expected: Vec<String> = (0..100).map(|number| format!("{number}")).collect();
        let mut client = logged.server.connect();
        client.send(expected.iter().map(|number| get(&format!("/notes.txt?{number}"))).collect::<String>());
        expected.iter().for_each(|_| assert_eq!(client.response().status, 200));
        assert_eq!(queries(&logged.lines(100)), expected);
    }

    /// Lines that do not fit into the pipe are dropped and counted. Those that fit are complete.
    fn a_full_pipe_does_not_delay_requests(engine: Engine) {
        let (_directory, output) = directory();
        let reader = fifo(&output);
        let logged = LoggedServer::start(engine, Format::Combined, settings(), output);
        let (mut client, mut sent) = (logged.server.connect(), 0);
        let long = get(&format!("/notes.txt?{}", "q".repeat(1900)));
        while logged.log.lost() == 0 {
            assert!(sent < 10_000, "the log never drops a line");
            assert_eq!(client.fetch(&long).status, 200);
            sent += 1;
        }
        assert!(!logged.log.flush(Duration::ZERO), "the pipe is full");
        let reading = thread::spawn(move || lines_until(reader, "?last "));
        assert!(logged.log.flush(FLUSH_TIMEOUT), "the log is written while the pipe is read");
        assert_eq!(client.fetch(get("/notes.txt?last")).status, 200);
        let lines = queries(&reading.join().expect("all lines"));
        assert_eq!(lines.len() as u64 + logged.log.lost(), sent + 1);
        client.finish();
    }

    fn reopening_loses_no_line(engine: Engine) {
        let (_directory, output) = directory();
        let logged = LoggedServer::start(engine, Format::Combined, settings(), output);
        let (names, mut files) = (["0", "1", "2"], vec![logged.output.clone()]);
        thread::scope(|scope| {
            let connect = || logged.server.connect();
            let senders = names.map(|name| scope.spawn(move || fetch_many(connect(), name, COUNT)));
            while senders.iter().any(|sender| !sender.is_finished()) || files.len() < 4 {
                let old = logged.output.with_extension(files.len().to_string());
                fs::rename(&logged.output, &old).expect("a rename");
                files.push(old);
                logged.log.reopen();
                wait_for("a new file", || logged.output.exists().then_some(()));
            }
        });
        let lines = wait_for("all lines", || {
            assert!(logged.log.flush(FLUSH_TIMEOUT));
            let lines: Vec<String> = files.iter().flat_map(|file| lines_of(file)).collect();
            (lines.len() >= names.len() * COUNT).then_some(lines)
        });
        check_complete(&lines, &names);
        assert_eq!(logged.log.lost(), 0);
    }

    /// Worker processes do this: each opens the file itself.
    fn several_logs_can_append_to_one_file(engine: Engine) {
        let (_directory, output) = directory();
        let start = |_| LoggedServer::start(engine, Format::Combined, settings(), output.clone());
        let (names, all) = (["a", "b", "c"], [(); 3].map(start));
        thread::scope(|scope| {
            for (logged, name) in all.iter().zip(names) {
                scope.spawn(|| fetch_many(logged.server.connect(), name, COUNT));
            }
        });
        check_complete(&all[0].lines(names.len() * COUNT), &names);
    }
}

#[test]
fn reports_a_log_that_cannot_be_opened() {
    let (directory, path) = directory();
    let check = |path: PathBuf| assert!(Log::open(Output::File(path.clone())).is_err(), "{}", path.display());
    check(directory.path().join("nowhere/access.log"));
    check(directory.path().to_owned());
    // Opening a FIFO without a reader must not block the start.
    drop(fifo(&path));
    check(path);
}

two_kinds! {
    /// The disk stays full to the end, so each process reports the count when it exits.
    fn lost_lines_are_reported(kind: ServerKind) {
        let program = program::serve(kind, &["--log-file", "/dev/full"]);
        fetch_many(Client::connect(program.address()), "x", 7);
        let stderr = program.stop().stderr;
        assert!(stderr.contains(": cannot write to /dev/full: no space left on device"), "{stderr}");
        let lost = stderr.lines().filter_map(|line| line.split_once("lines lost for /dev/full: "));
        let lost: u64 = lost.map(|(_, count)| count.parse::<u64>().expect("a number")).sum();
        assert_eq!(lost, 7, "{stderr}");
    }
}
