//! Runs both experiments with `load-test`.

use std::fs;
use std::path::Path;
use std::process::Command;

use load_test::report::{Cell, Metric, Results};

/// All tests of the experiments.
pub const TESTS: &[fn()] = &[
    measures_servers,
    measures_architectures,
    sets_the_conditions_of_a_workload,
    reports_wrong_responses,
    reports_failures,
    derives_rates_from_capacities,
    compares_clients_and_workers,
    leaves_out_missing_programs,
    refuses_wrong_options,
];

/// Workloads of `servers` that need no other program, and neither thousands of connections nor thousands of files.
const SERVERS: &str =
    "keep-alive,close,large,absent,not-modified,head,pipelined,logged,start,cores,directory-100";
/// Workloads of `architectures` that the small server can serve.
const ARCHITECTURES: &str = "hello,static,thousand-waits,beside-none,beside-idle,beside-slow";

/// The result of a run of `load-test`: exit code, output, and the file of results if there is one.
struct Outcome {
    code: Option<i32>,
    output: String,
    results: Option<Results>,
}

/// Runs an experiment with a server that has this flaw, and with the same server in the place of `bare-loop`.
fn run(flaw: &str, experiment: &str, rounds: &str, options: &[&str]) -> Outcome {
    let dir = crate::programs(flaw);
    let (bin, out) = (dir.path().join(flaw), dir.path().join("out"));
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
    let run = run("none", "servers", "1", &["--only", "httpd,bare-loop", "--workload", SERVERS]);
    // The bare loop takes part in four of eleven workloads.
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
    // The server has no TLS.
    check("none", "tls-keep-alive", 1);
}

fn reports_wrong_responses() {
    let some = run("sometimes wrong", "servers", "2", &["--only", "httpd", "--workload", "pipelined"]);
    let rounds: Vec<_> = some.cell().samples.iter().map(|sample| sample.round).collect();
    assert!(rounds == [1, 2] && some.cell().wrong()["wrong content"] > 0, "{}", some.output);
    let all = run("always wrong", "servers", "2", &["--only", "httpd", "--workload", "keep-alive"]);
    let failures = &all.cell().failures;
    assert!(failures[1].starts_with("round 2: no correct response: ") && failures.len() == 2, "{failures:?}");
    assert_eq!((some.code, all.code), (Some(1), Some(1)));
    let uncompressed = run("no compression", "servers", "1", &["--only", "httpd", "--workload", "gzip"]);
    assert!(uncompressed.cell().failures[0].ends_with(" × wrong header"), "{}", uncompressed.output);
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

fn derives_rates_from_capacities() {
    let run = run("none", "servers", "2", &["--only", "httpd", "--workload", "tail"]);
    let [half, most, equal] = &*run.results().cells else { panic!("{}", run.output) };
    for round in 0..2 {
        let value = |cell: &Cell, metric| cell.samples[round].value(metric).unwrap();
        let [half_capacity, most_capacity] = [half, most].map(|cell| value(cell, Metric::Capacity));
        let expected = [half_capacity * 0.5, most_capacity * 0.8, half_capacity.min(most_capacity) * 0.8];
        let rates = [half, most, equal].map(|cell| value(cell, Metric::Rate));
        for (rate, expected) in rates.iter().zip(expected) {
            // The file has rounded numbers.
            assert!((rate / expected - 1.0).abs() < 0.01, "{rates:?}: {}", run.output);
        }
        assert!(value(equal, Metric::P999) >= value(equal, Metric::P50), "{}", run.output);
    }
}

fn compares_clients_and_workers() {
    let run = run("none", "servers", "1", &["--only", "httpd", "--workload", "mixed-http,workers"]);
    let [mixed, workers] = &*run.results().cells else { panic!("{}", run.output) };
    for metric in [Metric::SlowestKept, Metric::SlowestNew, Metric::SlowestLarge, Metric::SlowestGzip] {
        assert!(mixed.median(metric).is_some_and(|share| (0.0..=1.0).contains(&share)), "{}", run.output);
    }
    // One of its processes has all connections: as if the other three of four workers had none.
    assert_eq!((workers.median(Metric::BusiestWorker), run.code), (Some(4.0), Some(0)), "{}", run.output);
}

fn leaves_out_missing_programs() {
    let run =
        run("no tags", "servers", "1", &["--only", "httpd,tiny-http", "--workload", "not-modified,absent"]);
    let left_out = &run.results().runs["servers"].left_out;
    let expected =
        ["tiny-http: tiny-http is missing in baselines", "httpd in not-modified: it sends no entity tag"];
    assert_eq!(left_out, &expected, "{}", run.output);
    assert_eq!((&*run.cell().workload, run.cell().samples.len(), run.code), ("absent", 1, Some(0)));
    let options = ["--only", "httpd", "--workload", "tail-equal,absent"];
    let run = self::run("none", "servers", "1", &options);
    let left_out = &run.results().runs["servers"].left_out;
    assert_eq!(left_out, &["httpd in tail-equal: no capacity was measured before in the same round"]);
}

fn refuses_wrong_options() {
    let check = |options: &[&str], expected: &str| {
        let run = run("none", "servers", "1", options);
        assert_eq!((run.code, run.results.is_none()), (Some(2), true), "{options:?}: {}", run.output);
        assert!(run.output.contains(expected), "{options:?}: {}", run.output);
    };
    let missing = "nothing to measure: tiny-http and hyper are missing in baselines; build them with \"cargo build \
                   --release\" in http-test-suite/baselines\n";
    check(&["--only", "tiny-http,hyper-hello"], missing);
    let missing = "weather-stub is missing in --bin-dir; build it with ";
    let run = run("none", "architectures", "1", &["--only", "loop", "--workload", "weather"]);
    assert!(run.code == Some(2) && run.output.contains(missing), "{}", run.output);
    check(&["--only", "apache", "--workload", "logged"], "nothing to measure: no chosen subject takes part ");
    check(&["--only", "no-such-server"], "unknown: no-such-server; choose from httpd, httpd-blocking, ");
    check(&["--workload", "nothing"], "unknown: nothing; choose from keep-alive, close, ");
    check(&["--time", "0s"], "--time");
    check(&["--workers", "0"], "--workers");
}
