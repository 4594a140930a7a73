//! The event loop: each worker waits for all of its connections at once, in epoll, by way of mio.
//!
//! Workers share nothing but the pool for offloaded work. Each has listening sockets, buffers, timers and an
//! application of its own.

mod completions;
mod connections;
mod listeners;
mod timers;
mod turn;
mod worker;

use crate::{MakeHandler, Settings, admission::Addresses};
use crate::{
    listener::{self, Sharing},
    pool::Pool,
    shutdown::Shutdown,
};
use std::{io, net::TcpListener, sync::Arc, thread, thread::JoinHandle};

/// Connections held at once unless the settings say otherwise: at some hundred bytes for an idle one, and
/// 16 KiB and its answers for a busy one, this is what a small machine carries.
pub const MAX_CONNECTIONS: usize = 10_000;

/// Starts a thread for each worker.
///
/// # Errors
///
/// When the system lacks threads or descriptors, or another socket cannot be bound to the same address.
pub fn start(
    listeners: Vec<TcpListener>,
    sharing: Sharing,
    settings: &Settings,
    make_app: &MakeHandler,
    stop: &Arc<Shutdown>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let workers = settings.workers.max(1);
    let pool = Pool::new(settings.pool_threads, settings.pool_queue);
    let sets = match sharing {
        Sharing::EachItsOwn => listener::one_for_each(listeners, workers)?,
        Sharing::OneForAll => listener::dealt_out(listeners, workers)?,
    };
    let max_connections = settings.max_connections.unwrap_or(MAX_CONNECTIONS).div_ceil(workers);
    let addresses = settings.max_connections_per_address.map(Addresses::at_most);
    let mut threads = Vec::with_capacity(workers);
    for (number, listeners) in sets.into_iter().enumerate() {
        let around = worker::Surroundings {
            config: Arc::new(settings.protocol.clone()),
            app: make_app(number),
            pool: pool.clone(),
            stop: Arc::clone(stop),
            max_connections,
            addresses: addresses.clone(),
        };
        let worker = worker::Worker::new(listeners, &settings.server, around)?;
        let name = format!("loop-{number}");
        threads.push(thread::Builder::new().name(name).spawn(move || worker.run())?);
    }
    Ok(threads)
}
