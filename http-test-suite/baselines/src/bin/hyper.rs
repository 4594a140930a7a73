//! Serves a directory with hyper and tower-http's `ServeDir`, or the same bytes for every request with hyper alone.
//! Each worker has a listening socket, a runtime that stays on its thread, and a task for each connection.

use baselines::{FileServer, announce, on_threads};
use clap::Parser;
use http_body_util::Full;
use hyper::{
    Response,
    body::{Body, Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use std::{convert::Infallible, error::Error, future::ready, io, net::TcpListener};
use tokio::{
    runtime::Builder,
    task::{LocalSet, spawn_local},
};
use tower_http::services::ServeDir;

fn main() -> io::Result<()> {
    let FileServer { listening, root, size } = FileServer::parse();
    let listeners = listening.bind_each()?;
    announce("hyper", &listeners[0])?;
    let Some(size) = size else {
        on_threads(listeners, |listener| serve(listener, TowerToHyperService::new(ServeDir::new(&root))));
        return Ok(());
    };
    let body = Bytes::from(vec![b'x'; size]);
    on_threads(listeners, |listener| {
        let body = body.clone();
        let respond = service_fn(move |_| {
            let mut response = Response::new(Full::new(body.clone()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            ready(Ok::<_, Infallible>(response))
        });
        serve(listener, respond)
    });
    Ok(())
}

/// Serves every connection to `listener`, until accepting fails.
fn serve<S>(listener: TcpListener, service: S) -> io::Result<()>
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
