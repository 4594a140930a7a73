//! A worker process: one worker's engine on the master's sockets, stopped by the master's SIGTERM or its death.

use super::{
    settings::{Failure, Settings, failed},
    threads::{Threads, ended_by_itself},
};
use crate::{
    handoff::{Inherited, Line, Message},
    logs::Logs,
    signals::{Caught, Order, Orders},
};
use std::{os::fd::OwnedFd, sync::mpsc::Sender, thread, time::Duration};

/// How long the last lines of a log may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Serves as the worker with this number until the master stops it, or has gone.
pub(super) fn run(
    settings: &Settings,
    number: usize,
    inherited: Inherited,
    caught: Caught,
) -> Result<(), Failure> {
    let no_log = || failed("cannot write a log");
    let logs = settings.log.open().map_err(no_log())?.start().map_err(no_log())?;
    let orders = caught.orders(Order::to_worker).map_err(failed("cannot handle signals"))?;
    let make = settings.open_application(inherited.root.as_ref())?;
    // To itself it is the only worker; its number among all it has from the master.
    let threads = Threads::start(settings, inherited.listeners, |_| make(number), &logs, orders.giver())?;
    inherited.line.say_serving().map_err(failed("cannot reach the master process"))?;
    listen(inherited.line, orders.giver())?;
    let worker = Worker { settings, number, orders, logs, threads };
    let outcome = worker.serve().map(|()| worker.drain());
    worker.logs.flush(LAST_LINES);
    outcome
}

/// Passes on what the master says, and that it says nothing more.
fn listen(line: Line, orders: Sender<Order>) -> Result<(), Failure> {
    let listen = move || {
        loop {
            let order = match line.receive() {
                Ok(Some(Message::Root(root))) => Order::Root(root),
                Ok(Some(Message::Reopen)) => Order::Reopen,
                Ok(Some(_)) => continue,
                Ok(None) | Err(_) => break drop(orders.send(Order::Orphaned)),
            };
            if orders.send(order).is_err() {
                break;
            }
        }
    };
    let started = thread::Builder::new().name("line".to_owned()).spawn(listen);
    started.map(drop).map_err(failed("cannot listen to the master process"))
}

struct Worker<'a> {
    settings: &'a Settings,
    number: usize,
    orders: Orders,
    logs: Logs,
    threads: Threads,
}

impl Worker<'_> {
    /// Carries out orders until it is time to stop.
    fn serve(&self) -> Result<(), Failure> {
        loop {
            match self.orders.next(None) {
                Order::Stop | Order::Orphaned => return Ok(()),
                Order::Reopen => self.logs.reopen(),
                Order::Root(root) => self.serve_files_of(&root),
                Order::Ended => return Err(ended_by_itself()),
                _ => {}
            }
        }
    }

    fn serve_files_of(&self, root: &OwnedFd) {
        match self.settings.open_application(Some(root)) {
            Ok(make) => self.threads.apps.renew(|_| make(self.number)),
            Err(failure) => log::error!("{failure}; what was served before still is"),
        }
    }

    /// Has what is in flight finish, for the time that it is granted, or until the order to stop comes again.
    fn drain(&self) {
        let grace = self.settings.grace;
        self.threads.stop.ask(grace);
        loop {
            match self.orders.next(None) {
                Order::Stop | Order::Ended => return,
                Order::Reopen => self.logs.reopen(),
                // The master may die meanwhile: that changes nothing.
                _ => {}
            }
        }
    }
}
