//! Runs both experiments with a small correct server in the place of this project's servers, and with the same server
//! with a flaw. No other server has to be installed.
//!
//! The test has no harness, because the same program is also the server. The flaw is the name of its directory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lints know tests by their attribute, not their folder"
)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, thread};

use load_test::report::{Cell, Metric, Results};

/// Workloads of `servers` that need no other program, and neither thousands of connections nor thousands of files.
const SERVERS: &str =
    "keep-alive,close,large,absent,not-modified,head,pipelined,logged,start,cores,directory-100";
/// Workloads of `architectures` that the small server can serve.
const ARCHITECTURES: &str = "hello,static,thousand-waits,beside-none,beside-idle,beside-slow";

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if arguments.iter().any(|argument| argument == "-p") {
        serve(&arguments);
    }
    match arguments.get(1).map(String::as_str) {
        Some("--version") => println!("small server 7"),
        // A filter for another test, as a harness would get it.
        Some(filter) if !filter.starts_with('-') && !"experiments".contains(filter) => {}
        _ => thread::scope(|scope| {
            let tests = [
                measures_servers,
                measures_architectures,
                sets_the_conditions_of_a_workload,
                reports_wrong_responses,
                reports_failures,
                leaves_out_missing_programs,
                refuses_wrong_options,
            ];
            for test in tests {
                scope.spawn(test);
            }
        }),
    }
}

/// The result of a run of `load-test`: exit code, output, and the file of results if there is one.
struct Outcome {
    code: Option<i32>,
    output: String,
    results: Option<Results>,
}

/// Runs an experiment with a server that has this flaw, and with the same server in the place of `limit`.
fn run(flaw: &str, experiment: &str, rounds: &str, options: &[&str]) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let (bin, out) = (dir.path().join(flaw), dir.path().join("out"));
    fs::create_dir(&bin).unwrap();
    for name in ["httpd", "async-server", "sync-server", "limit"] {
        symlink(env::current_exe().unwrap(), bin.join(name)).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_load-test"))
        .args([experiment, "--time", "100ms", "--rounds", rounds])
        .args([Path::new("--bin-dir"), &bin, Path::new("--baselines"), &bin, Path::new("--out"), &out])
        .args(options)
        .output()
        .unwrap();
    let output_text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let results = fs::read_to_string(out.join("results.json")).ok();
    if let Some(results) = &results {
        assert!(!results.contains(dir.path().to_str().unwrap()) && !results.contains("/tmp"), "{results}");
    }
    let results = results.map(|results| Results::parse(&results).unwrap());
    Outcome { code: output.status.code(), output: output_text, results }
}

impl Outcome {
    fn results(&self) -> &Results {
        self.results.as_ref().unwrap_or_else(|| panic!("{}", self.output))
    }

    /// The only cell.
    fn cell(&self) -> &Cell {
        let [cell] = &*self.results().cells else { panic!("{}", self.output) };
        cell
    }

    /// Checks that every cell has a correct sample with positive values of these metrics, and that the servers used CPU
    /// time. On a busy machine a server may be idle during one measurement.
    fn check(&self, cells: usize, metrics: fn(&Cell) -> &'static [Metric]) {
        for cell in &self.results().cells {
            assert_eq!((cell.samples.len(), cell.wrong().len()), (1, 0), "{cell:?}");
            for metric in metrics(cell) {
                assert!(cell.median(*metric).is_some_and(|value| value > 0.0), "{metric}: {cell:?}");
            }
        }
        assert_eq!((self.code, self.results().cells.len()), (Some(0), cells), "{}", self.output);
        for metric in [Metric::Cpu, Metric::Busy, Metric::Waits] {
            let values = self.results().cells.iter().filter_map(|cell| cell.median(metric));
            assert!(values.sum::<f64>() > 0.0, "{metric}: {}", self.output);
        }
    }
}

fn measures_servers() {
    let run = run("none", "servers", "1", &["--only", "httpd,limit", "--workload", SERVERS]);
    // The limit takes part in four of eleven workloads.
    run.check(11 + 4, |cell| match &*cell.workload {
        "start" => &[Metric::StartTime],
        _ => &[Metric::Throughput, Metric::P50, Metric::P99, Metric::Memory],
    });
    let info = &run.results().runs["servers"];
    assert_eq!((&*info.subjects[0].version, info.workloads.len()), ("small server 7", 11));
    assert_eq!(info.left_out, [""; 0]);
    assert!(run.output.contains("## A file of 1 KiB, keep-alive\n"), "{}", run.output);
}

