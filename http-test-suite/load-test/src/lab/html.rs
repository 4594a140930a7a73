//! The report as one self-contained HTML page: pictures, findings, all numbers, and how to repeat the run.

use std::fmt::Write;

use super::architectures::Architecture;
use super::findings::Findings;
use super::lessons::{Lesson, lessons};
use super::metric::Metric;
use super::plot::Drawing;
use super::results::{Cell, Machine, Results, Settings};
use super::table::{COLUMNS, in_order, remark};

const STYLE: &str = include_str!("report.css");

/// The page.
pub fn page(results: &Results, drawings: &[Drawing]) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>Server architectures compared</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Server architectures compared</h1>\n"
    );
    html.push_str(&circumstances(&results.machine, results));
    html.push_str(&summary(results));
    html.push_str(&contents(drawings));
    for drawing in drawings {
        html.push_str(&section(results, drawing));
    }
    html.push_str(&method(&results.settings));
    html.push_str("</body>\n</html>\n");
    html
}

/// The machine, the date and the programs.
fn circumstances(machine: &Machine, results: &Results) -> String {
    let gib = machine.memory_bytes as f64 / (1u64 << 30) as f64;
    format!(
        "<p>One application on two engines, each in the shapes it can be run in. {}, {} × {}, {gib:.1} GiB, {}; \
         load average before the run {:.2}; {}.</p>\n{}",
        text(&machine.date),
        machine.cpus,
        text(&machine.cpu),
        text(&machine.kernel),
        machine.load_before,
        text(&results.programs.join(", ")),
        verdict(results)
    )
}

/// Whether every answer was right; if not, the failed cells and the reasons.
fn verdict(results: &Results) -> String {
    let failed = results.cells.iter().filter_map(|cell| {
        let (workload, architecture, connections) = cell.place();
        let why = text(cell.failure.as_ref()?);
        Some(format!("<li>{workload} / {architecture} / {connections}: {why}</li>\n"))
    });
    let failed: String = failed.collect();
    if failed.is_empty() {
        return "<p>Every answer was right.</p>\n".to_owned();
    }
    format!(
        "<p>These cells failed, so none of their numbers count:</p>\n<ul class=\"remark\">\n{failed}</ul>\n"
    )
}

/// The questions of the lab, with their answers.
fn summary(results: &Results) -> String {
    let entry =
        |lesson: Lesson| format!("<dt>{}</dt>\n<dd>{}</dd>\n", text(lesson.question), text(&lesson.answer));
    format!("<dl>\n{}</dl>\n", lessons(results).into_iter().map(entry).collect::<String>())
}

fn contents(drawings: &[Drawing]) -> String {
    let link = |drawing: &Drawing| format!("<a href=\"#{0}\">{0}</a>", drawing.name);
    format!(
        "<nav>{} <a href=\"#method\">method</a></nav>\n",
        drawings.iter().map(link).collect::<Vec<_>>().join(" ")
    )
}

fn section(results: &Results, drawing: &Drawing) -> String {
    let mut html = format!(
        "<section id=\"{}\">\n<h2>{}</h2>\n<p class=\"shows\">{}</p>\n",
        drawing.name,
        text(drawing.title),
        text(drawing.shows)
    );
    let _ = writeln!(html, "<figure>{}</figure>", drawing.svg);
    for findings in drawing.workloads.iter().filter_map(|workload| Findings::of(results, workload)) {
        let sentences = findings.sentences.iter().map(|sentence| format!("<li>{}</li>\n", text(sentence)));
        let _ =
            writeln!(html, "<p>{}:</p>\n<ul>\n{}</ul>", text(&findings.place), sentences.collect::<String>());
    }
    html.push_str("<details><summary>All numbers</summary>\n");
    for workload in &drawing.workloads {
        let cells = in_order(results.of_workload(workload.id));
        let _ = writeln!(html, "<h3>{}</h3>\n{}", text(workload.title), table(&cells));
    }
    html.push_str("</details>\n</section>\n");
    html
}

fn table(cells: &[&Cell]) -> String {
    let mut html = String::from("<table>\n<tr><th>architecture</th><th>connections</th>");
    for (metric, name) in COLUMNS {
        let _ = write!(html, "<th title=\"{}\">{name}</th>", metric.title());
    }
    html.push_str("<th></th></tr>\n");
    for cell in cells {
        let title = Architecture::named(&cell.architecture).map_or("", Architecture::title);
        let _ = write!(html, "<tr><td>{title}</td><td>{}</td>", cell.connections);
        for (metric, _) in COLUMNS {
            let _ = write!(html, "<td>{}</td>", number(cell, metric));
        }
        let _ = writeln!(html, "<td class=\"remark\">{}</td></tr>", text(&remark(cell)));
    }
    html.push_str("</table>");
    html
}

/// The median, with its spread if that is at least 1 %.
fn number(cell: &Cell, metric: Metric) -> String {
    let Some(spread) = cell.spread(metric) else { return "–".to_owned() };
    let percent = spread.relative() * 100.0;
    let beside = if percent >= 1.0 { format!(" <small>±{percent:.0}%</small>") } else { String::new() };
    metric.format(spread.middle) + &beside
}

fn method(settings: &Settings) -> String {
    let Settings { rounds, seconds, workers, server_cpus, driver_cpus } = settings;
    let list = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let (server, driver) = (list(server_cpus), list(driver_cpus));
    let several = if server_cpus.len() < *workers {
        "There are more workers than CPUs for them, so several workers cannot be faster here than one: the numbers \
        show what several workers cost, not what they gain with a CPU each."
    } else {
        "There is a CPU for each worker, so that several can be faster than one. CPU seconds per 1,000 requests show \
        the cost of an answer, independent of the number of workers."
    };
    format!(
        "<section id=\"method\">\n<h2>Method</h2>\n\
         <p>Servers ran on CPU {server}, the load driver and the weather stub on CPU {driver}. ×N and prefork stand \
         for {workers} workers; nginx has a process for each of its CPUs. {several}</p>\n\
         <p>Each cell was measured {rounds} times for {seconds} s, in rounds: in each round, all servers of a workload \
         run side by side and are measured in turn, each round starting with another server. Numbers and marks are \
         medians; whiskers are the extremes of the rounds, and ± is half the distance between them. Connections are \
         kept alive, and each sends the next request once the last is answered (a closed loop). Bystanders ask at a \
         steady rate, and their latency counts from when a request was due (an open loop).</p>\n\
         <p>Every answer is checked, status and content, byte by byte: it must equal a first answer that the lab has \
         verified. (Weather differs each time, so only status and framing are checked.) A single wrong answer or lost \
         connection makes the cell fail. If the busiest thread of the driver was at its limit and the server was not, \
         the table says so: then the server could do more than the number says.</p>\n\
         <p>CPU time, memory (Pss: shared pages are counted once), threads and context switches are sums over all \
         processes of a server, read from /proc during the load; for threads that had ended by then, only the CPU time \
         is known. Latency is measured in nanoseconds, from before the request is sent until the last byte of its \
         answer has arrived.</p>\n\
         <p>To repeat it: <code>cargo run --release -p http-test-suite --bin load-test -- lab</code></p>\n</section>\n"
    )
}

/// Escapes text for HTML content and attributes.
fn text(plain: &str) -> String {
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
