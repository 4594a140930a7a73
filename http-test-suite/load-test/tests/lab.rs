//! Tests of the lab with hand-made numbers: comparison, files, pictures, page, table, and the parsers of `/proc`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lints know tests by their attribute, not their folder"
)]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use load_test::lab::compare::{Incomparable, Verdict};
use load_test::lab::observe::{Process, Spent, Stat, Thread, Tree};
use load_test::lab::results::{Cell, Machine, Sample, Settings, Spread, Unusable, VERSION};
use load_test::lab::{Architecture, Comparison, Metric, Results, html, plot, table};

/// A run of one cell, whose rounds had this many requests in a second each.
fn run_of(requests: &[u64]) -> Results {
    results(vec![cell("hello", Architecture::Loop, 16, requests)])
}

fn results(cells: Vec<Cell>) -> Results {
    let machine =
        Machine { date: "2026-01-01T00:00:00Z".into(), cpu: "a <fast> one".into(), ..Machine::default() };
    let settings =
        Settings { rounds: 3, seconds: 1.0, workers: 4, server_cpus: vec![0], driver_cpus: vec![1] };
    Results { version: VERSION, machine, settings, programs: vec!["server 1".into()], cells }
}

fn cell(workload: &str, architecture: Architecture, connections: usize, requests: &[u64]) -> Cell {
    let sample = |requests: &u64| Sample {
        seconds: 1.0,
        requests: *requests,
        p50_micros: 100.0,
        p99_micros: 1e9 / *requests as f64,
        cpu_micros: 1e6 / *requests as f64,
        memory_bytes: 3 << 20,
        memory_before_bytes: 1 << 20,
        threads: 2,
        workers: [("async; worker=0".to_owned(), *requests)].into(),
        ..Sample::default()
    };
    let samples = requests.iter().map(sample).collect();
    let (workload, architecture) = (workload.to_owned(), architecture.id().to_owned());
    Cell { workload, architecture, connections, samples, failure: None }
}

#[test]
fn a_change_counts_beyond_the_bound_and_the_spread() {
    let check = |before: &[u64], after: &[u64], verdict: Verdict| {
        let (before, after) = (run_of(before), run_of(after));
        for metric in [Metric::Throughput, Metric::Cpu] {
            let comparison = Comparison::of(&before, &after, &[metric], 0.1).unwrap();
            assert_eq!(comparison.changes[0].verdict, verdict, "{comparison}");
            assert_eq!(comparison.passes(), verdict != Verdict::Worse);
        }
    };
    check(&[1000, 1010, 1020], &[1000, 1010, 1020], Verdict::Same);
    check(&[1000, 1010, 1020], &[930, 940, 950], Verdict::Same);
    check(&[1000, 1010, 1020], &[800, 810, 820], Verdict::Worse);
    check(&[1000, 1010, 1020], &[1200, 1210, 1220], Verdict::Better);
    // One round is as slow as a round of the other run, so the difference may be chance.
    check(&[815, 1010, 1020], &[800, 810, 820], Verdict::Same);
    check(&[1000, 1010, 1020], &[800, 810, 1000], Verdict::Same);
    check(&[1000], &[800], Verdict::Worse);
}

#[test]
fn a_cell_that_fails_now_is_a_regression() {
    let (good, mut bad) = (run_of(&[1000]), run_of(&[1000]));
    bad.cells[0].failure = Some("1 × wrong content".to_owned());
    let passes = |before, after| Comparison::of(before, after, &[Metric::Throughput], 0.1).unwrap().passes();
    assert!(!passes(&good, &bad));
    assert!(passes(&bad, &good) && passes(&bad, &bad));
    assert_eq!(bad.cells[0].spread(Metric::Throughput), None);
}

