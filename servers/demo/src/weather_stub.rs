//! Stands in for open-meteo.com: answers in the same shape, always the same for the same question, and goes wrong
//! in as many ways as a server can, on request.
//!
//! `GET /v1/search?name=…` and `GET /v1/forecast?latitude=…&longitude=…` are the two services. How a search is
//! answered can be chosen by looking for one of the cities that the table below names, and how a forecast, by asking
//! for the one at latitude -80 and the longitude that is the number of its line: `error` and -80, 3 are status 500.
//! No city is called `nowhere`. `GET /count` tells how often each place was asked for.
//!
//! Run it with `cargo run --bin weather-stub -- [ADDRESS]` and point a server at it with `--weather-url`.

use http_engine::{HeadIndex, Request, form};
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

macro_rules! manners {
    ($($(#[$about:meta])* $manner:ident $city:literal)*) => {
        /// A way to answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Manner {
            $($(#[$about])* $manner,)*
        }

        /// All of them, with their cities; their numbers are their longitudes.
        pub const MANNERS: &[(&str, Manner)] = &[$(($city, Manner::$manner),)*];
    };
}

manners! {
    /// A good answer.
    Proper "proper"
    /// A good one, in chunks.
    Chunked "chunked"
    /// A good one, ended by the connection.
    CloseDelimited "close-delimited"
    /// Status 500.
    Error "error"
    /// Status 302.
    Redirect "redirect"
    /// A page instead of JSON.
    Rubbish "rubbish"
    /// Another protocol.
    Noise "noise"
    /// The end of the connection.
    Hangup "hangup"
    /// Half a good one.
    Truncated "truncated"
    /// One without an end.
    Oversized "oversized"
    /// One that lacks a field.
    Absent "absent"
    /// One with a value that cannot be.
    Absurd "absurd"
    /// Nothing, for as long as anybody waits.
    Slow "slow"
    /// A good one, an octet now and then.
    Dripping "dripping"
    /// A good one when the gate opens, which only tests can do.
    Held "held"
}

/// Where forecasts are given in any manner.
const STRANGE_LATITUDE: &str = "-80";
/// Between two octets of one that drips.
const DRIP: Duration = Duration::from_millis(50);

/// The stand-in at work, until it is dropped.
pub struct Stub {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    ledger: Mutex<Ledger>,
    changed: Condvar,
}

/// What has been asked for, and how it is answered now.
#[derive(Default)]
struct Ledger {
    asked: BTreeMap<String, usize>,
    /// How to answer everything, if it was said.
    manner: Option<Manner>,
    held: usize,
    gate_open: bool,
    over: bool,
}

impl Stub {
    /// Listens, and answers on a thread for each connection.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn start(address: impl ToSocketAddrs) -> io::Result<Stub> {
        let listener = TcpListener::bind(address)?;
        let (address, state) = (listener.local_addr()?, Arc::<State>::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.ledger().over {
                    return;
                }
                let state = Arc::clone(&shared);
                // A peer that goes away is none of its worries.
                thread::spawn(move || drop(state.serve(stream)));
            }
        });
        Ok(Stub { address, state })
    }

    /// What a server is to be pointed at.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often a city, or a pair of coordinates as in `52.52,13.41`, was asked for.
    pub fn asked(&self, place: &str) -> usize {
        self.state.ledger().asked.get(place).copied().unwrap_or(0)
    }

    /// Answers everything like this from now on; `None` as the place has it.
    pub fn behave(&self, manner: Option<Manner>) {
        self.state.ledger().manner = manner;
    }

    /// Waits until somebody is at the gate. Whether anybody has come in this time.
    pub fn await_held(&self, patience: Duration) -> bool {
        let ledger = self.state.ledger();
        let waited = self.state.changed.wait_timeout_while(ledger, patience, |ledger| ledger.held == 0);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Lets all who wait at the gate pass, and all who come.
    pub fn open_gate(&self) {
        self.state.ledger().gate_open = true;
        self.state.changed.notify_all();
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.state.ledger().over = true;
        self.open_gate();
        // It looks up when somebody comes.
        drop(TcpStream::connect(self.address));
    }
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stub({})", self.address)
    }
}

