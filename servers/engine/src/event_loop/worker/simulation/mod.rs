//! A deterministic simulation: event loops serve thousands of clients over a simulated kernel, and a seed decides in
//! what order everything happens.
//!
//! The event loops are those of the product, with all that belongs to them. Simulated are the sockets, the readiness of
//! sockets, the time, the threads of the application, and the clients. A client knows what it must receive, and why the
//! server may close its connection.
//!
//! **The seam** is the list of system calls in [`sys`](crate::sys): in the unit tests, each first looks whether its
//! thread has a simulated kernel. A second kind of `Transport` would leave out of the test what `Transport` does (short
//! sends, budgets of bytes, `sendfile`), and would need a second kind of everything that registers a descriptor.
//! `Worker::turn` takes events of a type of ours, because mio's has no public constructor. TLS is not simulated. What the event loops tell each
//! other and themselves (completions, transfers, the shutdown) passes through real eventfds and a real epoll, which is
//! polled without waiting: one thread runs at a time, so that the order is always the same.
//!
//! **After each turn** these must hold:
//!
//! * Each client has received the bytes of its own responses, in order, and nothing else.
//! * Each request was handled once at most, by the present handler, with its own content and the address of its client.
//! * A status other than 200 has a reason: the handler failed, a limit was reached, or a timeout has really passed.
//! * A closed connection had a reason: the response said so, the client left, or a timeout has really passed.
//! * No connection is open more than a second after its deadline.
//! * No connection used more than its budgets of requests, bytes and receives.
//! * Before time passes: a request that has arrived, and that the application has replied to, has its response.
//!
//! **At the end**, after a shutdown, nothing is left: connections, permits, memory, timers, tasks, late replies,
//! values of the application.
//!
//! A failure prints the seed and the last steps. Run that seed again:
//!
//! ```sh
//! SIMULATION_SEED=17 SIMULATION_REQUESTS=1 cargo test -p http-engine --lib simulation
//! ```

mod application;
mod bodies;
mod checks;
mod client;
mod plan;
mod run;

use crate::sys::simulated;
use http_core::Timeouts;
use run::Simulation;
use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

/// The timeouts of the simulated server.
const TIMEOUTS: Timeouts = Timeouts {
    head: Duration::from_secs(5),
    body_idle: Duration::from_secs(5),
    body_rate: 1,
    reply: Duration::from_secs(8),
    write_stall: Duration::from_secs(6),
    send_rate: 1,
    idle: Duration::from_secs(10),
    idle_grace: Duration::from_secs(2),
    linger: Duration::from_secs(3),
};

/// How late a wait for events may end.
const MAX_DELAY: Duration = Duration::from_millis(2);

/// Runs the simulation with a seed. If it fails, prints the seed and the last steps. Returns the number of responses,
/// and a digest of everything that has happened.
fn simulate(seed: u64) -> (usize, u64) {
    let mut simulation = Simulation::new(seed);
    match catch_unwind(AssertUnwindSafe(|| simulation.run())) {
        Ok(outcome) => {
            simulated::enter(None);
            outcome
        }
        Err(panic) => {
            simulation.print_trace(seed);
            // Destructors would panic again.
            std::mem::forget(simulation);
            resume_unwind(panic);
        }
    }
}

/// Returns the number in an environment variable.
fn variable(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |value| value.parse().expect(name))
}

#[test]
fn clients_get_their_own_responses_and_nothing_is_left() {
    let (mut seed, wanted) =
        (variable("SIMULATION_SEED", 0) as u64, variable("SIMULATION_REQUESTS", 100_000));
    let mut responses = 0;
    while responses < wanted {
        responses += simulate(seed).0;
        seed += 1;
    }
}

#[test]
fn a_seed_decides_everything() {
    assert_eq!(simulate(1), simulate(1));
}
