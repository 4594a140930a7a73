//! Limits how fast responses are sent: each one, and all those to one client together.
//!
//! | file | what it does |
//! |---|---|
//! | `rate` | rates, and the times that bytes take |
//! | `body` | a body that is sent in pieces, each not before its time |
//!
//! A response that would make the queue of its client too long is replaced by a 503. Without an option, no response
//! passes through this module.

mod body;
mod rate;

pub use rate::Limit;

use crate::access::{rate::client_key, times::Times};
use body::{LimitedBody, MAX_QUEUE};
use http_engine::{Admit, Body, Handler, Rejected, Reply, Request, Response, Status, path::RelativePath};
use http_files::{Glob, Options, RewrittenPath};
use rate::ByteRate;
use std::{
    mem,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

/// The maximum number of clients that a process remembers, as in [`crate::access::rate`].
const MAX_CLIENTS: usize = 65_536;

/// The limit of each response, written as `[GLOB=]RATE`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The paths of the requests, relative to the root of the site; `None` for all.
    glob: Option<Glob>,
    limit: Limit,
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Rule, String> {
        let (glob, limit) = text.rsplit_once('=').map_or((None, text), |(glob, limit)| (Some(glob), limit));
        let glob =
            glob.map(|glob| glob.trim().parse::<Glob>()).transpose().map_err(|error| error.to_string())?;
        Ok(Rule { glob, limit: limit.trim().parse()? })
    }
}

/// What an operator chooses about bandwidth.
#[derive(Clone, Debug, Default)]
pub struct BandwidthOptions {
    /// Of each response. The last rule that matches applies.
    pub rules: Vec<Rule>,
    /// The first bytes of each response, which `rules` do not limit.
    pub after: u64,
    /// Of all responses to a client together.
    pub per_client: Limit,
}

/// The limits of a site, which the workers of a process share.
pub struct Limits {
    options: BandwidthOptions,
    /// The directory of the URLs of the site, without a slash at either end.
    prefix: String,
    /// The moment at which all times begin to count.
    start: Instant,
    /// The rate for each client, and when all bytes reserved for a client are sent. `None` without a limit per client.
    clients: Option<(ByteRate, Times<u64>)>,
}

impl Limits {
    /// Creates the limits of a site whose URLs begin with `prefix`; `None` if there are none.
    pub fn new(options: &BandwidthOptions, prefix: &str) -> Option<Arc<Limits>> {
        if options.rules.is_empty() && options.per_client.0.is_none() {
            return None;
        }
        let clients = options.per_client.0.map(|rate| (rate, Times::new(MAX_CLIENTS)));
        let (options, prefix) = (options.clone(), prefix.to_owned());
        Some(Arc::new(Limits { options, prefix, start: Instant::now(), clients }))
    }

    /// Returns the limit of the response to a request.
    fn of(&self, request: &Request<'_>) -> Option<ByteRate> {
        let path = RelativePath::new(RewrittenPath::of(request));
        let path = path.and_then(|path| path.strip_prefix(self.prefix.as_bytes()));
        let matches = |glob: &Glob| path.as_ref().is_some_and(|path| glob.matches(path.as_bytes()));
        let rule = self.options.rules.iter().rfind(|rule| rule.glob.as_ref().is_none_or(matches));
        rule.and_then(|rule| rule.limit.0)
    }

    /// The present time. Never zero, which means that a client is unknown.
    fn now(&self) -> Duration {
        self.start.elapsed() + Duration::from_nanos(1)
    }
}

/// A handler whose responses are limited.
pub struct LimitedHandler {
    limits: Arc<Limits>,
    options: Arc<Options>,
    handler: Arc<dyn Handler>,
}

impl LimitedHandler {
    /// Limits the responses of `handler`. Its own responses get the headers of `options`.
    pub fn new(limits: Arc<Limits>, options: Arc<Options>, handler: Arc<dyn Handler>) -> LimitedHandler {
        LimitedHandler { limits, options, handler }
    }
}