impl State {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the one request of a connection.
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let (mut head, mut arriving) = (Vec::new(), BufReader::new(&stream));
        while !head.ends_with(b"\r\n\r\n") {
            if arriving.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let mut index = HeadIndex::default();
        let Ok(request) = Request::parse(&head, &mut index, Instant::now()) else {
            return stream.write_all(&answer("400 Bad Request", "{\"error\":true,\"reason\":\"malformed\"}"));
        };
        let parameters: BTreeMap<String, String> =
            form::pairs(request.query().unwrap_or_default().as_bytes()).collect();
        let said = |name: &str| parameters.get(name).map_or("", String::as_str);
        match request.path() {
            "/v1/search" => {
                let name = said("name");
                let manner = MANNERS.iter().find(|(city, _)| *city == name).map(|(_, manner)| *manner);
                self.tell(&mut stream, name, manner, |manner| search(name, manner))
            }
            "/v1/forecast" => {
                let (latitude, longitude) = (said("latitude"), said("longitude"));
                let number = if latitude == STRANGE_LATITUDE { longitude.parse().unwrap_or(0) } else { 0 };
                let manner = MANNERS.get(number).map(|(_, manner)| *manner);
                let place = format!("{latitude},{longitude}");
                self.tell(&mut stream, &place, manner, |manner| forecast(latitude, longitude, manner))
            }
            "/count" => stream.write_all(&answer("200 OK", &counts(&self.ledger().asked))),
            _ => stream.write_all(&answer("404 Not Found", "{\"error\":true,\"reason\":\"Not Found\"}")),
        }
    }

    /// Counts a question and answers it in its manner.
    fn tell(
        &self,
        stream: &mut TcpStream,
        place: &str,
        manner: Option<Manner>,
        json: impl Fn(Manner) -> String,
    ) -> io::Result<()> {
        let manner = {
            let mut ledger = self.ledger();
            *ledger.asked.entry(place.to_owned()).or_default() += 1;
            ledger.manner.or(manner).unwrap_or(Manner::Proper)
        };
        let json = json(manner);
        let good = answer("200 OK", &json);
        match manner {
            Manner::Proper | Manner::Absent | Manner::Absurd => stream.write_all(&good),
            Manner::Chunked => stream.write_all(&chunked(&json)),
            Manner::CloseDelimited => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
                stream.write_all([head, &json].concat().as_bytes())
            }
            Manner::Error => {
                let reason = "{\"error\":true,\"reason\":\"out of order\"}";
                stream.write_all(&answer("500 Internal Server Error", reason))
            }
            Manner::Redirect => {
                stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
            }
            Manner::Rubbish => stream.write_all(&answer("200 OK", "<!doctype html><title>Welcome</title>")),
            Manner::Noise => stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n"),
            Manner::Hangup => Ok(()),
            Manner::Truncated => stream.write_all(&good[..good.len() - json.len() / 2]),
            Manner::Oversized => endless(stream),
            Manner::Slow => stream.read(&mut [0]).map(drop),
            Manner::Dripping => good.iter().try_for_each(|octet| {
                thread::sleep(DRIP);
                stream.write_all(&[*octet])
            }),
            Manner::Held => {
                self.wait_at_gate();
                stream.write_all(&good)
            }
        }
    }

    fn wait_at_gate(&self) {
        let mut ledger = self.ledger();
        ledger.held += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(ledger, |ledger| !ledger.gate_open));
    }
}

/// A whole answer, with the connection ending behind it.
fn answer(status: &str, json: &str) -> Vec<u8> {
    let length = json.len();
    let fields =
        format!("Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n");
    format!("HTTP/1.1 {status}\r\n{fields}\r\n{json}").into_bytes()
}

