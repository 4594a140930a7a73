//! The event loop engine: each worker is a thread that waits for all of its connections in one epoll.
//!
//! Workers share only the thread pool for offloaded jobs and the limits per client address. Each has its own
//! connections, buffers and timers. With [`Sharing::PerWorker`] each has its own listening sockets; with
//! [`Sharing::Shared`] each has duplicates of the server's, and several may have the same one.

mod completions;
mod connections;
mod listeners;
mod timers;
mod worker;

use crate::{
    admission::Admission,
    handlers::Handlers,
    listener::{self, Sharing},
    pool::Pool,
    settings::{Engine, Settings},
    shutdown::Shutdown,
};
use std::{
    io,
    net::TcpListener,
    sync::Arc,
    thread::{self, JoinHandle},
};
use worker::Worker;

/// Starts a thread for each event loop, and returns the handles of these threads. A thread ends when a shutdown has
/// begun and all connections of the thread are closed, or when the grace period is over.
///
/// With [`Sharing::PerWorker`], `listeners` are the sockets of the first event loop. For each other event loop, sockets
/// are bound to the same addresses. With [`Sharing::Shared`], `listeners` are distributed among the event loops.
///
/// # Errors
///
/// The system has no threads or descriptors left, or a socket for another event loop cannot be bound.
pub(crate) fn start(
    listeners: Vec<TcpListener>,
    sharing: Sharing,
    settings: &Settings,
    handlers: &Arc<Handlers>,
    shutdown: &Arc<Shutdown>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let workers = settings.workers();
    let pool = Pool::new(settings.pool_threads, settings.pool_queue);
    let admission = Admission::new(settings, settings.connection_limit(Engine::EventLoop).div_ceil(workers));
    let sets = match sharing {
        Sharing::PerWorker => listener::bind_per_worker(listeners, workers)?,
        Sharing::Shared => listener::distribute(listeners, workers)?,
    };
    let mut threads = Vec::with_capacity(workers);
    for (number, listeners) in sets.into_iter().enumerate() {
        let (handler, admission) = (handlers.of_worker(number), admission.for_worker());
        let worker = Worker::new(listeners, &settings.server, handler, admission, pool.clone(), shutdown)?;
        let name = format!("loop-{number}");
        threads.push(thread::Builder::new().name(name).spawn(move || worker.run())?);
    }
    Ok(threads)
}
