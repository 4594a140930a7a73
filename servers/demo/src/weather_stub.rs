//! A stub of Open-Meteo's two services, for tests and for demonstrations without an Internet connection.
//!
//! `GET /v1/search?name=…` and `GET /v1/forecast?latitude=…&longitude=…` respond in Open-Meteo's format, always the
//! same to the same query. A search for `nowhere` finds no city. `GET /count` returns how often each place was requested.
//!
//! The stub responds with the faults of a [`Behaviour`] if the city has its name in lower case with hyphens
//! (`name=error`, `name=not-http`), or to all requests after [`Stub::set_behaviour`].
//!
//! It is not built on `http_engine`, because a correct server cannot send most of these faults.

use clap::ValueEnum;
use http_engine::form;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How the stub responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Behaviour {
    /// Sends a complete response.
    Normal,
    /// Sends a complete response in chunks.
    Chunked,
    /// Sends a complete response without a length: the end of the connection delimits it.
    CloseDelimited,
    /// Sends status 500.
    Error,
    /// Sends status 302.
    Redirect,
    /// Sends HTML instead of JSON.
    Html,
    /// Sends bytes of another protocol.
    NotHttp,
    /// Closes the connection without a response.
    Hangup,
    /// Sends half of the body, then closes the connection.
    Truncated,
    /// Sends a body of one megabyte.
    Oversized,
    /// Sends JSON in which a required member is `null`.
    NullMember,
    /// Sends JSON in which a number is out of range.
    OutOfRange,
    /// Sends nothing until the client closes the connection.
    Silent,
    /// Sends a complete response, one byte every 50 ms.
    Trickle,
    /// Sends a complete response when [`Stub::set_behaviour`] sets another behaviour.
    Held,
}

/// A running stub. It serves until the process ends.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    state: Mutex<StubState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct StubState {
    /// Requests per place.
    counts: BTreeMap<String, usize>,
    /// The behaviour for all requests; `None` if the city selects it.
    behaviour: Option<Behaviour>,
    /// Requests that were [held](Behaviour::Held).
    held: usize,
}

impl Stub {
    /// Binds the address and serves each connection on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn start(address: impl ToSocketAddrs) -> io::Result<Arc<Stub>> {
        let listener = TcpListener::bind(address)?;
        let stub = Stub { address: listener.local_addr()?, state: Mutex::default(), changed: Condvar::new() };
        let stub = Arc::new(stub);
        let server = Arc::clone(&stub);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                // A client that closes its connection early is no error.
                thread::spawn(move || drop(server.serve(stream)));
            }
        });
        Ok(stub)
    }

    /// The base URL of both services.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often a city, or a pair of coordinates such as `52.52,13.41`, was requested.
    pub fn count(&self, place: &str) -> usize {
        self.state().counts.get(place).copied().unwrap_or(0)
    }

    /// Sets the behaviour for all further requests; `None` lets the city select it.
    pub fn set_behaviour(&self, behaviour: Option<Behaviour>) {
        self.state().behaviour = behaviour;
        self.changed.notify_all();
    }

    /// Waits until a request is [held](Behaviour::Held). Returns false if `timeout` expires before.
    pub fn wait_until_held(&self, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), timeout, |state| state.held == 0);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    fn state(&self) -> MutexGuard<'_, StubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one request, responds and closes the connection.
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut lines = BufReader::new(&stream).lines();
        let request_line = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
        let target = request_line.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parameter = |wanted| form::pairs(query.as_bytes()).find(|(name, _)| name == wanted);
        let parameter = |name| parameter(name).map_or(String::new(), |(_, value)| value);
        match path {
            "/v1/search" => {
                let name = parameter("name");
                self.respond(stream, &name, &search(&name))
            }
            "/v1/forecast" => {
                let (latitude, longitude) = (parameter("latitude"), parameter("longitude"));
                let place = format!("{latitude},{longitude}");
                self.respond(stream, &place, &forecast(&latitude, &longitude))
            }
            "/count" => stream.write_all(&response("200 OK", &json!(self.state().counts).to_string())),
            _ => stream.write_all(&response("404 Not Found", "{\"error\":true,\"reason\":\"Not Found\"}")),
        }
    }

    /// Counts a request, and returns the behaviour for it.
    fn choose_behaviour(&self, place: &str) -> Behaviour {
        let mut state = self.state();
        *state.counts.entry(place.to_owned()).or_default() += 1;
        let selected = || Behaviour::from_str(place, false).ok();
        state.behaviour.or_else(selected).unwrap_or(Behaviour::Normal)
    }

    /// Responds with the JSON about a place, or with the fault of the behaviour.
    fn respond(&self, mut stream: TcpStream, place: &str, json: &Value) -> io::Result<()> {
        let json = json.to_string();
        let complete = response("200 OK", &json);
        let bytes = match self.choose_behaviour(place) {
            Behaviour::Normal => complete,
            Behaviour::NullMember => response("200 OK", &search_and_forecast("null")),
            Behaviour::OutOfRange => response("200 OK", &search_and_forecast("1234.5")),
            Behaviour::Chunked => chunked(&json),
            Behaviour::CloseDelimited => format!("HTTP/1.1 200 OK\r\n\r\n{json}").into_bytes(),
            Behaviour::Error => response("500 Internal Server Error", "{\"error\":true}"),
            Behaviour::Redirect => response("302 Found", ""),
            Behaviour::Html => response("200 OK", "<!doctype html><title>Welcome</title>"),
            Behaviour::NotHttp => b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
            Behaviour::Hangup => Vec::new(),
            Behaviour::Truncated => complete[..complete.len() - json.len() / 2].to_vec(),
            // White space is allowed before JSON, so only the size is wrong.
            Behaviour::Oversized => chunked(&" ".repeat(1024 * 1024)),
            Behaviour::Silent => return stream.read(&mut [0]).map(drop),
            Behaviour::Trickle => {
                return complete.iter().try_for_each(|byte| {
                    thread::sleep(Duration::from_millis(50));
                    stream.write_all(&[*byte])
                });
            }
            Behaviour::Held => {
                self.hold();
                complete
            }
        };
        stream.write_all(&bytes)
    }

    fn hold(&self) {
        let mut state = self.state();
        state.held += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.behaviour == Some(Behaviour::Held)));
    }
}