impl Handler for LimitedHandler {
    fn admit(&self, head: &Request<'_>) -> Admit {
        self.handler.admit(head)
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        let reply = self.handler.handle(request);
        let rate = self.limits.of(request);
        let client = self.limits.clients.as_ref().and(request.client_addr());
        let client = client.map(|address| client_key(address.ip()));
        if rate.is_none() && client.is_none() {
            return reply;
        }
        let (limits, options) = (Arc::clone(&self.limits), Arc::clone(&self.options));
        if let Reply::Now(response) = reply {
            return limited(response, limits, rate, client)
                .unwrap_or_else(|rejected| options.complete(Some(request), rejected))
                .into();
        }
        let request = request.to_owned();
        reply.map(move |response| {
            limited(response, limits, rate, client)
                .unwrap_or_else(|rejected| options.complete(Some(&request.as_request()), rejected))
        })
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.handler.rejected(rejected, response)
    }
}

/// Limits how fast a response is sent. A short one without a limit per client is sent at once.
///
/// # Errors
///
/// Returns a 503 to send instead if the queue of the client is too long.
fn limited(
    mut response: Response,
    limits: Arc<Limits>,
    rate: Option<ByteRate>,
    client: Option<u64>,
) -> Result<Response, Response> {
    let length = response.body().len();
    let at_once = match (rate, client) {
        (Some(rate), None) => limits.options.after.saturating_add(rate.piece()),
        _ => 0,
    };
    if length.is_none_or(|length| length > at_once) {
        let now = limits.now();
        let body = mem::take(response.body_mut());
        *response.body_mut() = match LimitedBody::new(body, length, limits, rate, client) {
            Ok(mut body) => {
                if !body.begin(now) {
                    let rejected = Response::error(Status::SERVICE_UNAVAILABLE);
                    return Err(rejected.with_header("Retry-After", MAX_QUEUE.as_secs().to_string()));
                }
                Body::Stream(Box::new(body))
            }
            Err(body) => body,
        };
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::testing::TestRequest;

    #[test]
    fn the_last_rule_that_matches_a_path_applies() {
        let parse = |text: &str| text.parse::<Rule>().expect("a rule");
        let rules = ["1K", "/videos/=2M/s", "*.css=off"].map(parse).to_vec();
        let options = BandwidthOptions { rules, ..BandwidthOptions::default() };
        let limits = Limits::new(&options, "docs").expect("limits");
        let handler = move |request: &Request<'_>| Response::text(format!("{:?}", limits.of(request)));
        for (path, expected) in [
            ("/docs", Some(1024)),
            ("/docs/videos/a.mp4", Some(2 << 20)),
            ("/docs/%76ideos/a.mp4", Some(2 << 20)),
            ("/docs/videos/a.css", None),
            ("/docs/a.css", None),
            ("/videos/a.mp4", Some(1024)),
        ] {
            let response = TestRequest::get(path).run(&handler);
            assert_eq!(response.text(), format!("{:?}", expected.map(ByteRate)), "{path}");
        }
        assert!(Limits::new(&BandwidthOptions::default(), "").is_none());
    }

    #[test]
    fn limited_responses_are_complete() {
        let options =
            BandwidthOptions { rules: vec!["1M".parse().expect("a rule")], ..BandwidthOptions::default() };
        let limits = Limits::new(&options, "").expect("limits");
        for len in [0, 5, 131_072, 131_073, 300_000] {
            let expected: Vec<u8> = (0..len).map(|at: u32| (at / 7) as u8).collect();
            let body = expected.clone();
            let handler = move |_: &Request<'_>| Response::bytes(body.clone());
            let handler = LimitedHandler::new(Arc::clone(&limits), Arc::default(), Arc::new(handler));
            let response = TestRequest::get("/").run(&handler);
            assert!(response.body() == expected, "{len} bytes");
            assert_eq!(response.header("Content-Length"), Some(len.to_string().as_bytes()));
        }
    }
}
