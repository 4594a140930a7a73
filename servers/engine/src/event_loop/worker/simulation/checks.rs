//! What must hold in the simulation: after each turn of an event loop, before time passes, and at the end.

use super::{MAX_DELAY, TIMEOUTS, application::lock, run::Simulation};
use crate::sys::simulated::{self, Happening};
use std::time::Duration;

/// The most requests, and the most receives, of one turn of a connection: its budget, and a receive that brings
/// nothing.
const MAX_PER_TURN: usize = 64 + 1;

/// The most bytes that one turn of a connection sends: its budget, which the last send exceeds.
const MAX_SENT: usize = 2 * 1024 * 1024;

/// How often a connection has a turn in one turn of its event loop: its event, its deadline, the shutdown, and what was
/// left before.
const TURNS: usize = 4;

/// How many steps a failure prints.
const PRINTED: usize = 60;

/// How long after its deadline a connection may be open.
const GRANULARITY: Duration = Duration::from_secs(1);

impl Simulation {
    /// Checks what must hold after each turn.
    pub(super) fn check_turn(&mut self, index: usize) {
        let kernel = &mut *simulated::lock(&self.kernel);
        let app = &mut *lock(&self.application);
        if let Some(violation) = app.violation.take() {
            panic!("{violation}");
        }
        let handled = std::mem::take(&mut app.handled);
        for number in kernel.take_used() {
            let (client, peer) = (&mut self.clients[number], &mut kernel.peers[number]);
            let receives = std::mem::take(&mut peer.receives);
            let sent = std::mem::take(&mut peer.sent_in_turn);
            assert!(receives <= TURNS * MAX_PER_TURN, "connection {number}: {receives} receives in one turn");
            assert!(sent <= TURNS * MAX_SENT, "connection {number}: {sent} bytes sent in one turn");
            if client.is_burst {
                let requests = handled.iter().filter(|handled| **handled == number).count();
                let most = TURNS * MAX_PER_TURN;
                assert!(requests <= most, "connection {number}: {requests} requests in one turn");
            }
            client.note_turn(kernel, self.now);
        }
        for number in std::mem::take(&mut kernel.closed) {
            let closed = self.clients[number].note_close(kernel, app);
            self.check(number, closed);
            self.responses += self.clients[number].responses;
        }
        let (clients, worker) = (&self.clients, &mut self.workers[index]);
        self.open.retain(|number| !clients[*number].has_ended);
        // A deadline passes only when time does.
        if std::mem::replace(&mut self.checked_at[index], self.now) == self.now {
            return;
        }
        for key in worker.connections.keys() {
            let Some(client) = worker.connections.get(key) else { continue };
            let mut deadline = client.conn.deadline();
            if let (Some(draining), Some(idle)) = (app.draining_since, client.conn.idle_since()) {
                deadline = deadline.min(draining.max(idle) + TIMEOUTS.idle_grace);
            }
            let late = self.now.saturating_duration_since(deadline);
            assert!(late <= GRANULARITY + MAX_DELAY, "{key:?} is open {late:?} after its deadline");
        }
    }

    /// Checks what must hold when no event loop has anything to do.
    pub(super) fn check_settled(&self) {
        let (kernel, app) = (&*simulated::lock(&self.kernel), &*lock(&self.application));
        let is_draining = self.workers.iter().all(|worker| worker.draining);
        assert!(!is_draining || kernel.open() > 0, "the shutdown does not end");
        // After a shortage, the event loops accept nothing for a while.
        if kernel.queued() > 0 {
            return;
        }
        for number in &self.open {
            self.check(*number, self.clients[*number].check_settled(kernel, app));
        }
    }

    /// Prints the last steps, and those of the connection that has failed.
    pub(super) fn print_trace(&self, seed: u64) {
        let kernel = simulated::lock(&self.kernel);
        let print = |step: &Happening| {
            let connection = step.connection.map(|number| format!("connection {number}")).unwrap_or_default();
            eprintln!("{:>12.6} s  {connection:16} {} {}", step.at.as_secs_f64(), step.what, step.count);
        };
        let last = |wanted: &dyn Fn(&Happening) -> bool| {
            let steps: Vec<_> = kernel.trace.iter().rev().filter(|step| wanted(step)).take(PRINTED).collect();
            steps.into_iter().rev().for_each(print);
        };
        eprintln!("the last steps of the simulation with SIMULATION_SEED={seed}:");
        last(&|_| true);
        if let Some(failed) = self.failed.get() {
            eprintln!("the last steps of connection {failed}:");
            last(&|step| step.connection == Some(failed));
        }
    }

    /// Fails if something is wrong with the connection of this number.
    pub(super) fn check(&self, number: usize, result: Result<(), String>) {
        if let Err(message) = result {
            self.failed.set(Some(number));
            panic!("connection {number}: {message}");
        }
    }

    /// Checks that nothing is left after the shutdown.
    pub(super) fn end(&mut self) {
        let is_complete = self.shutdown.deadline().is_some_and(|deadline| self.now < deadline);
        for worker in &mut self.workers {
            assert!(worker.connections.len() == 0 || !is_complete, "a connection is left");
            assert!(worker.upgraded.is_empty() || !is_complete, "an upgraded connection is left");
            if is_complete {
                let far = self.now + Duration::from_secs(1_000_000);
                assert!(worker.timers.take_due(far).is_none(), "a timer is left");
            }
        }
        let admission = self.workers[0].admission.clone();
        self.workers.clear();
        // Threads and jobs that still run see that the connections have closed.
        assert!(self.complete_all(), "a task is left");
        let app = &mut *lock(&self.application);
        assert_eq!(simulated::lock(&self.kernel).open(), 0, "sockets are left");
        assert!(admission.is_unused(), "a permit or memory is left: {admission:?}");
        for counters in admission.all_counters().iter() {
            let metrics = counters.read();
            assert_eq!((metrics.open_connections, metrics.idle_connections), (0, 0));
        }
        assert_eq!(app.release(), 0, "a value of the application is left");
    }
}
