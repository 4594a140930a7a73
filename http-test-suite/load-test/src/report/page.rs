//! The report of the runs as one self-contained HTML page, readable on a phone and in the dark: a chart and a table with
//! all metrics for each workload. It draws no conclusions.

use std::fs;
use std::path::Path;

use super::charts;
use super::figures;
use super::file::Unusable;
use super::plot::STYLE as CHART_STYLE;
use super::results::{Cell, Results, Run, WorkloadLabel};
use super::table::{Field, Table, escape, metrics_of};

/// The style sheet of the page.
const STYLE: &str = include_str!("page.css");

/// Writes the results of a run to `results.json` in a directory, merged with those that are there, and their report to
/// `report.html`. Returns the merged results.
///
/// # Errors
///
/// If a file cannot be written, or `results.json` cannot be used (see [`Results::merged_into`]).
pub fn save(results: Results, directory: &Path) -> Result<Results, Unusable> {
    let path = directory.join("results.json");
    let merged = results.merged_into(&path)?;
    fs::create_dir_all(directory)?;
    merged.write(&path)?;
    fs::write(directory.join("report.html"), page(&merged))?;
    Ok(merged)
}

/// The report as an HTML page.
pub fn page(results: &Results) -> String {
    let runs = || results.runs.iter();
    let link = |(experiment, run): (&String, &Run)| {
        let links =
            measured(results, run).map(|label| format!("<a href=\"#{0}\">{0}</a>", escape(&label.id)));
        format!(
            "<nav><strong>{}</strong> {}</nav>\n",
            escape(experiment),
            links.collect::<Vec<_>>().join(" ")
        )
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Results of load-test</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>\n{STYLE}{CHART_STYLE}</style>\n\
         </head>\n<body>\n<h1>Results of load-test</h1>\n<p>{}</p>\n{}{}{}</body>\n</html>\n",
        escape(&figures::machine(results).unwrap_or_default()),
        faults(results),
        runs().map(link).collect::<String>(),
        runs().map(|(experiment, run)| experiment_section(results, experiment, run)).collect::<String>()
    )
}

/// Which cells failed or had wrong responses, or that none did.
fn faults(results: &Results) -> String {
    let fault = |cell: &Cell| {
        let wrong = cell.wrong().into_iter().map(|(fault, count)| format!("{count} × {fault}"));
        let all: Vec<String> = cell.failures.iter().cloned().chain(wrong).collect();
        let (workload, subject, connections) = cell.key();
        let text = escape(&format!("{workload} / {subject} / {connections}: {}", all.join("; ")));
        (!all.is_empty()).then(|| format!("<li>{text}</li>\n"))
    };
    let faults: String = results.cells.iter().filter_map(fault).collect();
    match faults.is_empty() {
        true => "<p>Every response was correct.</p>\n".to_owned(),
        false => format!("<p>Not every response was correct:</p>\n<ul>\n{faults}</ul>\n"),
    }
}

/// A section about one experiment: versions, what was left out, and its workloads.
fn experiment_section(results: &Results, experiment: &str, run: &Run) -> String {
    let version = |label| [Field::of_subject(label), Field::from(label.version.as_str())].into();
    let versions = Table {
        head: ["server", "version"].map(str::to_owned).into(),
        rows: run.subjects.iter().map(version).collect(),
        words: 2,
    };
    let left_out = run.left_out.iter().map(|reason| format!("<p>Left out: {}</p>\n", escape(reason)));
    format!(
        "<h2>{}</h2>\n<p>Started at {}; load average before it {:.2}; rounds of {} s; {} workers for a server that can have \
         several. Each round measures all servers of a workload in \
         turn. Numbers are medians of the rounds; thin lines and min–max are their extremes; a ratio (÷) is the median of \
         the ratios of single rounds. ≥: the driver was at its limit, so the server could do more.</p>\n{}{}{}",
        escape(experiment),
        escape(&run.date),
        run.load_before,
        run.seconds,
        run.workers,
        versions.html(),
        left_out.collect::<String>(),
        measured(results, run).map(|label| workload_section(results, run, label)).collect::<String>()
    )
}

/// A section about one workload: its chart, and a table of all metrics.
fn workload_section(results: &Results, run: &Run, workload: &WorkloadLabel) -> String {
    let chart = charts::of_workload(results, run, workload)
        .map(|chart| format!("<figure>{}</figure>\n", chart.svg()));
    let table = Table::of_workload(results, run, workload, &metrics_of(results, workload));
    format!(
        "<section id=\"{}\">\n<h3>{}</h3>\n<p>{}</p>\n{}<details><summary>All numbers</summary>\n{}</details>\n</section>\n",
        escape(&workload.id),
        escape(&workload.title),
        escape(&workload.description),
        chart.unwrap_or_default(),
        table.html()
    )
}

/// The workloads of a run that have cells.
fn measured<'r>(results: &'r Results, run: &'r Run) -> impl Iterator<Item = &'r WorkloadLabel> {
    run.workloads.iter().filter(|label| results.of_workload(&label.id).next().is_some())
}

#[cfg(test)]
mod tests {
    use super::super::metric::Metric;
    use super::super::results::tests::{cell, cpu, results};
    use super::*;

    #[test]
    fn the_page_is_self_contained() {
        let mut cells = vec![cpu("httpd", &[5.0]), cpu("nginx", &[10.0])];
        cells[1].failures.push("a <b> & c".into());
        cells[0].samples[0].values.insert(Metric::Waits, 0.125);
        let page = page(&results(cells));
        let texts =
            ["<svg", "2 × a &lt;fast&gt; one, 23.5 GiB, Linux 6;", "nginx / 64: a &lt;b&gt; &amp; c</li>"];
        assert!(texts.iter().all(|text| page.contains(text)) && !page.contains("<b>"), "{page}");
        // The table has metrics that the label of the workload does not show; a workload without cells has no section.
        assert!(page.contains("waits per request") && !page.contains("id=\"crowd\""), "{page}");
        for outside in ["src=", "<link", "@import", "url(", "<script"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn saves_results_and_report() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("new/directory");
        let first = results(vec![cpu("httpd", &[5.0])]);
        let second = results(vec![cell(("crowd", "httpd", 64), Metric::Cpu, &[6.0])]);
        save(first, &out).unwrap();
        let merged = save(second, &out).unwrap();
        assert_eq!(merged.cells.len(), 2);
        assert_eq!(Results::read(&out.join("results.json")).unwrap(), merged);
        let report = fs::read_to_string(out.join("report.html")).unwrap();
        let texts = ["Every response was correct.", "id=\"keep-alive\"", "id=\"crowd\""];
        assert!(texts.iter().all(|text| report.contains(text)), "{report}");
    }
}
