//! `GET /weather?city=…` or `?latitude=…&longitude=…`: the weather at a place, from Open-Meteo.
//!
//! ```text
//!   query ─► place ─► reports ─┬─ cached ───────────────────────────────► response   at once
//!                              ├─ leader ───► Open-Meteo ─► cache ──────► response   in the thread pool
//!                              └─ follower ─► wait for the leader ──────► response   without a thread
//! ```
//!
//! Data by Open-Meteo.com (CC BY 4.0).

mod fetch;
mod open_meteo;
mod place;
mod reports;
mod settings;
mod tls;

pub use settings::{Url, WeatherSettings};

use crate::problem::{Format, HandlerResult};
use http_engine::{Reply, Request, Response};
use open_meteo::Report;
use place::Place;
use reports::{Leader, Reports, Role, WeatherResult};
use std::{io, sync::Arc, time::Instant};
use tls::Tls;

/// The handler of `/weather`. All workers of a process share one, and so they share its cache of reports.
pub(crate) struct Weather {
    settings: WeatherSettings,
    /// `None` if the upstream services are asked without TLS.
    tls: Option<Tls>,
    reports: Reports,
}

impl Weather {
    /// # Errors
    ///
    /// `https` URLs cannot be used.
    pub(crate) fn new(settings: &WeatherSettings) -> io::Result<Weather> {
        let is_secure = settings.url.as_ref().is_none_or(|url| url.is_secure);
        let tls = is_secure.then(|| Tls::new(settings.authorities.as_deref())).transpose()?;
        Ok(Weather { settings: settings.clone(), tls, reports: Reports::new(settings.clone()) })
    }

    /// Replies with the weather at the place that the query names.
    ///
    /// If there is no report to send, the reply is an error response: 404 for an unknown city, 502 if Open-Meteo fails,
    /// 504 if it is too slow, 503 if the thread pool is full.
    ///
    /// # Errors
    ///
    /// 400 if the query does not name one valid place.
    pub(crate) fn handle(self: &Arc<Self>, request: &Request<'_>) -> HandlerResult {
        let place = Place::parse(request)?;
        let (format, now) = (Format::preferred_by(request), request.received_at());
        let weather = Arc::clone(self);
        Ok(match self.reports.join(place, now) {
            Role::Cached(result) => self.response(result, now, format).into(),
            Role::Leader(leader) => Reply::offload(move || {
                let result = weather.fetch(leader);
                weather.response(result, now, format)
            }),
            Role::Follower(place) => Reply::Deferred(Box::new(move |responder| {
                let reports = weather.reports.clone();
                let deliver = move |result| responder.respond(weather.response(result, now, format));
                reports.wait(&place, now, Box::new(deliver));
            })),
        })
    }

    /// Fetches the report for the place of `leader`: the one request that fetches while others wait for the same
    /// report. Logs the fetch, stores its result in the cache and delivers it to the waiting requests. Returns the
    /// result for the leader itself. Blocks the thread.
    fn fetch(&self, leader: Leader) -> WeatherResult {
        let started = Instant::now();
        let fetched = open_meteo::fetch_report(&leader.place, &self.settings, self.tls.as_ref());
        let ended = Instant::now();
        let outcome = fetched.as_ref().map_or_else(|problem| problem.detail.to_string(), Report::summary);
        log::info!("weather of {}: {outcome}, after {} ms", leader.place, (ended - started).as_millis());
        leader.finish(fetched, ended)
    }

    /// Creates the response to a request that was received at `now`. An error is reported in `format`; a report is
    /// always JSON.
    ///
    /// A report is stale if a later fetch for its place has failed. A client must revalidate a stale report (RFC 9111
    /// §5.2.2.4), and may cache any other for [`WeatherSettings::max_age`] (§5.2.2.1). `Age` is the number of seconds
    /// from the end of the report's fetch to `now` (§5.1), or 0 if the fetch ended after `now`.
    fn response(&self, result: WeatherResult, now: Instant, format: Format) -> Response {
        let cached = match result {
            Ok(cached) => cached,
            Err(problem) => return problem.response(format),
        };
        // Serializing strings and finite numbers cannot fail.
        let json = serde_json::to_string(&cached).unwrap_or_default() + "\n";
        let max_age = self.settings.max_age.as_secs();
        let cache_control = if cached.stale { "no-cache".to_owned() } else { format!("max-age={max_age}") };
        let age = now.saturating_duration_since(cached.fetched_at).as_secs();
        Response::json(json).with_header("Cache-Control", cache_control).with_header("Age", age.to_string())
    }
}
