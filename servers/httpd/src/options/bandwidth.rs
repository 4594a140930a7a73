//! The options that limit how fast responses are sent.

use crate::bandwidth::{BandwidthOptions, Limit, Rule};
use clap::Args;
use http_daemon::units::{Size, size};

/// The largest value of `--bandwidth-after`.
const MAX_AFTER: u64 = 1 << 40;

/// The options that limit how fast responses are sent.
#[derive(Args)]
#[command(next_help_heading = "Bandwidth")]
pub struct BandwidthGroup {
    /// Bytes per second of each response, or of those to paths that match GLOB, as in 500K, 2M/s or /videos/=1M; "off"
    /// for no limit; can be repeated, and the last one that matches applies [default: no limit]
    #[arg(long, value_name = "[GLOB=]RATE")]
    bandwidth: Vec<Rule>,

    /// Bytes of a response that are sent before --bandwidth limits it
    #[arg(long, value_name = "SIZE", requires = "bandwidth", value_parser = size(0..=MAX_AFTER))]
    bandwidth_after: Option<Size>,

    /// Bytes per second of all responses to one client address (IPv6: to its /64 network), per process; "off" for no
    /// limit [default: no limit]
    #[arg(long, value_name = "RATE")]
    bandwidth_per_client: Option<Limit>,
}

impl BandwidthGroup {
    /// Returns what the options mean.
    pub fn into_options(self) -> BandwidthOptions {
        BandwidthOptions {
            rules: self.bandwidth,
            after: self.bandwidth_after.map_or(0, |size| size.0),
            per_client: self.bandwidth_per_client.unwrap_or_default(),
        }
    }
}