fn measures_architectures() {
    let run = run(
        "none",
        "architectures",
        "1",
        &["--quick", "--only", "loop,threads", "--workload", ARCHITECTURES],
    );
    // Two of six workloads have two numbers of connections in a quick run.
    run.check(2 * (6 + 2), |cell| match &*cell.workload {
        "thousand-waits" => &[Metric::Elapsed, Metric::Memory, Metric::Threads],
        "beside-idle" | "beside-slow" => &[Metric::P99, Metric::MemoryPerConnection],
        "beside-none" => &[Metric::P99, Metric::Threads],
        _ => &[Metric::Throughput, Metric::P99, Metric::Memory],
    });
    let beside = |cell: &&Cell| cell.workload == "beside-none";
    let alone = run.results().cells.iter().find(beside).unwrap();
    assert_eq!(
        alone.median(Metric::Throughput),
        None,
        "the rate of a bystander says nothing about the server"
    );
    let workers = &run.results().cells[0].samples[0].per_worker;
    assert_eq!(workers.keys().collect::<Vec<_>>(), ["small; worker=0"], "{workers:?}");
}

fn sets_the_conditions_of_a_workload() {
    let check = |flaw: &str, workload: &str, code: i32| {
        let run = run(flaw, "servers", "1", &["--only", "httpd", "--workload", workload]);
        assert_eq!(run.code, Some(code), "{flaw}, {workload}: {}", run.output);
    };
    check("needs a log", "logged", 0);
    check("needs a log", "keep-alive", 1);
    check("rejects pipelining", "keep-alive", 0);
    check("rejects pipelining", "pipelined", 1);
}

fn reports_wrong_responses() {
    let some = run("sometimes wrong", "servers", "2", &["--only", "httpd", "--workload", "pipelined"]);
    let rounds: Vec<_> = some.cell().samples.iter().map(|sample| sample.round).collect();
    assert!(rounds == [1, 2] && some.cell().wrong()["wrong content"] > 0, "{}", some.output);
    let all = run("always wrong", "servers", "2", &["--only", "httpd", "--workload", "keep-alive"]);
    let failures = &all.cell().failures;
    assert!(failures[1].starts_with("round 2: no correct response: ") && failures.len() == 2, "{failures:?}");
    assert_eq!((some.code, all.code), (Some(1), Some(1)));
}

fn reports_failures() {
    let check = |flaw: &str, experiment: &str, options: &[&str], expected: &str| {
        let run = run(flaw, experiment, "1", options);
        assert_eq!((run.code, &*run.cell().failures), (Some(1), &[expected.to_owned()][..]), "{flaw}");
    };
    let keep_alive = ["--only", "httpd", "--workload", "keep-alive"];
    // Without the path of the temporary directory.
    check("does not start", "servers", &keep_alive, "round 1: httpd: did not start: cannot serve /site");
    check("exit code 3", "servers", &keep_alive, "round 1: stopped with exit status: 3");
    let idle = ["--only", "loop", "--workload", "beside-idle"];
    let expected = "round 1: 1000 of 1000 other clients were disconnected";
    check("disconnects idle clients", "architectures", &idle, expected);
}

fn leaves_out_missing_programs() {
    let run =
        run("no tags", "servers", "1", &["--only", "httpd,tiny-http", "--workload", "not-modified,absent"]);
    let left_out = &run.results().runs["servers"].left_out;
    let expected =
        ["tiny-http: tiny-http is not built in baselines", "httpd in not-modified: it sends no entity tag"];
    assert_eq!(left_out, &expected, "{}", run.output);
    assert_eq!((&*run.cell().workload, run.cell().samples.len(), run.code), ("absent", 1, Some(0)));
}

fn refuses_wrong_options() {
    let check = |options: &[&str], expected: &str| {
        let run = run("none", "servers", "1", options);
        assert_eq!((run.code, run.results.is_none()), (Some(2), true), "{options:?}: {}", run.output);
        assert!(run.output.contains(expected), "{options:?}: {}", run.output);
    };
    check(&["--only", "tiny-http"], "nothing to measure: ");
    check(&["--only", "no-such-server"], "unknown: no-such-server; choose from httpd, httpd-blocking, ");
    check(&["--workload", "nothing"], "unknown: nothing; choose from keep-alive, close, ");
    check(&["--time", "0s"], "--time");
    check(&["--workers", "0"], "--workers");
}

