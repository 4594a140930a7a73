//! A measurement by the conformance suite: how many cases of each level a server passes.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_test_suite::case::Level;
use http_test_suite::report::Verdict;
use http_test_suite::{Options, Target};

use crate::report::{Metric, Sample};

/// The timeout for a response; some servers answer a malformed request only after five seconds.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Runs the suite on the server. Cases that do not apply to it count nowhere.
///
/// # Errors
///
/// If no connection can be made to begin with.
pub(super) fn measure(server: SocketAddr) -> io::Result<Sample> {
    let target = Target { server, echo: None };
    let report = http_test_suite::run(&target, &Options { timeout: TIMEOUT, ..Options::default() })?;
    let mut values = BTreeMap::new();
    for outcome in
        report.outcomes.iter().filter(|outcome| !matches!(outcome.verdict, Verdict::Skipped { .. }))
    {
        let (met, total) = match outcome.level {
            Level::Must => (Metric::MustMet, Metric::MustTotal),
            Level::Should => (Metric::ShouldMet, Metric::ShouldTotal),
            Level::Robust => (Metric::RobustMet, Metric::RobustTotal),
        };
        *values.entry(total).or_insert(0.0) += 1.0;
        *values.entry(met).or_insert(0.0) += f64::from(u8::from(matches!(outcome.verdict, Verdict::Passed)));
    }
    Ok(Sample { values, ..Sample::default() })
}
