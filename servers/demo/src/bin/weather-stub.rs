//! `weather-stub`: runs the [stub of Open-Meteo](demo::weather_stub) as a program.

use clap::Parser;
use demo::weather_stub::Stub;
use http_daemon::bind_address::TcpAddress;
use std::{io, path::PathBuf, process::ExitCode, thread};

/// The port that the program listens on if its argument has none.
const DEFAULT_PORT: u16 = 8090;

/// Imitates the city search and the forecast of open-meteo.com, for the demo servers' option --weather-url. Runs until
/// it is killed.
///
/// It knows Berlin, invents all other cities, and does not find the city "nowhere". Some names of cities make it fail,
/// for example "error", "hangup", "silent" and "truncated".
///
/// Exit codes: 1 if it could not listen; 2 for wrong usage.
#[derive(Parser)]
#[command(name = "weather-stub", version, max_term_width = 100)]
struct Arguments {
    /// Address or name to listen on, with or without a port (8090)
    #[arg(value_name = "ADDRESS[:PORT]", default_value = "127.0.0.1:8090")]
    address: TcpAddress,

    /// Use TLS with the certificates in this PEM file, that of the server first
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// PEM file with the private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Err(error) = serve(&Arguments::parse()) {
        eprintln!("weather-stub: {error}");
        return ExitCode::FAILURE;
    }
    loop {
        thread::park();
    }
}

/// Starts the stub and prints its URL. Fails if no address of the host can be bound, or the certificate cannot be used.
fn serve(Arguments { address, tls_cert, tls_key }: &Arguments) -> io::Result<()> {
    let addresses = address.resolve(DEFAULT_PORT)?;
    let stub = match tls_cert.as_ref().zip(tls_key.as_ref()) {
        Some((chain, key)) => Stub::start_tls(&addresses[..], chain, key)?,
        None => {
            Stub::start(&addresses[..]).map_err(|error| http_engine::listener::bind_error(address, &error))?
        }
    };
    println!("weather-stub serves at {}", stub.url());
    Ok(())
}
