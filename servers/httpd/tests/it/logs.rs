//! The access log: what stands in it whatever peers send, and that nobody waits for it, whoever reads it or does not.

use crate::{
    client::{Client, get, request, until},
    program,
    reply::{Asked, Reply},
    server::{Kind, Threads, settings},
    site::{HUGE, Site},
};
use http_daemon::logs::{AccessLog, Format, Log, Output};
use http_engine::{Engine, Handler, Reply as Answer, Request, Response, Settings, Stack};
use http_files::{Files, Root};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};
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

/// Files, and some ways in which an application may answer besides.
fn app(site: &Site) -> impl Handler + 'static {
    let files = Files::from_root(Arc::new(Root::open(site.root()).expect("a document root")));
    move |request: &Request<'_>| match request.path() {
        "/after" => Answer::After(Duration::ZERO, Box::new(|| Response::text("after"))),
        "/offload" => Answer::Offload(Box::new(|| Response::text("offload"))),
        "/panic" => panic!("on purpose"),
        "/panic-offload" => Answer::Offload(Box::new(|| panic!("on purpose"))),
        _ => files.handle(request),
    }
}

/// A server and its log.
struct Logged {
    server: Threads,
    log: Log,
    output: PathBuf,
    _site: Arc<Site>,
    _directory: TempDir,
}

impl Logged {
    /// One that writes to a file.
    fn start(engine: Engine, format: Format, settings: Settings) -> Logged {
        let directory = TempDir::new().expect("a directory");
        let output = directory.path().join("access.log");
        Logged::to(engine, format, settings, directory, output)
    }

    fn to(engine: Engine, format: Format, settings: Settings, directory: TempDir, output: PathBuf) -> Logged {
        let site = Site::shared();
        let log = Log::open(Output::File(output.clone())).expect("a log");
        let layer = AccessLog::new(log.clone(), format).expect("it is not off");
        let server = Threads::start(engine, settings, Stack::new(app(&site)).wrapped_in(layer));
        Logged { server, log, output, _site: site, _directory: directory }
    }

    /// All lines, once there are as many. Who has read an answer may be faster than the line about it.
    fn lines(&self, count: usize) -> Vec<String> {
        until("lines", || {
            assert!(self.log.flush(Duration::from_secs(20)), "the log does not come to an end");
            let lines = lines_of(&self.output);
            (lines.len() >= count).then_some(lines)
        })
    }
}

fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("text");
    assert!(text.is_empty() || text.ends_with('\n'), "an unfinished line: {text:?}");
    text.lines().map(str::to_owned).collect()
}

/// Checks that a line of the combined format has a time where it should, and takes it out.
fn timeless(line: &str) -> String {
    let (before, behind) = line.split_once(" [").expect("a time");
    let (time, behind) = behind.split_once("] ").expect("its end");
    let shape = time.replace(|c: char| c.is_ascii_digit(), "0");
    assert!(
        shape.len() == 26 && shape.starts_with("00/") && shape.ends_with("/0000:00:00:00 +0000"),
        "{time}"
    );
    format!("{before} {behind}")
}

/// What is sent on a connection of its own, and what the line about it must say behind the time: the request line,
/// the status, the bytes that the client got, and what else there is.
fn check(logged: &Logged, number: usize, sent: &[u8], expected: &str, others: &str) {
    let mut client = logged.server.connect();
    let Reply { status, content, .. } = client.ask(sent);
    let line = timeless(&logged.lines(number + 1)[number]);
    assert_eq!(line, format!("127.0.0.1 - - \"{expected}\" {status} {} {others}", content.len()));
}

/// Asks for as many different things, so that each line is about a request of its own.
fn ask_many(mut client: Client, name: &str, count: usize) {
    for number in 0..count {
        assert_eq!(client.ask(get(&format!("/notes.txt?{name}-{number}"))).status, 200);
    }
    client.finish();
}

