//! The options for the headers of the responses.

use super::{Switched, switched};
use clap::{Args, ValueEnum};
use http_daemon::units::{Time, time};
use http_files::{Cors, HeaderRule, HeaderRules, InvalidOption, SecurityHeaders};
use std::time::Duration;

/// The value of `--hsts` without a value: a year.
const HSTS_DEFAULT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What responses tell clients and caches in addition.
#[derive(Args)]
#[command(next_help_heading = "Headers")]
pub(super) struct HeaderOptions {
    /// Header for all responses, or for those to paths that match GLOB, also errors and redirects; without a value,
    /// none; can be repeated, and the last one that matches applies
    #[arg(long = "header", value_name = "[GLOB:] NAME: VALUE", value_parser = header_rule)]
    headers: Vec<HeaderRule>,

    /// Cache-Control of the files that match GLOB, as in /assets/=no-cache; can be repeated, and the last one that
    /// matches applies
    #[arg(long, value_name = "GLOB=VALUE", value_parser = HeaderRule::cache_control)]
    cache_control: Vec<HeaderRule>,

    /// Cache-Control of the files that no --cache-control matches
    #[arg(long, value_enum)]
    cache: Option<CacheOption>,

    /// Headers that make browsers stricter, in all responses
    #[arg(long, value_enum, value_name = "LEVEL", num_args = 0..=1, require_equals = true,
        default_missing_value = "basic")]
    security_headers: Option<SecurityOption>,

    /// Tell browsers to use only https for this host during the next MAX-AGE (Strict-Transport-Security), without a
    /// value for a year, or off
    #[arg(long, value_name = "MAX-AGE", num_args = 0..=1, require_equals = true, default_missing_value = "on",
        value_parser = max_age)]
    hsts: Option<Switched<HeaderRule>>,

    /// Origins whose scripts may read the files, divided by commas, each as scheme://host:port, or off; without a
    /// value, all; can be repeated
    #[arg(long, value_name = "ORIGIN,...", num_args = 0..=1, require_equals = true, default_missing_value = "*",
        value_parser = switched::<Cors>("*"))]
    cors: Vec<Switched<Cors>>,
}

impl HeaderOptions {
    /// Returns the origins whose scripts may read the files: those of all values, unless one is `off`.
    pub(super) fn cors(&self) -> Option<Cors> {
        self.cors.iter().cloned().collect::<Option<Vec<_>>>()?.into_iter().reduce(Cors::or)
    }

    /// Returns the rules in their order: the most specific options come last, because later rules win.
    pub(super) fn into_rules(self) -> HeaderRules {
        let mut rules = match self.security_headers {
            None | Some(SecurityOption::Off) => HeaderRules::default(),
            Some(SecurityOption::Basic) => HeaderRules::security(SecurityHeaders::Basic),
            Some(SecurityOption::Strict) => HeaderRules::security(SecurityHeaders::Strict),
        };
        if let Some(CacheOption::Smart) = self.cache {
            rules.extend([HeaderRule::smart_cache()]);
        }
        rules.extend(self.hsts.flatten());
        rules.extend(self.cache_control);
        rules.extend(self.headers);
        rules
    }
}

/// Parses the value of `--header`.
fn header_rule(text: &str) -> Result<HeaderRule, String> {
    let rule: HeaderRule = text.parse().map_err(|error: InvalidOption| error.to_string())?;
    if rule.name().eq_ignore_ascii_case("X-Request-Id") {
        return Err(
            "cannot set X-Request-Id: all requests would have the same ID; --request-id gives each its own"
                .into(),
        );
    }
    Ok(rule)
}

/// Parses the value of `--hsts`.
fn max_age(text: &str) -> Result<Switched<HeaderRule>, String> {
    let age = match text {
        "off" | "false" => return Ok(None),
        "on" | "true" => Time(HSTS_DEFAULT),
        text => time(0..=2 * HSTS_DEFAULT.as_millis() as u64)(text)?,
    };
    let rule = format!("Strict-Transport-Security: max-age={}", age.0.as_secs());
    rule.parse().map(Some).map_err(|error: InvalidOption| error.to_string())
}

/// The values of `--cache`.
#[derive(Clone, Copy, ValueEnum)]
enum CacheOption {
    /// None
    #[value(alias = "false")]
    Off,
    /// For a year if the name contains a hash of the content, as in app.3f9c2a1b.js; HTML must be checked each time,
    /// and other files after an hour
    #[value(alias = "true")]
    Smart,
}

/// The values of `--security-headers`.
#[derive(Clone, Copy, ValueEnum)]
enum SecurityOption {
    /// None
    #[value(alias = "false")]
    Off,
    /// X-Content-Type-Options, X-Frame-Options, Content-Security-Policy: frame-ancestors, Referrer-Policy and
    /// Cross-Origin-Opener-Policy: other sites cannot embed or control the pages
    #[value(aliases = ["true", "on"])]
    Basic,
    /// Also Cross-Origin-Embedder-Policy and Cross-Origin-Resource-Policy: other sites cannot embed any file, and pages
    /// embed from other sites only what permits it
    Strict,
}