/// The number of requests over all connections, so that a flaw can affect some of them.
static SERVED: AtomicU64 = AtomicU64::new(0);

/// Serves with a thread for each connection. The arguments include `-p PORT`, and `-r ROOT`, `--root ROOT` or
/// `--size BYTES`. A shell runs around the server, because safe code cannot handle a signal.
fn serve(arguments: &[String]) -> ! {
    let value = |names: &[&str]| {
        let at = arguments.iter().position(|argument| names.contains(&argument.as_str()))?;
        arguments.get(at + 1).cloned()
    };
    let flaw = Path::new(&arguments[0]).parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let root = value(&["-r", "--root"]);
    if flaw == "does not start" || (flaw == "needs a log" && value(&["--log-file"]).is_none()) {
        eprintln!("cannot serve {}", root.unwrap_or_default());
        exit(1);
    }
    if arguments.last().unwrap() != "inner" {
        let code = if flaw == "exit code 3" { 3 } else { 0 };
        let script = format!("trap 'kill $!; exit {code}' TERM; \"$0\" \"$@\" inner & wait");
        panic!("{}", Command::new("sh").arg("-c").arg(script).args(arguments).exec());
    }
    let size = value(&["--size"]).map(|size| size.parse().unwrap());
    let content = move |target: &str| match (&root, size, target) {
        (None, size, _) => Some(vec![b'x'; size?]),
        (_, _, "/hello") => Some(b"Hello, World!".to_vec()),
        (Some(root), ..) => match target.split_once("ms=") {
            Some((_, ms)) => Some(format!("{{\"task\":\"io\",\"waited_ms\":{ms}}}\n").into_bytes()),
            None => fs::read(format!("{root}/{}", target.trim_start_matches("/static/"))).ok(),
        },
    };
    let listener = TcpListener::bind(("127.0.0.1", value(&["-p"]).unwrap().parse().unwrap())).unwrap();
    println!("small server at http://{}/", listener.local_addr().unwrap());
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        let (flaw, content) = (flaw.clone(), content.clone());
        // A client may disconnect at any time.
        thread::spawn(move || serve_connection(stream, &flaw, content).unwrap_or_default());
    }
}

fn serve_connection(
    mut stream: TcpStream,
    flaw: &str,
    content: impl Fn(&str) -> Option<Vec<u8>>,
) -> io::Result<()> {
    let (mut received, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        received.extend_from_slice(&buffer[..count]);
        let mut responses = Vec::new();
        if flaw == "rejects pipelining" && String::from_utf8_lossy(&received).matches("GET ").count() > 1 {
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received.drain(..end + 4).collect::<Vec<_>>()).into_owned();
            let target = head.split(' ').nth(1).unwrap_or_default();
            respond(&mut responses, &head, flaw, content(target))?;
            if head.contains("Connection: close") {
                return stream.write_all(&responses);
            }
        }
        stream.write_all(&responses)?;
        if flaw == "disconnects idle clients" && SERVED.load(Ordering::Relaxed) <= 1001 {
            return Ok(());
        }
    }
}

fn respond(out: &mut Vec<u8>, head: &str, flaw: &str, content: Option<Vec<u8>>) -> io::Result<()> {
    let Some(mut content) = content else {
        return write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    };
    let tag = if flaw == "no tags" { "" } else { "eTag: \"1\"\r\n" };
    if head.contains("If-None-Match: \"1\"") {
        return write!(out, "HTTP/1.1 304 Not Modified\r\n{tag}\r\n");
    }
    let number = SERVED.fetch_add(1, Ordering::Relaxed);
    let is_wrong = flaw == "always wrong" || (flaw == "sometimes wrong" && number % 100 == 99);
    if let Some(last) = content.last_mut().filter(|_| is_wrong) {
        *last ^= 1;
    }
    let length = content.len();
    write!(out, "HTTP/1.1 200 OK\r\n{tag}X-Served-By: small; worker=0\r\nContent-Length: {length}\r\n\r\n")?;
    if head.starts_with("HEAD ") { Ok(()) } else { out.write_all(&content) }
}