/// The queries in these lines, every one of which must be whole.
fn queries(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let query = |line: String| {
        let line = timeless(&line);
        let query = line.strip_prefix("127.0.0.1 - - \"GET /notes.txt?").expect("the beginning of a line");
        query.strip_suffix(" HTTP/1.1\" 200 6 \"-\" \"-\"").expect("the end of a line").to_owned()
    };
    let mut queries: Vec<String> = lines.into_iter().map(query).collect();
    queries.sort();
    queries
}

fn expected_queries(names: &[String], count: usize) -> Vec<String> {
    let numbers = |name: &String| (0..count).map(|number| format!("{name}-{number}")).collect::<Vec<_>>();
    let mut queries: Vec<String> = names.iter().flat_map(numbers).collect();
    queries.sort();
    queries
}

/// A FIFO whose reader reads when it is told to.
fn fifo(directory: &TempDir) -> (PathBuf, File) {
    let path = directory.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let reader = OpenOptions::new().read(true).custom_flags(nonblocking).open(&path).expect("a reader");
    (path, reader)
}

/// The lines that come out of a pipe, up to the one with this in it.
fn lines_until(reader: File, last: &str) -> Vec<String> {
    rustix::io::ioctl_fionbio(&reader, false).expect("a pipe that waits");
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
    fn a_line_says_what_was_asked_and_how_it_was_answered(engine: Engine) {
        let logged = Logged::start(engine, Format::Combined, settings());
        let named = "Referer: http://a/?b\r\nUser-Agent: Agent/1 (x; y)\r\n";
        let (none, both) = (r#""-" "-""#, r#""http://a/?b" "Agent/1 (x; y)""#);
        for (number, (sent, line, others)) in [
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
            // Of a request whose work failed later than at once, nothing is known any more.
            (get("/panic-offload"), "-", none),
        ].into_iter().enumerate() {
            check(&logged, number, sent.as_bytes(), line, others);
        }
    }

    fn what_was_refused_has_its_line(engine: Engine) {
        let logged = Logged::start(engine, Format::Combined, settings());
        let none = r#""-" "-""#;
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
        let fields = "Transfer-Encoding: chunked\r\nReferer: me\r\n";
        let chunked = request("POST", "/notes.txt", fields) + "xyz\r\n";
        for (number, (sent, line, others)) in [
            ("garbage\r\n\r\n", "-", none),
            ("\x16\x03\x01\x02\r\n", "-", none),
            ("GET / HTTP/1.1\r\n\r\n", "-", none),
            (&long, "-", none),
            (&request("POST", "/notes.txt", "Content-Length: 1048577\r\n"), "POST /notes.txt HTTP/1.1", none),
            (&chunked, "POST /notes.txt HTTP/1.1", r#""me" "-""#),
        ].into_iter().enumerate() {
            check(&logged, number, sent.as_bytes(), line, others);
        }
    }

    fn who_is_turned_away_has_a_line(engine: Engine) {
        let settings = Settings { max_connections_per_address: Some(1), ..settings() };
        let logged = Logged::start(engine, Format::Common, settings);
        let mut first = logged.server.connect();
        assert_eq!(first.ask(get("/notes.txt")).status, 200);
        logged.lines(1);
        let Reply { status, content, .. } = logged.server.connect().ask(get("/notes.txt"));
        let line = timeless(&logged.lines(2)[1]);
        assert_eq!((status, line), (503, format!("127.0.0.1 - - \"-\" 503 {}", content.len())));
        first.finish();
    }

    fn no_peer_can_forge_a_line(engine: Engine) {
        let logged = Logged::start(engine, Format::Combined, settings());
        let agent = b"\" 200 0 \"-\" \"\\\xff\x09\xc3\xa4";
        let head = b"GET /\"%0A\\x HTTP/1.1\r\nHost: test\r\nUser-Agent: ";
        let others = r#""-" "\x22 200 0 \x22-\x22 \x22\x5C\xFF\x09\xC3\xA4""#;
        check(&logged, 0, &[&head[..], agent, b"\r\n\r\n"].concat(), r"GET /\x22%0A\x5Cx HTTP/1.1", others);
    }

    fn json_has_typed_members(engine: Engine) {
        let logged = Logged::start(engine, Format::Json, settings());
        let fields = "Range: bytes=1-3\r\nUser-Agent: \"\u{e4}\\\r\n";
        assert_eq!(logged.server.connect().ask(request("GET", "/notes.txt?q", fields)).status, 206);
        logged.lines(1);
        assert_eq!(logged.server.connect().ask("garbage\r\n\r\n").status, 400);
        let lines = logged.lines(2);
        let [mut asked, refused] =
            [0, 1].map(|at| serde_json::from_str::<serde_json::Value>(&lines[at]).expect("JSON"));
        assert!(asked["duration_ms"].take().as_f64().is_some_and(|duration| duration >= 0.0));
        let time = asked["time"].take().as_str().map(|time| time.replace(|c: char| c.is_ascii_digit(), "0"));
        assert_eq!(time.as_deref(), Some("0000-00-00T00:00:00Z"));
        assert_eq!(asked, serde_json::json!({
            "time": null, "peer": "127.0.0.1", "method": "GET", "target": "/notes.txt?q", "version": "HTTP/1.1",
            "status": 206, "bytes": 3, "complete": true, "duration_ms": null, "referer": null,
            "user_agent": "\"\u{c3}\u{a4}\\",
        }));
        assert_eq!((&refused["target"], &refused["status"]), (&serde_json::Value::Null, &400.into()));
    }

    fn of_a_download_that_was_broken_off_only_what_was_sent_counts(engine: Engine) {
        let logged = Logged::start(engine, Format::Json, settings());
        let mut client = Client::connect_narrow(logged.server.address);
        client.send(get("/huge.bin"));
        client.stream.read_exact(&mut [0; 100_000]).expect("the download begins");
        client.reset();
        let line: serde_json::Value = serde_json::from_str(&logged.lines(1)[0]).expect("JSON");
        let sent = line["bytes"].as_u64().expect("a number");
        assert!(sent > 90_000 && sent < HUGE, "{line}");
        assert_eq!((&line["status"], &line["complete"]), (&200.into(), &false.into()));
    }

    fn pipelined_requests_have_their_lines_in_order(engine: Engine) {
        let logged = Logged::start(engine, Format::Combined, settings());
        let mut client = logged.server.connect();
        client.send((0..100).map(|number| get(&format!("/notes.txt?{number:02}"))).collect::<String>());
        (0..100).for_each(|_| assert_eq!(client.reply(Asked::Http11).status, 200));
        client.finish();
        let expected: Vec<String> = (0..100).map(|number| format!("{number:02}")).collect();
        assert_eq!(queries(logged.lines(100)), expected);
    }

    /// Nobody reads the pipe: all are served, what does not fit is counted, and what comes out later is whole.
    fn a_pipe_that_nobody_reads_holds_nobody_up(engine: Engine) {
        let directory = TempDir::new().expect("a directory");
        let (path, reader) = fifo(&directory);
        let logged = Logged::to(engine, Format::Combined, settings(), directory, path);
        let (mut client, mut asked) = (logged.server.connect(), 0);
        let long = get(&format!("/notes.txt?{}", "q".repeat(1900)));
        while logged.log.lost() == 0 {
            assert!(asked < 10_000, "there is no end to what the log takes");
            assert_eq!(client.ask(&long).status, 200);
            asked += 1;
        }
        assert!(!logged.log.flush(Duration::ZERO), "nobody has read anything");
        let reading = thread::spawn(move || lines_until(reader, "?last "));
        assert!(logged.log.flush(Duration::from_secs(20)), "it goes on when somebody reads");
        assert_eq!(client.ask(get("/notes.txt?last")).status, 200);
        let lines = queries(reading.join().expect("all lines"));
        let lost = logged.log.lost();
        assert_eq!((lost > 0, lines.len() as u64 + lost), (true, asked + 1));
        client.finish();
    }

    fn reopening_loses_and_doubles_nothing(engine: Engine) {
        let logged = Logged::start(engine, Format::Combined, settings());
        let (clients, count) = (4, 500);
        let names: Vec<String> = (0..clients).map(|client| client.to_string()).collect();
        let mut rotated = Vec::new();
        thread::scope(|scope| {
            let asking: Vec<_> = names
                .iter()
                .map(|name| scope.spawn(|| ask_many(logged.server.connect(), name, count)))
                .collect();
            while asking.iter().any(|asking| !asking.is_finished()) || rotated.len() < 3 {
                let old = logged.output.with_extension(rotated.len().to_string());
                fs::rename(&logged.output, &old).expect("a log that is renamed");
                rotated.push(old);
                logged.log.reopen();
                until("a new file", || logged.output.exists().then_some(()));
            }
        });
        let all = until("all lines", || {
            assert!(logged.log.flush(Duration::from_secs(20)));
            let files = rotated.iter().chain([&logged.output]);
            let all: Vec<String> = files.flat_map(|file| lines_of(file)).collect();
            (all.len() >= clients * count).then_some(all)
        });
        assert!(queries(all) == expected_queries(&names, count), "lost, doubled or torn");
        assert_eq!(logged.log.lost(), 0);
    }

    /// As worker processes do: each has the file open for itself.
    fn several_can_write_to_one_file(engine: Engine) {
        let directory = TempDir::new().expect("a directory");
        let output = directory.path().join("access.log");
        let own = || TempDir::new().expect("a directory");
        let start = |_| Logged::to(engine, Format::Combined, settings(), own(), output.clone());
        let all: Vec<Logged> = (0..3).map(start).collect();
        let names = ["a", "b", "c"].map(str::to_owned);
        thread::scope(|scope| {
            for (logged, name) in all.iter().zip(&names) {
                scope.spawn(|| ask_many(logged.server.connect(), name, 500));
            }
        });
        let lines = until("all lines", || {
            all.iter().for_each(|logged| assert!(logged.log.flush(Duration::from_secs(20))));
            let lines = lines_of(&output);
            (lines.len() >= 1500).then_some(lines)
        });
        assert!(queries(lines) == expected_queries(&names, 500), "lost, doubled or torn");
    }

    fn a_full_disk_costs_lines_and_nothing_else(engine: Engine) {
        let directory = TempDir::new().expect("a directory");
        let logged = Logged::to(engine, Format::Combined, settings(), directory, "/dev/full".into());
        ask_many(logged.server.connect(), "x", 100);
        until("a hundred lines that are lost", || {
            logged.log.flush(Duration::from_secs(20));
            (logged.log.lost() == 100).then_some(())
        });
        ask_many(logged.server.connect(), "y", 10);
    }
}

#[test]
fn what_cannot_be_opened_is_an_error() {
    let directory = TempDir::new().expect("a directory");
    let check = |path: PathBuf| assert!(Log::open(Output::File(path.clone())).is_err(), "{}", path.display());
    check(directory.path().join("nowhere/access.log"));
    check(directory.path().to_owned());
    // A FIFO that nobody reads must not hold up a start.
    let (path, reader) = fifo(&directory);
    drop(reader);
    check(path);
}

/// Even if the disk stays full to the end: the last word of a process is how many lines are missing.
#[test]
fn every_kind_of_server_tells_what_it_lost() {
    for kind in [Kind::EventLoop, Kind::Blocking, Kind::EventLoopPrefork, Kind::BlockingPrefork] {
        let program =
            program::serve(&[kind.arguments(), &["--log", "combined", "--log-file", "/dev/full"]].concat());
        ask_many(Client::connect(program.address()), "x", 7);
        program.signal(Signal::TERM);
        let said = program.exit().stderr;
        assert!(said.contains(": cannot write to /dev/full: No space left on device"), "{kind:?}: {said}");
        let lost = said.lines().filter_map(|line| line.split_once("lines lost for /dev/full: "));
        let lost: u64 = lost.map(|(_, count)| count.parse::<u64>().expect("a number")).sum();
        assert_eq!(lost, 7, "{kind:?}: {said}");
    }
}

#[test]
fn what_is_off_is_not_there() {
    let log = Log::open(Output::File("/dev/null".into())).expect("a log");
    assert!(AccessLog::new(log, Format::Off).is_none());
}
