//! An engine in this process.

use super::{
    settings::{Failure, Settings, failed},
    swap::Apps,
};
use crate::{
    logs::{AccessLog, Logs},
    signals::Order,
};
use http_engine::{Handler, MakeHandler, Server, Shutdown, Stack, listener::Sharing};
use std::{
    io,
    net::TcpListener,
    sync::{Arc, mpsc::Sender},
    thread,
};

/// An engine in this process.
pub(super) struct Threads {
    pub(super) stop: Arc<Shutdown>,
    pub(super) apps: Arc<Apps>,
}

impl Threads {
    /// Starts it, with the applications that `make` makes for each worker, one of which is this whole process if
    /// that is a worker. When all of its threads have ended, whoever takes the orders is told.
    pub(super) fn start(
        settings: &Settings,
        listeners: Vec<TcpListener>,
        make: impl Fn(usize) -> Arc<dyn Handler>,
        logs: &Logs,
        orders: Sender<Order>,
    ) -> Result<Threads, Failure> {
        let workers = settings.workers_here();
        let apps = Apps::new(workers, make);
        let (current, access) = (Arc::clone(&apps), logs.access());
        let make_app: MakeHandler = Arc::new(move |number| {
            let app = current.of_worker(number);
            match access.clone().and_then(|(log, format)| AccessLog::new(log, format)) {
                Some(layer) => Arc::new(Stack::new(app).wrapped_in(layer)),
                None => app,
            }
        });
        let engine = http_engine::Settings {
            workers,
            max_connections: Some(settings.connections(listeners.len()).fitting()),
            max_connections_per_address: settings.max_connections_per_address,
            server: format!("{}/{}", settings.name, env!("CARGO_PKG_VERSION")),
            protocol: settings.protocol.clone(),
            ..http_engine::Settings::default()
        };
        let cannot = "cannot start serving";
        // There are as many as there ought to be: bound so, or handed over.
        let server = Server::on(listeners, Sharing::OneForAll).with(engine);
        let running = server.start_each(settings.engine, &make_app).map_err(failed(cannot))?;
        let stop = running.stopper();
        let join = move || {
            running.wait();
            let _ = orders.send(Order::Ended);
        };
        thread::Builder::new().name("join".to_owned()).spawn(join).map_err(failed(cannot))?;
        Ok(Threads { stop, apps })
    }
}

/// What it is when nobody has given the order to stop, and yet all threads have ended.
pub(super) fn ended_by_itself() -> Failure {
    failed("serving ended by itself")(io::Error::other("all workers have gone"))
}
