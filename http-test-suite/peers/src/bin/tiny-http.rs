//! A folder, or the same bytes for every request, by tiny_http: it reads on a pool of its own, and as many threads as
//! asked for answer.

use clap::Parser;
use peers::{Listening, announce, on_threads};
use std::{
    fs::File,
    io,
    path::{Component, Path, PathBuf},
};
use tiny_http::{Header, Response, Server};

/// Serves a folder, or the same bytes for every request, with tiny_http.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    listening: Listening,

    /// The folder
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    root: PathBuf,

    /// Instead of a folder: bytes, of this length
    #[arg(long, value_name = "BYTES", conflicts_with = "root")]
    size: Option<usize>,
}

fn main() -> io::Result<()> {
    let Arguments { listening, root, size } = Arguments::parse();
    let listener = listening.bind()?;
    // It waits in `accept`, and takes having to wait for an error.
    listener.set_nonblocking(false)?;
    announce("tiny-http", &listener)?;
    let server = Server::from_listener(listener, None).map_err(io::Error::other)?;
    let content = size.map(|size| vec![b'x'; size]);
    // Whatever is measured is HTML.
    let html = Header::from_bytes("Content-Type", "text/html").map_err(|()| io::ErrorKind::InvalidInput)?;
    on_threads(0..listening.workers.get(), |_| {
        loop {
            let request = server.recv()?;
            // A peer that breaks off is its own affair.
            let _ = match &content {
                Some(content) => request.respond(Response::new(
                    200.into(),
                    vec![html.clone()],
                    &content[..],
                    Some(content.len()),
                    None,
                )),
                None => match file(&root, request.url()) {
                    Ok(file) => request.respond(Response::from_file(file).with_header(html.clone())),
                    Err(_) => request.respond(Response::empty(404)),
                },
            };
        }
    });
    Ok(())
}

/// The least that serves a measurement: nothing is decoded, and a path that leads upwards leads nowhere.
fn file(root: &Path, target: &str) -> io::Result<File> {
    let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
    if !Path::new(path).components().all(|component| matches!(component, Component::Normal(_))) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let path = root.join(path);
    let file = File::open(if path.is_dir() { path.join("index.html") } else { path })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}
