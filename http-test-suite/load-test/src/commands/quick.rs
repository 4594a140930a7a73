//! One load on one server, like `ab` and `wrk`: from the options to the summary.

use std::error::Error;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::{Args, value_parser};
use http_test_suite::duration;
use indicatif::{ProgressBar, ProgressStyle};
use load_test::load::{self, Exchange, Load, Progress, Stats, Until};
use load_test::report::metric::thousands;

use super::print_result;
use super::summary::Summary;
use super::url::Url;

/// The default duration of the load.
const TIME: Duration = Duration::from_secs(10);

/// The options of `load-test URL`: one load on one server.
#[derive(Args)]
pub(crate) struct QuickOptions {
    /// The URLs to request, in turn; all must be on one server
    #[arg(value_name = "URL", required = true)]
    urls: Vec<Url>,

    /// Number of simultaneous connections, at most one for each request
    #[arg(short, long, value_name = "N", default_value = "50")]
    connections: usize,

    /// End the load after this many requests
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "time")]
    requests: Option<u64>,

    /// End the load after this time: 10s, 500ms, 2m
    #[arg(short = 'z', long, value_name = "TIME", value_parser = duration::parse)]
    time: Option<Duration>,

    /// Use a new connection for each request, and send Connection: close
    #[arg(long)]
    close: bool,

    /// Number of requests that a connection sends at once, before it waits for their responses
    #[arg(long, value_name = "N", default_value = "1")]
    pipeline: usize,

    /// Number of threads of this program, among which it divides the connections
    #[arg(short, long, value_name = "N", default_value = "1")]
    threads: usize,

    /// Method of the requests; by default GET, or POST with --data
    #[arg(short, long)]
    method: Option<String>,

    /// Add a header, or replace a default header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<String>,

    /// Body of each request: text, or @ and the name of a file with it
    #[arg(short, long, value_name = "TEXT|@FILE")]
    data: Option<String>,

    /// Count every other status as an error; by default every status below 400 is right
    #[arg(long, value_name = "CODE", value_parser = value_parser!(u16).range(200..1000))]
    expect_status: Option<u16>,

    /// Send this many requests per second, at even intervals, even if the server is slower. Latency counts from the
    /// time when a request was due, even if no connection was free then
    #[arg(long, value_name = "N")]
    rate: Option<f64>,

    /// Count a request as an error if it takes longer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,

    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the load, and prints the summary. Returns false if a request failed, or a response has a wrong status: not that
/// of `--expect-status` or, without this option, 400 or more.
pub(crate) fn run(options: &QuickOptions) -> Result<bool, Box<dyn Error>> {
    let load = options.load()?;
    let stats = run_with_progress(&load)?;
    let urls = options.urls.iter().map(Url::to_string).collect();
    let summary = Summary { urls, load: &load, stats: &stats };
    print_result(&summary, &summary.json(), options.json)?;
    Ok(summary.all_right())
}

impl QuickOptions {
    /// The load that the options describe. Connects once, to find the server's address.
    fn load(&self) -> Result<Load, Box<dyn Error>> {
        let body = match self.data.as_deref().map(|data| data.strip_prefix('@').ok_or(data)) {
            Some(Ok(file)) => Some(fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?),
            Some(Err(text)) => Some(text.as_bytes().to_vec()),
            None => None,
        };
        let [first, others @ ..] = self.urls.as_slice() else { return Err("no URL".into()) };
        let is_other = |url: &&Url| (&url.host, url.is_https) != (&first.host, first.is_https);
        if let Some(other) = others.iter().find(is_other) {
            return Err(format!("cannot test two servers at once: {first} and {other}").into());
        }
        Ok(Load {
            address: find_server(first, self.timeout)?,
            exchanges: self.urls.iter().map(|url| self.exchange(url, body.as_deref())).collect(),
            // More connections than requests would stay unused.
            connections: self.requests.map_or(self.connections, |count| {
                self.connections.min(usize::try_from(count.max(1)).unwrap_or(usize::MAX))
            }),
            keep_alive: !self.close,
            pipeline: self.pipeline,
            until: match self.requests {
                Some(count) => Until::Requests(count),
                None => Until::Time(self.time.unwrap_or(TIME)),
            },
            rate: self.rate,
            opening: Duration::ZERO,
            tls: first.is_https.then(|| first.host.0.clone()),
            threads: self.threads,
            timeout: self.timeout,
            count_header: None,
        })
    }

    /// The request for a URL, and the response that it expects.
    fn exchange(&self, url: &Url, body: Option<&[u8]>) -> Exchange {
        let method = self.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
        let defaults = [
            Some(format!("Host: {}", url.authority)),
            Some("User-Agent: load-test".to_owned()),
            self.close.then(|| "Connection: close".to_owned()),
            body.map(|body| format!("Content-Length: {}", body.len())),
        ];
        let is_default = |header: &String| !self.headers.iter().any(|given| name(given) == name(header));
        let headers = defaults.into_iter().flatten().filter(is_default).chain(self.headers.iter().cloned());
        let headers: String = headers.map(|header| header + "\r\n").collect();
        let head = format!("{method} {} HTTP/1.1\r\n{headers}\r\n", url.target);
        let exchange = Exchange::new([head.as_bytes(), body.unwrap_or_default()].concat());
        match self.expect_status {
            Some(status) => exchange.expect_status(status),
            None => exchange,
        }
    }
}

/// Finds the first address that accepts a connection, so that a wrong URL is reported at once and not as a thousand
/// failed requests.
fn find_server(url: &Url, timeout: Duration) -> Result<SocketAddr, String> {
    let cannot_connect = |error: io::Error| format!("cannot connect to {}: {error}", url.authority);
    let mut failure = cannot_connect(io::ErrorKind::NotFound.into());
    for address in (url.host.0.as_str(), url.host.1).to_socket_addrs().map_err(cannot_connect)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(address),
            Err(error) => failure = cannot_connect(error),
        }
    }
    Err(failure)
}

/// Runs the load. On a terminal, shows the progress.
fn run_with_progress(load: &Load) -> Result<Stats, Box<dyn Error>> {
    let bar = ProgressBar::new(100).with_style(ProgressStyle::with_template("{bar:40} {pos} %  {msg}")?);
    let stats = load::run(load, &|Progress { requests, errors, elapsed }| {
        let done = match load.until {
            Until::Requests(count) => (requests + errors) as f64 / count as f64,
            Until::Time(time) => elapsed.div_duration_f64(time),
        };
        bar.set_position((done * 100.0) as u64);
        let per_second = requests as f64 / elapsed.as_secs_f64();
        bar.set_message(format!("{} requests/s, {errors} errors", thousands(per_second)));
    });
    bar.finish_and_clear();
    Ok(stats?)
}

/// The name in a header line, before the colon, in lower case.
fn name(header: &str) -> String {
    header.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

/// Parses the value of `-H`, which must be one header line with a name.
fn header(text: &str) -> Result<String, String> {
    let (name, _) = text.split_once(':').ok_or("no colon")?;
    if name.is_empty() || text.contains(['\r', '\n', '\0']) {
        return Err("no name, or more than one line".into());
    }
    Ok(text.to_owned())
}
