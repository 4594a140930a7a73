//! `weather-stub [ADDRESS]`: runs the [stub of Open-Meteo](demo::weather_stub). The default address is 127.0.0.1:8090.
//! The option `--weather-url http://127.0.0.1:8090` makes a demo server fetch the weather from the stub.

use demo::weather_stub::Stub;
use std::{env, process::ExitCode, thread};

/// Serves the stub of Open-Meteo's city search and forecast until the process is killed. The first argument is the
/// address to listen on, by default 127.0.0.1:8090. If the address cannot be bound, exits with code 1. A search for the
/// name of a [`Behaviour`](demo::weather_stub::Behaviour) instead of a city makes the stub respond in that way, for
/// example with a fault.
fn main() -> ExitCode {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    match Stub::start(&address) {
        Ok(stub) => println!("weather-stub serves at {}", stub.url()),
        Err(error) => {
            eprintln!("weather-stub: cannot bind {address}: {error}");
            return ExitCode::FAILURE;
        }
    }
    loop {
        thread::park();
    }
}
