//! The two programs in processes of their own: graceful shutdown, and what they write to the error log.

use crate::demo::program;
use demo::weather_stub::Stub;
use http_testing::{
    client::{Client, get},
    program::{Program, without_root_warning},
    server::ServerKind,
    site::Directory,
};
use rustix::process::Signal;
use std::process::Command;

/// Requests these targets on one connection, stops the server, and returns the lines of its error log.
fn error_log(kind: ServerKind, weather_url: &str, targets: &[&str]) -> Vec<String> {
    let directory = Directory::new();
    let log = directory.path("error.log");
    let program = Program::start(program(kind).args(["--weather-url", weather_url, "--error-log"]).arg(log));
    let mut client = Client::connect(program.address());
    for target in targets {
        client.fetch(get(target));
    }
    drop(client);
    program.signal(Signal::TERM);
    assert_eq!(program.wait().stderr, "");
    let lines = without_root_warning(&directory.read("error.log"));
    lines.lines().map(str::to_owned).collect()
}

http_testing::both_engines! {
    fn shutdown_responds_to_requests_in_flight(kind: ServerKind) {
        let program = Program::start(&mut program(kind));
        let mut idle = Client::connect(program.address());
        assert_eq!(idle.fetch(get("/hello")).status, 200);
        let mut busy = Client::connect_and_send(program.address(), get("/io_task?ms=400"));
        program.signal(Signal::TERM);
        idle.expect_eof();
        let response = busy.response();
        assert_eq!((response.status, response.header("Connection")), (200, Some("close")));
        busy.expect_eof();
        drop((idle, busy));
        assert_eq!(program.wait().code, Some(0));
    }

    fn logs_a_panic_in_one_line(kind: ServerKind) {
        let lines = error_log(kind, "http://localhost", &["/error_task?kind=panic"]);
        let [line] = &lines[..] else { panic!("not one line: {lines:?}") };
        assert!(line.contains("Z error ") && line.contains(" panicked at "), "{line}");
        assert!(line.ends_with(": this task panics on purpose"), "{line}");
    }

    fn logs_each_weather_fetch_in_one_line(kind: ServerKind) {
        let stub = Stub::start("127.0.0.1:0").expect("a free port");
        let here = "latitude=1&longitude=2";
        let queries = ["city=Berlin", "city=berlin", here, "city=error", "city=", "city=%22%27"];
        let targets = queries.map(|query| format!("/weather?{query}"));
        let lines = error_log(kind, &stub.url(), &targets.each_ref().map(String::as_str));
        let fetches = lines.iter().filter_map(|line| line.split_once("weather of ")?.1.rsplit_once(", after "));
        let (fetches, durations): (Vec<&str>, Vec<&str>) = fetches.unzip();
        assert!(durations.iter().all(|duration| duration.ends_with(" ms")), "{lines:?}");
        assert_eq!(fetches, [
            "\"berlin\": 4 C, light rain",
            "1, 2: 30 C, light rain",
            "\"error\": the city search failed: upstream responded with status 500",
            "\"\\x5C\"'\": 10 C, light rain",
        ]);
    }
}

/// The three programs of this crate.
const PROGRAMS: [(&str, &str); 3] = [
    (env!("CARGO_BIN_EXE_sync-server"), "sync-server"),
    (env!("CARGO_BIN_EXE_async-server"), "async-server"),
    (env!("CARGO_BIN_EXE_weather-stub"), "weather-stub"),
];

#[test]
fn each_program_has_its_own_help_and_version() {
    for (path, name) in PROGRAMS {
        let run = |argument| Program::spawn(Command::new(path).arg(argument)).expect(name).wait();
        for flag in ["-V", "--version"] {
            let exit = run(flag);
            let expected = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
            assert_eq!((exit.code, exit.stdout, exit.stderr), (Some(0), expected, String::new()));
        }
        for flag in ["-h", "--help"] {
            let exit = run(flag);
            assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
            assert!(exit.stdout.contains(&format!("\nUsage: {name} [")), "{name}: {}", exit.stdout);
        }
        let exit = run("--nonsense");
        assert_eq!((exit.code, &*exit.stdout), (Some(2), ""), "{name}: {}", exit.stderr);
    }
}
