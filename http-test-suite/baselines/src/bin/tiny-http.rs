//! Serves a directory, or the same bytes for every request, with tiny_http. The library reads requests on threads of
//! its own; `--workers` threads respond.

use baselines::{FileServer, announce, on_threads};
use clap::Parser;
use std::{
    fs::File,
    io,
    path::{Component, Path},
};
use tiny_http::{Header, Response, Server};

fn main() -> io::Result<()> {
    let FileServer { listening, root, size } = FileServer::parse();
    let listener = listening.bind()?;
    // tiny_http blocks in `accept`, and would take EWOULDBLOCK for an error.
    listener.set_nonblocking(false)?;
    announce("tiny-http", &listener)?;
    let server = Server::from_listener(listener, None).map_err(io::Error::other)?;
    let constant = size.map(|size| vec![b'x'; size]);
    // All measured files are HTML.
    let html = Header::from_bytes("Content-Type", "text/html").map_err(|()| io::ErrorKind::InvalidInput)?;
    on_threads(0..listening.workers.get(), |_| {
        loop {
            let request = server.recv()?;
            // A client that aborts is not an error of the server.
            let _ = match &constant {
                Some(body) => {
                    let headers = vec![html.clone()];
                    request.respond(Response::new(200.into(), headers, &body[..], Some(body.len()), None))
                }
                None => match open(&root, request.url()) {
                    Ok(file) => request.respond(Response::from_file(file).with_header(html.clone())),
                    Err(_) => request.respond(Response::empty(404)),
                },
            };
        }
    });
    Ok(())
}

/// Opens the file for a target. Does the least that the measurements need: decodes nothing, and rejects `..`.
fn open(root: &Path, target: &str) -> io::Result<File> {
    let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
    if !Path::new(path).components().all(|component| matches!(component, Component::Normal(_))) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let path = root.join(path);
    let file = File::open(if path.is_dir() { path.join("index.html") } else { path })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}
