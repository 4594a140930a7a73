//! The event loop engine: each worker is a thread that waits for all of its connections in one epoll.
//!
//! Workers share the thread pools and the connection limits, and pass new connections to each other, so that all have
//! about the same number ([`transfers`]). Each has its own connections, buffers and timers, its own listening sockets at
//! the addresses that the server has bound, and duplicates of the listening sockets that it was given.

mod completions;
mod connections;
mod listeners;
mod timers;
mod transfers;
mod turn;
mod upgraded;
mod worker;

use crate::{
    admission::Admission,
    handlers::Handlers,
    listener::Sockets,
    pool::{Pool, Pools},
    settings::Settings,
    shutdown::Shutdown,
    threads::Threads,
};
use std::{io, sync::Arc, time::Instant};
use transfers::Transfers;
use worker::Worker;

/// Starts a thread for each event loop. The threads end when a shutdown has begun and all connections of the thread are
/// closed, or when the grace period is over.
///
/// # Errors
///
/// The system has no threads or descriptors left, or a socket for another event loop cannot be bound. Event loops that
/// were started before the error continue until the shutdown.
pub(crate) fn start(
    sockets: Sockets,
    settings: &Settings,
    admission: &Admission,
    handlers: &Arc<Handlers>,
    shutdown: &Arc<Shutdown>,
    threads: &Arc<Threads>,
) -> io::Result<()> {
    let workers = settings.workers;
    let pools = Pools {
        jobs: Pool::new("pool", settings.pool_threads, settings.pool_queue, threads),
        streaming: Pool::new("streaming", settings.streaming_threads, 0, threads),
    };
    let sets = sockets.distribute(workers)?;
    for (number, (listeners, transfers)) in
        sets.into_iter().zip(Transfers::new(admission.all_counters(), Instant::now())?).enumerate()
    {
        let (handler, admission, pools) =
            (handlers.of_worker(number), admission.for_worker(number), pools.clone());
        let worker = Worker::new(listeners, transfers, settings, handler, admission, pools, shutdown)?;
        threads.spawn(&format!("loop-{number}"), move || worker.run())?;
    }
    Ok(())
}
