//! `weather-stub`: runs the [stub of Open-Meteo](demo::weather_stub) as a program.

use clap::Parser;
use demo::weather_stub::Stub;
use http_daemon::bind_address::TcpAddress;
use std::{io, process::ExitCode, thread};

/// The port that the program listens on if its argument has none.
const DEFAULT_PORT: u16 = 8090;

/// Imitates the city search and the forecast of open-meteo.com, for the demo servers' option --weather-url. Runs until it
/// is killed.
///
/// It knows Berlin, invents all other cities, and does not find the city "nowhere". Some names of cities make it fail, for
/// example "error", "hangup", "silent" and "truncated".
///
/// Exit codes: 1 if it could not listen; 2 for wrong usage.
#[derive(Parser)]
#[command(name = "weather-stub", version, max_term_width = 100)]
struct Arguments {
    /// Address or name to listen on, with or without a port (8090)
    #[arg(value_name = "ADDRESS[:PORT]", default_value = "127.0.0.1:8090")]
    address: TcpAddress,
}

fn main() -> ExitCode {
    let Arguments { address } = Arguments::parse();
    if let Err(error) = serve(&address) {
        eprintln!("weather-stub: {error}");
        return ExitCode::FAILURE;
    }
    loop {
        thread::park();
    }
}

/// Starts the stub and prints its URL. Fails if no address of the host can be bound.
fn serve(address: &TcpAddress) -> io::Result<()> {
    let addresses = address.resolve(DEFAULT_PORT)?;
    let stub =
        Stub::start(&addresses[..]).map_err(|error| http_engine::listener::bind_error(address, &error))?;
    println!("weather-stub serves at {}", stub.url());
    Ok(())
}
