//! Descriptors: how many connections the limit on open files leaves room for, and a reserve for the time when none is
//! left.
//!
//! Never changes the limit: that is for the application, because it applies to the whole process.

use crate::{
    admission::MAX_REFUSED,
    settings::{Engine, Settings},
};
use rustix::process::{Resource, getrlimit};
use std::fmt;

/// How many descriptors each event loop uses at most besides its connections and listeners: two for epoll, and
/// three to be woken.
const PER_EVENT_LOOP: usize = 5;
/// How many descriptors a server uses besides connections, listeners and [`PER_EVENT_LOOP`]: the shutdown signal, the
/// [`Reserve`](crate::reserve::Reserve), and in the blocking engine epoll.
const PER_SERVER: usize = 3;

/// How many descriptors a connection of the blocking engine needs at least: its socket, and an event while its thread
/// waits for a late reply or for the source of a stream.
const BLOCKING_CONNECTION: usize = 2;

/// How many connections a server may hold open, and which descriptors that takes. Its `Display` output is the warning
/// for a server that may hold fewer than it is set up for.
///
/// ```
/// use http_engine::{ConnectionBudget, Engine, Settings};
///
/// let budget = ConnectionBudget::new(&Settings::default(), Engine::EventLoop, 1);
/// if budget.allowed < budget.wanted {
///     eprintln!("warning: {budget}");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionBudget {
    /// The number of connections that the settings or the engine's default allow.
    pub wanted: usize,
    /// The number of connections that the server may hold open: at most `wanted`, at least 1.
    pub allowed: usize,
    /// The limit on open files of the process (`RLIMIT_NOFILE`).
    open_files: usize,
    /// The number of descriptors for everything but connections.
    reserved: usize,
    /// The number of descriptors for each connection.
    per_connection: usize,
    /// Whether `wanted` is the engine's default.
    is_default: bool,
}

impl ConnectionBudget {
    /// Computes the budget of a server with `listeners` listening sockets, from the present limit on open files
    /// (`RLIMIT_NOFILE`).
    pub fn new(settings: &Settings, engine: Engine, listeners: usize) -> ConnectionBudget {
        let open_files = getrlimit(Resource::Nofile).current;
        let open_files = open_files.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        ConnectionBudget::within(open_files, settings, engine, listeners)
    }

    /// Computes the budget if the process may have `open_files` descriptors.
    ///
    /// A quarter of them is always for connections, even if the rest is less than what everything else needs: a server
    /// with a low limit works, but may reject connections and requests for lack of descriptors.
    fn within(open_files: usize, settings: &Settings, engine: Engine, listeners: usize) -> ConnectionBudget {
        let wanted = settings.max_connections.unwrap_or(engine.default_max_connections());
        let own = match engine {
            Engine::EventLoop => settings.workers.saturating_mul(PER_EVENT_LOOP),
            Engine::Blocking => 0,
        };
        let reserved = [own, PER_SERVER, MAX_REFUSED, listeners]
            .into_iter()
            .fold(settings.reserved_descriptors, usize::saturating_add);
        let per_connection = match engine {
            Engine::EventLoop => settings.descriptors_per_connection,
            Engine::Blocking => settings.descriptors_per_connection.max(BLOCKING_CONNECTION),
        };
        let available = open_files.saturating_sub(reserved).max(open_files / 4);
        let allowed = wanted.min(available / per_connection.max(1)).max(1);
        let is_default = settings.max_connections.is_none();
        ConnectionBudget { wanted, allowed, open_files, reserved, per_connection, is_default }
    }

    /// Whether the operator should know: the server may hold fewer connections than its settings say, or less than half
    /// of the engine's default. (The default is a number for machines with room, not a promise.)
    pub fn falls_short(&self) -> bool {
        self.allowed < if self.is_default { self.wanted / 2 } else { self.wanted }
    }
}

impl fmt::Display for ConnectionBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionBudget { wanted, allowed, open_files, reserved, per_connection, .. } = self;
        write!(
            f,
            "cannot allow {wanted} connections: a limit of {open_files} open files leaves room for {allowed} \
             ({per_connection} for each connection, up to {reserved} for everything else; raise it with ulimit -n)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes the budget of two event loops with two listeners and 50 reserved descriptors.
    fn check(wanted: Option<usize>, per_connection: usize, open_files: usize, expected: (usize, bool)) {
        let settings = Settings {
            workers: 2,
            max_connections: wanted,
            descriptors_per_connection: per_connection,
            reserved_descriptors: 50,
            ..Settings::default()
        };
        let budget = ConnectionBudget::within(open_files, &settings, Engine::EventLoop, 2);
        let reserved = 50 + 2 * PER_EVENT_LOOP + PER_SERVER + MAX_REFUSED + 2;
        assert_eq!((budget.allowed, budget.falls_short()), expected, "{budget:?}");
        assert_eq!(budget.reserved, reserved);
    }

    #[test]
    fn connections_fit_into_the_limit_on_open_files() {
        check(Some(1_000), 1, 20_000, (1_000, false));
        check(Some(30_000), 1, 20_000, (19_871, true));
        check(Some(30_000), 2, 20_000, (9_935, true));
        check(Some(400), 2, 1_024, (400, false));
        check(Some(1_000), 2, 1_024, (447, true));
        check(Some(100), 1, 131, (32, true));
        check(Some(100), 1, 1, (1, true));
        check(Some(usize::MAX), 1, usize::MAX, (usize::MAX - 129, true));
        check(None, 1, 20_000, (10_000, false));
        check(None, 2, 20_000, (9_935, false));
        check(None, 2, 1_024, (447, true));
    }

    #[test]
    fn names_what_the_descriptors_are_for() {
        let settings = Settings { reserved_descriptors: 31, ..Settings::default() };
        let budget = ConnectionBudget::within(200, &settings, Engine::Blocking, 2);
        assert_eq!(
            budget.to_string(),
            "cannot allow 1024 connections: a limit of 200 open files leaves room for 50 (2 for each connection, up \
             to 100 for everything else; raise it with ulimit -n)"
        );
    }
}