fn chunked(body: &str) -> Vec<u8> {
    let chunk = |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    // The empty chunk is the last.
    let chunks = body.as_bytes().chunks(100).chain([&[][..]]).flat_map(chunk);
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".iter().copied().chain(chunks).collect()
}

fn response(status: &str, body: &str) -> Vec<u8> {
    let headers = "Content-Type: application/json\r\nConnection: close\r\n";
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A response that either service could send, with this number as the latitude and as the temperature.
fn search_and_forecast(number: &str) -> String {
    r#"{"generationtime_ms":0.7,"results":[{"name":"A","latitude":NUMBER,"longitude":0}],"current":{
        "time":"2026-01-02T03:45","temperature_2m":NUMBER,
        "wind_speed_10m":0,"wind_direction_10m":0,"weather_code":61
    }}"#
    .replace("NUMBER", number)
}

/// The response of the search.
fn search(name: &str) -> Value {
    let city = match name {
        "nowhere" => return json!({ "generationtime_ms": 0.7 }),
        "berlin" => json!({
            "name": "Berlin", "latitude": 52.52437, "longitude": 13.41053, "country": "Germany"
        }),
        "amundsen–scott station" => json!({
            "name": "Amundsen–Scott Station", "latitude": -89.99, "longitude": 0.0
        }),
        _ => {
            let hash = name.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
            let (latitude, longitude) = (f64::from(hash % 120) - 60.0, f64::from(hash / 120 % 340) - 170.0);
            json!({ "name": name, "latitude": latitude, "longitude": longitude, "country": "Erewhon" })
        }
    };
    json!({ "results": [city], "generationtime_ms": 0.7 })
}

/// The response of the forecast: rain, colder towards the poles, with more wind in the east.
fn forecast(latitude: &str, longitude: &str) -> Value {
    let [latitude, longitude] = [latitude, longitude].map(|degrees| degrees.parse().unwrap_or(0.0_f64));
    let direction = (longitude + 180.0).round();
    let current = json!({
        "time": "2026-01-02T03:45",
        "temperature_2m": (30.0 - latitude.abs() / 2.0).round(),
        "wind_speed_10m": direction / 10.0,
        "wind_direction_10m": direction,
        "weather_code": 61,
    });
    json!({ "latitude": latitude, "longitude": longitude, "current": current })
}
