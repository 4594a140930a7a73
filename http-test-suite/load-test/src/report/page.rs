//! The report of a results file as one HTML page, readable on a phone and in the dark: a chart and a table with all
//! metrics for each workload. It draws no conclusions.

use clap::ValueEnum;

use super::charts;
use super::figures;
use super::metric::Metric;
use super::plot::STYLE as CHART_STYLE;
use super::results::{Cell, Results, Run, WorkloadLabel};
use super::table::{Table, escape};

/// The style sheet of the page, apart from its charts.
const STYLE: &str = include_str!("page.css");

/// The report of the results as an HTML page, complete in one file.
pub fn page(results: &Results) -> String {
    let faulty = results.cells.iter().filter(|cell| !cell.faults().is_empty());
    let fault = |cell: &Cell| escape(&format!("{cell}: {}", cell.faults().join("; ")));
    let faults: String = faulty.map(|cell| format!("<li>{}</li>\n", fault(cell))).collect();
    let faults = match faults.as_str() {
        "" => "<p>Every response was correct.</p>\n".to_owned(),
        faults => format!("<p>Not every response was correct:</p>\n<ul>\n{faults}</ul>\n"),
    };
    let sections = results.runs.iter().map(|(experiment, run)| experiment_section(results, experiment, run));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Results of load-test</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>\n{STYLE}{CHART_STYLE}</style>\n\
         </head>\n<body>\n<h1>Results of load-test</h1>\n<p>{}</p>\n{faults}{}</body>\n</html>\n",
        escape(&figures::machine(results)),
        sections.collect::<String>()
    )
}

/// A section about one experiment: how it ran, versions, what was left out, links to its workloads, and these.
fn experiment_section(results: &Results, experiment: &str, run: &Run) -> String {
    let versions = run.subjects.iter().map(|label| format!("{}: {}", label.title, label.version));
    let versions = versions.collect::<Vec<_>>().join("; ");
    let left_out = run.left_out.iter().map(|reason| format!("<p>Left out: {}</p>\n", escape(reason)));
    let link = |label: &WorkloadLabel| format!("<a href=\"#{0}\">{0}</a>", escape(&label.id));
    format!(
        "<h2>{}</h2>\n<p>Started at {}; load average before it {:.2}; rounds of {} s; {} workers for a server that can have \
         several. Each round measures all servers of a workload in \
         turn. Numbers are medians of the rounds; thin lines and min–max are their extremes; a ratio (÷) is the median of \
         the ratios of single rounds. ≥: the driver was at its limit, so the server could do more.</p>\n\
         <p>Versions: {}.</p>\n{}<nav>{}</nav>\n{}",
        escape(experiment),
        escape(&run.date),
        run.load_before,
        run.seconds,
        run.workers,
        escape(&versions),
        left_out.collect::<String>(),
        results.measured(run).map(link).collect::<Vec<_>>().join(" "),
        results.measured(run).map(|label| workload_section(results, label)).collect::<String>()
    )
}

/// A section about one workload: its chart, and a table of all metrics.
fn workload_section(results: &Results, workload: &WorkloadLabel) -> String {
    let chart = charts::of_workload(results, &workload.id);
    let chart = chart.map(|chart| format!("<figure>{chart}</figure>\n")).unwrap_or_default();
    let table = Table::of_workload(results, &workload.id, &metrics_of(results, workload));
    format!(
        "<section id=\"{}\">\n<h3>{}</h3>\n<p>{}</p>\n{chart}<details><summary>All numbers</summary>\n{}</details>\n</section>\n",
        escape(&workload.id),
        escape(&workload.title),
        escape(&workload.description),
        table.html()
    )
}

/// The metrics that a cell of the workload has: first those of its label, then all others.
fn metrics_of(results: &Results, workload: &WorkloadLabel) -> Vec<Metric> {
    let mut metrics = workload.metrics.clone();
    for metric in Metric::value_variants() {
        let is_measured = results.of_workload(&workload.id).any(|cell| cell.median(*metric).is_some());
        if is_measured && !metrics.contains(metric) {
            metrics.push(*metric);
        }
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn the_page_is_self_contained() {
        let page = page(&results());
        let texts = [
            "2 × a &lt;fast&gt; one, 23.5 GiB, Linux 6;",
            "<li>keep-alive / httpd / 64: 1 × timeout; 7 × wrong status</li>",
            "<li>keep-alive / h2o / 64: FAILED round 2: a | b &lt;c&gt;\nd</li>",
            "<p>Left out: lighttpd: &quot;not&quot; &lt;installed&gt;</p>",
            "httpd: httpd 1.2; nginx",
            "<a href=\"#idle\">",
            "<section id=\"idle\">\n<h3>Idle clients</h3>\n<p>Clients do idle.</p>\n<figure><svg",
            // The label of the workload `ab` does not show this metric.
            "waits per request",
        ];
        assert!(texts.iter().all(|text| page.contains(text)), "{page}");
        for wrong in ["src=", "<link", "@import", "url(", "<script", "<fast>", "<b>", "#unmeasured", "Every"]
        {
            assert!(!page.contains(wrong), "{wrong}");
        }
    }
}
