//! `weather-stub`: stands in for open-meteo.com; see [`weather_stub`](demo::weather_stub).

use demo::weather_stub::Stub;
use std::{env, io, thread};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let stub = Stub::start(&address)?;
    println!("weather at {}", stub.url());
    loop {
        thread::park();
    }
}