fn chunked(json: &str) -> Vec<u8> {
    let mut wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in json.as_bytes().chunks(100) {
        wire.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
    }
    wire.extend(b"0\r\n\r\n");
    wire
}

/// White space, which may stand in front of JSON, until nobody takes any more.
fn endless(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        stream.write_all(&[&b"400\r\n"[..], &[b' '; 0x400], b"\r\n"].concat())?;
    }
}

/// What a search for this name finds.
fn search(name: &str, manner: Manner) -> String {
    let (latitude, longitude, country) = location(name);
    let latitude = if manner == Manner::Absurd { 1234.5 } else { latitude };
    let country = country.map(|country| format!(",\"country_code\":\"XX\",\"country\":\"{country}\""));
    let country = country.unwrap_or_default();
    let place =
        if manner == Manner::Absent { String::new() } else { format!("\"name\":{:?},", titled(name)) };
    let results = format!(
        "\"results\":[{{\"id\":1,{place}\"latitude\":{latitude},\"longitude\":{longitude},\"elevation\":74.0,\
         \"feature_code\":\"PPLC\",\"timezone\":\"GMT\",\"population\":100000{country}}}],"
    );
    let results = if name == "nowhere" { "" } else { &results };
    format!("{{{results}\"generationtime_ms\":0.7}}")
}

/// Where a city lies: where it does, or where its name leads.
fn location(name: &str) -> (f64, f64, Option<&'static str>) {
    match name {
        "berlin" => (52.52437, 13.41053, Some("Germany")),
        "tokyo" => (35.6895, 139.69171, Some("Japan")),
        // No country is there.
        "amundsen–scott station" => (-89.99, 0.0, None),
        _ => {
            let sum = name.bytes().fold(7u32, |sum, octet| sum.wrapping_mul(31).wrapping_add(octet.into()));
            (f64::from(sum % 120) - 60.0, f64::from(sum / 120 % 340) - 170.0, Some("Erewhon"))
        }
    }
}

fn titled(name: &str) -> String {
    let capital =
        |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect();
    name.split(' ').map(capital).collect::<Vec<String>>().join(" ")
}

/// The weather at these coordinates: the colder the further from the equator, windy in the east, and rain.
fn forecast(latitude: &str, longitude: &str, manner: Manner) -> String {
    let number = |text: &str| text.parse().unwrap_or(0.0);
    let (north, east): (f64, f64) = (number(latitude), number(longitude));
    let temperature = if manner == Manner::Absurd { 1000.0 } else { (30.0 - north.abs() / 2.0).round() };
    let code = if manner == Manner::Absent { "null" } else { "61" };
    let (wind, direction) = ((east + 180.0).round() / 10.0, (east + 180.0).round());
    format!(
        "{{\"latitude\":{north},\"longitude\":{east},\"generationtime_ms\":0.05,\"utc_offset_seconds\":0,\
         \"timezone\":\"GMT\",\"timezone_abbreviation\":\"GMT\",\"elevation\":38.0,\"current_units\":{{\
         \"time\":\"iso8601\",\"interval\":\"seconds\",\"temperature_2m\":\"°C\",\"wind_speed_10m\":\"km/h\",\
         \"wind_direction_10m\":\"°\",\"weather_code\":\"wmo code\"}},\"current\":{{\
         \"time\":\"2026-01-02T03:45\",\"interval\":900,\"temperature_2m\":{temperature},\
         \"wind_speed_10m\":{wind},\"wind_direction_10m\":{direction},\"weather_code\":{code}}}}}"
    )
}

fn counts(asked: &BTreeMap<String, usize>) -> String {
    let count = |(place, count): (&String, &usize)| format!("{place:?}: {count}");
    format!("{{{}}}\n", asked.iter().map(count).collect::<Vec<_>>().join(", "))
}
