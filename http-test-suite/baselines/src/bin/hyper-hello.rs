//! Answers every request with the same bytes, through hyper: measures the cost of the library without files.

use clap::Parser;
use http_body_util::Full;
use hyper::{
    Response,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use baselines::{Listening, announce, on_threads};
use std::{convert::Infallible, future::ready, io};

/// Answers every request with the same bytes, through hyper.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    listening: Listening,

    /// Length of the content
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    size: usize,
}

fn main() -> io::Result<()> {
    let Arguments { listening, size } = Arguments::parse();
    let listeners = listening.bind_each()?;
    let content = Bytes::from(vec![b'x'; size]);
    announce("hyper-hello", &listeners[0])?;
    on_threads(listeners, |listener| {
        let content = content.clone();
        let answer = service_fn(move |_| {
            let mut response = Response::new(Full::new(content.clone()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            ready(Ok::<_, Infallible>(response))
        });
        baselines::hyper::serve(listener, answer)
    });
    Ok(())
}
