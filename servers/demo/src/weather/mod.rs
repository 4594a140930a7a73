//! `GET /weather?city=…` or `?latitude=…&longitude=…`: an answer that has to be asked for elsewhere.
//!
//! ```text
//!   query ─► place ─► flight ─┬─ known ──────────────────────────────► answer
//!                             ├─ first to ask ─► upstream ─► cache ──► answer   on the engine's pool
//!                             └─ on the way ───────────────► landing ► answer   without a thread
//! ```
//!
//! Data by Open-Meteo.com (CC BY 4.0).

mod cache;
mod failure;
mod fetch;
mod flight;
mod forecast;
mod measure;
mod place;
mod upstream;
mod url;

pub use url::{Url, UrlError};

use super::{Outcome, problem::Format};
use cache::{Finding, Known, Lifetimes};
use flight::{Board, Lead, Turn};
use forecast::Report;
use http_engine::{Reply, Request, Response};
use place::Place;
use serde::Serialize;
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use upstream::Upstream;

/// What an operator can choose, and for how long things may take and count.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What both services lie below; `None` for the public ones.
    pub url: Option<Url>,
    /// For a connection to one address: two lost packets are made good by then.
    pub connect: Duration,
    /// Without any progress, connected: upstream takes a tenth of a second for an answer.
    pub stall: Duration,
    /// For all that a place needs, from the first name that is resolved: nobody waits longer for the weather.
    pub total: Duration,
    /// How long a report is told without asking again: upstream renews its own every quarter of an hour.
    pub fresh: Duration,
    /// How long it may stand in when there is no newer one to be had.
    pub stale: Duration,
    /// How long a failure is told without trying again: what is down is not brought up by asking.
    pub pause: Duration,
    /// Places that are remembered: about a kilobyte each.
    pub places: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            url: None,
            connect: Duration::from_secs(3),
            stall: Duration::from_secs(3),
            total: Duration::from_secs(5),
            fresh: Duration::from_secs(10 * 60),
            stale: Duration::from_secs(6 * 60 * 60),
            pause: Duration::from_secs(2),
            places: 1000,
        }
    }
}

/// Takes a line about each fetch.
type Log = Box<dyn Fn(&str) + Send + Sync>;

/// The weather, as far as it is known. One for all workers of a process.
pub struct Weather {
    upstream: Upstream,
    board: Arc<Mutex<Board>>,
    fresh: Duration,
    log: Log,
}

/// What is answered.
#[derive(Serialize)]
struct Answer<'r> {
    #[serde(flatten)]
    report: &'r Report,
    source: &'static str,
    stale: bool,
}

impl Weather {
    /// Knows nothing yet, and logs where all messages go.
    pub fn new(settings: Settings) -> Weather {
        let Settings { fresh, stale, pause, places, .. } = settings;
        Weather {
            upstream: Upstream::new(settings),
            board: Board::new(Lifetimes { fresh, stale, pause, places }),
            fresh,
            log: Box::new(|line| log::info!("{line}")),
        }
    }

    /// Logs elsewhere.
    pub fn logging(self, log: impl Fn(&str) + Send + Sync + 'static) -> Weather {
        Weather { log: Box::new(log), ..self }
    }

    /// Answers with the weather at the place that is asked for.
    ///
    /// # Errors
    ///
    /// 400 that names the parameter which is wrong. All other problems are told in the reply: 404 for a city that
    /// nobody knows, 502 if upstream fails, 504 if it is too slow, 503 if there was nobody to ask it.
    pub fn handle(self: &Arc<Self>, request: &Request<'_>) -> Outcome {
        let place = Place::asked_for(request)?;
        let (format, now) = (Format::wanted_by(request), request.received());
        let weather = Arc::clone(self);
        Ok(match Board::turn(&self.board, place, now) {
            Turn::Tell(finding) => self.answer(&finding, now, format).into(),
            Turn::Lead(lead) => Reply::Offload(Box::new(move || {
                let finding = weather.find_out(lead);
                weather.answer(&finding, now, format)
            })),
            Turn::Follow(flight) => Reply::Deferred(Box::new(move |responder| {
                flight.wait(move |finding| responder.respond(weather.answer(&finding, now, format)));
            })),
        })
    }

    /// Asks upstream, which takes its time, and makes known what came of it.
    fn find_out(&self, lead: Lead) -> Finding {
        let started = Instant::now();
        let asked = self.upstream.report(lead.place());
        let ended = Instant::now();
        let (place, took) = (lead.place(), ended - started);
        let told = asked.as_ref().map_or_else(ToString::to_string, Report::summary);
        (self.log)(&format!("weather of {place}: {told}, after {} ms", took.as_millis()));
        lead.land(asked, ended)
    }

    /// Caches may keep what is fresh for as long as it stays so (RFC 9111 §4.2); what is stale they must ask for
    /// again. Age says how long it has been here (§5.1).
    fn answer(&self, finding: &Finding, now: Instant, format: Format) -> Response {
        let Known { report, fetched, stale } = match finding {
            Ok(known) => known,
            Err(failure) => return failure.response(format),
        };
        let answer = Answer { report, source: "Open-Meteo.com", stale: *stale };
        // Strings and finite numbers: there is nothing in it that cannot be written.
        let json = serde_json::to_string(&answer).unwrap_or_default() + "\n";
        let control =
            if *stale { "no-cache".to_owned() } else { format!("max-age={}", self.fresh.as_secs()) };
        let age = now.saturating_duration_since(*fetched).as_secs();
        Response::json(json).header("Cache-Control", control).header("Age", age.to_string())
    }
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weather").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}