#[test]
fn rejects_runs_that_cannot_be_compared() {
    let check = |change: &dyn Fn(&mut Results), expected: Incomparable| {
        let (before, mut after) = (run_of(&[1000]), run_of(&[1000]));
        change(&mut after);
        assert_eq!(Comparison::of(&before, &after, &Metric::ALL, 0.1).unwrap_err(), expected);
    };
    check(&|after| after.settings.workers = 2, Incomparable::Workers(4, 2));
    check(&|after| after.settings.server_cpus.push(2), Incomparable::Cpus(1, 2));
    check(&|after| after.cells[0].connections = 17, Incomparable::NothingInCommon);
    check(&|after| after.cells.clear(), Incomparable::NothingInCommon);
}

#[test]
fn mentions_a_different_machine() {
    let (before, mut after) = (run_of(&[1000]), run_of(&[1000]));
    after.machine.cpu = "a slow one".to_owned();
    let comparison = Comparison::of(&before, &after, &[Metric::Throughput], 0.1).unwrap();
    assert_eq!(comparison.remarks, ["CPU: a <fast> one, then a slow one"]);
}

#[test]
fn the_exit_code_reports_regressions() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, results: &Results| results.write(&dir.path().join(name)).unwrap();
    write("before", &run_of(&[1000, 1010, 1020]));
    write("same", &run_of(&[1000, 1010, 1020]));
    write("worse", &run_of(&[800, 810, 820]));
    write("other", &results(vec![cell("static", Architecture::Loop, 1, &[1])]));
    write("version", &Results { version: VERSION + 1, ..run_of(&[1000]) });
    fs::write(dir.path().join("rubbish"), "{").unwrap();
    let check = |arguments: &[&str], code: i32| {
        let program = env!("CARGO_BIN_EXE_load-test");
        let output = Command::new(program).arg("compare").args(arguments).current_dir(&dir).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    };
    check(&["before", "same"], 0);
    check(&["before", "worse"], 1);
    check(&["worse", "before"], 0);
    check(&["before", "worse", "--bound", "30%"], 0);
    check(&["before", "worse", "--metric", "memory"], 0);
    check(&["before", "worse", "--metric", "memory", "--metric", "p99"], 1);
    check(&["before", "worse", "--metric", "beauty"], 2);
    check(&["before", "other"], 2);
    check(&["before", "version"], 2);
    check(&["before", "rubbish"], 2);
    check(&["before", "nowhere"], 2);
    check(&["before"], 2);
}

#[test]
fn results_are_read_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("results.json");
    let mut written = run_of(&[1000, 1010]);
    written.cells.push(Cell { failure: Some("why".into()), ..cell("static", Architecture::Nginx, 1, &[]) });
    written.write(&file).unwrap();
    assert_eq!(Results::read(&file).unwrap(), written);
    assert!(fs::read_to_string(&file).unwrap().starts_with("{\n  \"version\": 1,\n"));
}

