//! One load on one server, like `ab` and `wrk`: from the arguments to the report.

use std::error::Error;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use load_test::load::{self, Exchange, Load, Progress, Stats, Until};

use super::print;
use super::report::Report;
use super::url::Url;
use http_test_suite::duration;

/// The default duration of the test.
const TIME: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Arguments {
    /// What to ask for, in turn; all URLs must be on one server
    #[arg(value_name = "URL", required = true)]
    urls: Vec<Url>,

    /// Simultaneous connections
    #[arg(short, long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
    connections: usize,

    /// End after this many requests
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "time")]
    requests: Option<u64>,

    /// End after this time: 10s, 500ms, 2m
    #[arg(short = 'z', long, value_name = "TIME", value_parser = duration::parse)]
    time: Option<Duration>,

    /// Use a new connection for each request, with Connection: close
    #[arg(long)]
    close: bool,

    /// Requests that a connection sends together, before the first is answered
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one, conflicts_with = "close")]
    pipeline: usize,

    /// Threads of the driver
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    threads: usize,

    /// Method; by default GET, or POST if there is content
    #[arg(short, long)]
    method: Option<String>,

    /// Add a header field; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = field)]
    fields: Vec<String>,

    /// Content to send, or a file with it
    #[arg(short, long, value_name = "TEXT|@FILE")]
    data: Option<String>,

    /// The only right status; by default every status below 400 is right
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(200..1000))]
    expect_status: Option<u16>,

    /// Requests per second, at even intervals. Latency counts from the scheduled start of a request, even if no
    /// connection was free then
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,

    /// Timeout for an answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,

    /// Write the report as JSON to this file; - writes only the JSON to standard output
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
}

/// Runs the load, and prints the report. Returns false if an answer was wrong.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let load = arguments.load()?;
    let tally = drive(&load)?;
    let report = Report::new(arguments.urls.iter().map(Url::to_string).collect(), &load, &tally);
    match arguments.json.as_deref() {
        Some("-") => print(&report.json()?)?,
        Some(file) => {
            fs::write(file, report.json()?).map_err(|error| format!("{file}: {error}"))?;
            print(&report.to_string())?;
        }
        None => print(&report.to_string())?,
    }
    Ok(report.is_well())
}

impl Arguments {
    fn load(&self) -> Result<Load, Box<dyn Error>> {
        let content = match self.data.as_deref().map(|data| (data, data.strip_prefix('@'))) {
            Some((_, Some(file))) => Some(fs::read(file).map_err(|error| format!("{file}: {error}"))?),
            Some((text, None)) => Some(text.as_bytes().to_vec()),
            None => None,
        };
        let [first, others @ ..] = self.urls.as_slice() else { return Err("no URL".into()) };
        if let Some(other) = others.iter().find(|url| url.host != first.host) {
            return Err(format!("{other} is not on the server of {first}").into());
        }
        Ok(Load {
            address: reach(first, self.timeout)?,
            exchanges: self.urls.iter().map(|url| self.ask(url, content.as_deref())).collect(),
            connections: self.connections,
            keep_alive: !self.close,
            pipeline: self.pipeline,
            until: match self.requests {
                Some(count) => Until::Requests(count),
                None => Until::Time(self.time.unwrap_or(TIME)),
            },
            rate: self.rate,
            threads: self.threads,
            timeout: self.timeout,
            count_header: None,
        })
    }

    fn ask(&self, url: &Url, content: Option<&[u8]>) -> Exchange {
        let method = self.method.as_deref().unwrap_or(if content.is_some() { "POST" } else { "GET" });
        let own = [
            Some(format!("Host: {}", url.authority)),
            Some("User-Agent: load-test".to_owned()),
            self.close.then(|| "Connection: close".to_owned()),
            content.map(|content| format!("Content-Length: {}", content.len())),
        ];
        // A header field on the command line replaces the default field of that name.
        let own = own
            .into_iter()
            .flatten()
            .filter(|field| !self.fields.iter().any(|given| same_name(field, given)));
        let fields: String =
            own.chain(self.fields.iter().cloned()).map(|field| format!("{field}\r\n")).collect();
        let mut bytes = format!("{method} {} HTTP/1.1\r\n{fields}\r\n", url.target).into_bytes();
        bytes.extend(content.unwrap_or_default());
        let ask = Exchange::new(bytes);
        match self.expect_status {
            Some(status) => ask.expect_status(status),
            None => ask,
        }
    }
}

/// Finds the first address that accepts a connection, so that a wrong URL is reported at once and not as a thousand
/// failed requests.
fn reach(url: &Url, timeout: Duration) -> Result<SocketAddr, String> {
    let wrong = |error: io::Error| format!("{}: {error}", url.authority);
    let mut why = wrong(io::ErrorKind::NotFound.into());
    for address in (url.host.0.as_str(), url.host.1).to_socket_addrs().map_err(wrong)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(address),
            Err(error) => why = wrong(error),
        }
    }
    Err(why)
}

/// Runs the load. On a terminal, shows the progress.
fn drive(load: &Load) -> Result<Stats, Box<dyn Error>> {
    let (length, unit) = match load.until {
        Until::Requests(count) => (count, ""),
        Until::Time(time) => (time.as_millis().try_into().unwrap_or(u64::MAX), " ms"),
    };
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}}{unit}  {{msg}}"))?;
    let bar = ProgressBar::new(length).with_style(style);
    let tally = load::run(load, &|Progress { requests, errors, elapsed }| {
        bar.set_position(match load.until {
            Until::Requests(_) => requests + errors,
            Until::Time(time) => elapsed.min(time).as_millis().try_into().unwrap_or(u64::MAX),
        });
        let per_second = requests as f64 / elapsed.as_secs_f64();
        bar.set_message(format!("{per_second:.0} requests/s, {errors} errors"));
    });
    bar.finish_and_clear();
    Ok(tally?)
}

fn same_name(field: &str, other: &str) -> bool {
    let name = |field: &str| field.split(':').next().unwrap_or_default().to_ascii_lowercase();
    name(field) == name(other)
}

fn field(text: &str) -> Result<String, String> {
    let (name, _) = text.split_once(':').ok_or("no colon")?;
    if name.is_empty() || text.contains(['\r', '\n', '\0']) {
        return Err("no name, or more than one line".into());
    }
    Ok(text.to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "must be a number from 1".into())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "must be a number above 0".into())
}
