//! A measurement by the conformance suite: how many cases of each level a server passes.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_test_suite::case::Level;
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
    for (level, met, total) in [
        (Level::Must, Metric::MustMet, Metric::MustTotal),
        (Level::Should, Metric::ShouldMet, Metric::ShouldTotal),
        (Level::Robust, Metric::RobustMet, Metric::RobustTotal),
    ] {
        let counts = report.counts_of(level);
        values.insert(met, counts.passed as f64);
        values.insert(total, (counts.passed + counts.failed) as f64);
    }
    Ok(Sample { values, ..Sample::default() })
}