#[test]
fn rejects_a_file_of_another_version() {
    assert!(matches!(Results::parse(r#"{"version":2,"all":"new"}"#), Err(Unusable::Version(2))));
    assert!(matches!(Results::parse(r#"{"version":1}"#), Err(Unusable::Malformed(_))));
    assert!(matches!(Results::parse("[]"), Err(Unusable::Malformed(_))));
    assert!(matches!(Results::read(Path::new("/nowhere")), Err(Unusable::Unreadable(_))));
}

#[test]
fn the_middle_and_the_extremes() {
    let check = |values: &[f64], low, middle, high| {
        assert_eq!(Spread::of(values.to_vec()), Some(Spread { low, middle, high }));
    };
    check(&[3.0], 3.0, 3.0, 3.0);
    check(&[3.0, 1.0, 2.0], 1.0, 2.0, 3.0);
    check(&[4.0, 1.0, 3.0, 2.0], 1.0, 2.5, 4.0);
    assert_eq!(Spread::of(Vec::new()), None);
}

#[test]
fn numbers_are_in_the_units_of_their_titles() {
    let two = |requests| [("worker=0".to_owned(), requests), ("worker=1".to_owned(), 1000 - requests)].into();
    let sample = Sample {
        seconds: 2.0,
        requests: 1000,
        p99_micros: 1500.0,
        cpu_micros: 40.0,
        server_busy: 0.5,
        memory_bytes: 3 << 20,
        memory_before_bytes: 1 << 20,
        waits: 1.0,
        preemptions: 0.5,
        workers: two(200),
        ..Sample::default()
    };
    let check = |metric: Metric, sample: &Sample, expected: Option<f64>| {
        assert_eq!(metric.of(sample, 1024), expected, "{metric}");
    };
    check(Metric::Throughput, &sample, Some(500.0));
    check(Metric::P99, &sample, Some(1.5));
    check(Metric::Cpu, &sample, Some(0.04));
    check(Metric::Busy, &sample, Some(50.0));
    check(Metric::Memory, &sample, Some(3.0));
    check(Metric::MemoryEach, &sample, Some(2.0));
    check(Metric::Switches, &sample, Some(1.5));
    check(Metric::Fairness, &sample, Some(0.25));
    let paced = Sample { paced: true, workers: [("worker=0".to_owned(), 1)].into(), ..sample };
    check(Metric::Throughput, &paced, None);
    check(Metric::Cpu, &paced, None);
    check(Metric::Fairness, &paced, None);
    assert_eq!(Metric::MemoryEach.of(&paced, 0), None);
}

#[test]
fn a_line_for_each_architecture_and_nothing_that_failed() {
    let sweep = |architecture, requests: u64| {
        [1, 64, 1000].map(|connections| cell("hello", architecture, connections, &[requests, requests + 9]))
    };
    let mut cells =
        [sweep(Architecture::Threads, 500), sweep(Architecture::Loop, 900), sweep(Architecture::Loops, 7)]
            .concat();
    cells[6..].iter_mut().for_each(|cell| cell.failure = Some("wrong".into()));
    let drawings = plot::draw(&results(cells)).unwrap();
    assert_eq!(drawings.iter().map(|drawing| drawing.name).collect::<Vec<_>>(), ["hello"]);
    let svg = &drawings[0].svg;
    let lines = |architecture: Architecture| {
        let colour = hex(architecture);
        svg.lines().filter(|line| line.starts_with("<polyline") && line.contains(&colour)).count()
    };
    // One line in each of four panels.
    assert_eq!([Architecture::Threads, Architecture::Loop].map(lines), [4, 4]);
    assert_eq!(lines(Architecture::Loops), 0);
    for text in
        ["Hello, World!", "requests per second", "CPU seconds per 1,000 requests", "connections", "1000"]
    {
        assert!(svg.contains(text), "{text}");
    }
    assert!(svg.contains(Architecture::Loop.title()) && !svg.contains(Architecture::Loops.title()));
}

#[test]
fn draws_bars_for_a_single_number_of_connections() {
    let cells = vec![
        cell("beside-none", Architecture::Loop, 0, &[100]),
        cell("beside-idle", Architecture::Loop, 1000, &[100]),
        cell("beside-idle", Architecture::Threads, 1000, &[100]),
    ];
    let drawings = plot::draw(&results(cells)).unwrap();
    assert_eq!(drawings.iter().map(|drawing| drawing.name).collect::<Vec<_>>(), ["bystander", "beside-idle"]);
    let bars = |svg: &str, architecture| {
        svg.lines().filter(|line| line.starts_with("<rect") && line.contains(&hex(architecture))).count()
    };
    // Two bars, and an entry in the legend.
    assert_eq!(bars(&drawings[0].svg, Architecture::Loop), 2 + 1);
    assert_eq!(bars(&drawings[0].svg, Architecture::Threads), 1 + 1);
}

fn hex(architecture: Architecture) -> String {
    let (red, green, blue) = architecture.colour();
    format!("#{red:02X}{green:02X}{blue:02X}")
}

#[test]
fn the_page_is_self_contained() {
    let mut cells =
        vec![cell("hello", Architecture::Loop, 16, &[1000]), cell("hello", Architecture::Loops, 16, &[9])];
    cells[1].failure = Some("a <b> & c".to_owned());
    let results = results(cells);
    let page = html::page(&results, &plot::draw(&results).unwrap());
    assert!(page.contains("<svg") && page.contains("a &lt;fast&gt; one"));
    assert!(page.contains("FAILED: a &lt;b&gt; &amp; c") && !page.contains("<b>"));
    for outside in ["src=", "<link", "@import", "url(", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_table_names_failures_and_bottlenecks() {
    let mut cells =
        [1, 2, 3].map(|connections| cell("hello", Architecture::Loop, connections, &[1_234_567])).to_vec();
    cells[1].failure = Some("1 × wrong content".to_owned());
    cells[2].samples[0].driver_busy = 0.99;
    let table = table(&results(cells));
    let rows: Vec<&str> = table.lines().skip(3).collect();
    assert!(rows[0].contains("1,234,567") && rows[0].contains("0%"), "{table}");
    assert!(rows[1].ends_with("FAILED: 1 × wrong content") && !rows[1].contains("1,234,567"), "{table}");
    assert!(rows[2].contains("the driver could do no more"), "{table}");
}

#[test]
fn parses_the_stat_of_a_process() {
    let check = |text: &str, expected: Option<(u32, u64)>| {
        let stat = Stat::parse(text).map(|stat| (stat.parent, stat.cpu_ticks));
        assert_eq!(stat, expected, "{text}");
    };
    let rest = "77 88 99 0 -1 4194304 10 20 30 40 500 60 7 8 20 0 5 0 9999";
    check(&format!("123 (async-server) S {rest}"), Some((77, 560)));
    check(&format!("123 (a name) R (S) 1) S {rest}"), Some((77, 560)));
    check("123 (short) S 77 88", None);
    check("123 no name S 77", None);
    check("", None);
}

#[test]
fn parses_the_usage_of_a_thread() {
    let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
    let thread = Thread { cpu: Duration::from_nanos(5_000_001), waits: 12, preemptions: 3 };
    assert_eq!(Thread::parse("5000001 17 4\n", status), Some(thread));
    assert_eq!(Thread::parse("", status), None);
    assert_eq!(Thread::parse("1 2 3", "Name:\tx\n"), None);
}

#[test]
fn uses_the_fine_clock_unless_a_thread_is_missing() {
    let process = |ticks_ms: u64, threads: &[(u32, u64)]| Process {
        cpu: Duration::from_millis(ticks_ms),
        threads: threads
            .iter()
            .map(|(tid, ms)| (*tid, Thread { cpu: Duration::from_millis(*ms), waits: *ms, preemptions: 1 }))
            .collect(),
    };
    let check = |before: Process, after: Process, cpu_ms: u64, waits: u64, preemptions: u64| {
        let spent = Spent { cpu: Duration::from_millis(cpu_ms), waits, preemptions };
        assert_eq!(after.since(&before), spent);
    };
    check(process(100, &[(1, 103)]), process(200, &[(1, 207)]), 104, 104, 0);
    // Ticks are coarse.
    check(process(100, &[(1, 100)]), process(140, &[(1, 103)]), 3, 3, 0);
    // A second thread has started, and is alive.
    check(process(100, &[(1, 103)]), process(200, &[(1, 153), (2, 50)]), 100, 100, 1);
    // A second thread has started and ended.
    check(process(100, &[(1, 103)]), process(900, &[(1, 153)]), 800, 50, 0);
    // An earlier thread has ended.
    check(process(100, &[(1, 50), (2, 50)]), process(100, &[(1, 53)]), 3, 3, 0);
}

#[test]
fn finds_a_process_and_its_descendants() {
    // The innermost shell prints a line once all processes run.
    let script = "sh -c 'sleep 60 & echo; wait'; exit";
    let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let tree = Tree::of(child.id()).unwrap();
    assert_eq!((tree.pids().len(), tree.pids()[0]), (3, child.id()));
    assert_eq!(tree.usage().unwrap().threads(), 3);
    assert!(tree.memory_bytes().unwrap() > 0);
    for pid in tree.pids() {
        Command::new("kill").arg(pid.to_string()).status().unwrap();
    }
    child.wait().unwrap();
    assert!(tree.usage().is_err());
}
