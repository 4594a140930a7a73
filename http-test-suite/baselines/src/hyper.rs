//! A worker of the servers on hyper: a listening socket, a runtime that stays on its thread, and a task for each
//! connection.

use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::HttpService,
};
use hyper_util::rt::TokioIo;
use std::{error::Error, io, net::TcpListener};
use tokio::{
    runtime::Builder,
    task::{LocalSet, spawn_local},
};

/// Serves every connection to `listener`, until accepting fails.
///
/// # Errors
///
/// If the runtime cannot start, or if accepting a connection fails.
pub fn serve<S>(listener: TcpListener, service: S) -> io::Result<()>
where
    S: HttpService<Incoming, Error: Into<Box<dyn Error + Send + Sync>>, Future: 'static> + Clone + 'static,
    S::ResBody: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let connections = LocalSet::new();
    connections.block_on(&runtime, async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut http = http1::Builder::new();
        http.pipeline_flush(true);
        loop {
            let (stream, _) = listener.accept().await?;
            let connection = http.serve_connection(TokioIo::new(stream), service.clone());
            spawn_local(async move {
                // A client that aborts is not an error of the server.
                let _ = connection.await;
            });
        }
    })
}
