//! A stub of Open-Meteo's two services, for tests and for demonstrations without an Internet connection.
//!
//! The targets are `/v1/search?name=…` and `/v1/forecast?latitude=…&longitude=…`. The stub responds in Open-Meteo's
//! format, always the same to the same query. A search for `nowhere` finds no city. The target `/count` returns how
//! often each place was requested.
//!
//! A [`Behaviour`] determines how the stub responds. A search selects one if it has the behaviour's name, in lower
//! case with hyphens, in the place of a city: `name=error`, `name=not-http`. [`Stub::set_behaviour`] sets one for all
//! requests.
//!
//! The stub must not use `http_engine`: a correct server cannot send most of these faults.

use clap::ValueEnum;
use http_engine::{form, tls::crypto_provider};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How the stub of Open-Meteo responds to a search for a city or a request for a forecast.
///
/// [`Stub::set_behaviour`] sets a behaviour for all requests. If none is set, a search for the name of a behaviour, in
/// lower case with hyphens, gets that behaviour: `name=null-member`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Behaviour {
    /// Sends a complete response.
    Normal,
    /// Sends a complete response in chunks.
    Chunked,
    /// Sends a complete response without a length, and ends it by closing the connection.
    CloseDelimited,
    /// Sends status 500.
    Error,
    /// Sends status 302, without a `Location`.
    Redirect,
    /// Sends HTML instead of JSON.
    Html,
    /// Sends the line with which an SSH server begins, instead of a response.
    NotHttp,
    /// Closes the connection without a response.
    Hangup,
    /// Sends the headers and half of the body, then closes the connection.
    Truncated,
    /// Sends a body of one mebibyte.
    Oversized,
    /// Sends JSON in which a required member is `null`.
    NullMember,
    /// Sends JSON in which a number is out of range.
    OutOfRange,
    /// Sends nothing, and keeps the connection open until the client closes it.
    Silent,
    /// Sends a complete response, one byte every 50 ms.
    Trickle,
    /// Waits until [`Stub::set_behaviour`] sets another behaviour or `None`, then sends a complete response. If a
    /// search has selected this behaviour by name (`name=held`), does not wait.
    Held,
}

/// A running stub of Open-Meteo's two services, the search for a city and the forecast. It runs until the process ends.
#[derive(Debug)]
pub struct Stub {
    /// Of its URL.
    scheme: &'static str,
    /// The address that the stub listens on.
    address: SocketAddr,
    state: Mutex<StubState>,
    /// Notified when the behaviour in `state` is set, and when a request is [held](Behaviour::Held).
    changed: Condvar,
}

/// What all connections of a [`Stub`] share.
#[derive(Debug, Default)]
struct StubState {
    /// The number of requests for each place: a city's name, or coordinates such as `52.52,13.41`.
    counts: BTreeMap<String, usize>,
    /// The behaviour for all requests. If it is `None`, a search for a behaviour's name, such as `name=not-http`, gets
    /// that behaviour; all other searches and all forecasts get [`Behaviour::Normal`].
    behaviour: Option<Behaviour>,
    /// The number of requests that were [held](Behaviour::Held) since the stub started.
    held: usize,
}

impl Stub {
    /// Binds the address, and starts a thread that accepts connections. Each connection is served on a thread of its
    /// own.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub fn start(address: impl ToSocketAddrs) -> io::Result<Arc<Stub>> {
        Stub::listen(address, None)
    }

    /// As [`start`](Stub::start), over TLS with the certificate and the private key in these PEM files.
    ///
    /// # Errors
    ///
    /// Also if the files cannot be used.
    pub fn start_tls(address: impl ToSocketAddrs, chain: &Path, key: &Path) -> io::Result<Arc<Stub>> {
        let provider = crypto_provider().map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(provider));
        let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let chain = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect);
        let (chain, key) = (chain.map_err(io::Error::other)?, PrivateKeyDer::from_pem_file(key));
        let config = config.with_no_client_auth().with_single_cert(chain, key.map_err(io::Error::other)?);
        Stub::listen(address, Some(Arc::new(config.map_err(io::Error::other)?)))
    }

    fn listen(address: impl ToSocketAddrs, tls: Option<Arc<ServerConfig>>) -> io::Result<Arc<Stub>> {
        let listener = TcpListener::bind(address)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let stub = Stub {
            scheme,
            address: listener.local_addr()?,
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        let stub = Arc::new(stub);
        let server = Arc::clone(&stub);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                // A client that closes its connection early is no error.
                let tls = tls.clone();
                thread::spawn(move || match tls {
                    None => drop(server.serve(stream)),
                    Some(tls) => drop(server.serve_tls(tls, stream)),
                });
            }
        });
        Ok(stub)
    }

    /// Returns the base URL of the search for a city and of the forecast, such as `http://127.0.0.1:8090`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Returns how many requests for `place` the stub has received since it started: searches if `place` is a city's
    /// name, forecasts if it is a pair of coordinates such as `52.52,13.41`.
    pub fn count(&self, place: &str) -> usize {
        self.state().counts.get(place).copied().unwrap_or(0)
    }

    /// Sets the behaviour for all further requests. `None`, the initial state, sets none: then a search for a
    /// behaviour's name, such as `name=not-http`, gets that behaviour, and all other requests get
    /// [`Behaviour::Normal`].
    pub fn set_behaviour(&self, behaviour: Option<Behaviour>) {
        self.state().behaviour = behaviour;
        self.changed.notify_all();
    }

    /// Waits until the stub has [held](Behaviour::Held) a request, and returns true; at once if it has held one since
    /// it started. Returns false if `timeout` expires first.
    pub fn wait_until_held(&self, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), timeout, |state| state.held == 0);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Locks the state, even after a panic of another thread.
    fn state(&self) -> MutexGuard<'_, StubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`serve`](Stub::serve), over TLS.
    fn serve_tls(&self, tls: Arc<ServerConfig>, stream: TcpStream) -> io::Result<()> {
        let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        self.serve(&mut stream)?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    /// Reads one request, responds as the chosen [`Behaviour`] says, and closes the connection. Returns the error if
    /// the connection fails.
    fn serve(&self, mut stream: impl Read + Write) -> io::Result<()> {
        let mut lines = BufReader::new(&mut stream).lines();
        let request_line = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
        let target = request_line.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parameter = |wanted| form::pairs(query.as_bytes()).find(|(name, _)| name == wanted);
        let parameter = |name| parameter(name).unwrap_or_default().1;
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

    /// Counts a request for `place`, a city name or coordinates, and returns how to respond. This is the behaviour that
    /// [`set_behaviour`](Stub::set_behaviour) has set. If none is set, it is the behaviour with the name `place`, in
    /// lower case with hyphens, such as `null-member`; if `place` is no such name, it is [`Behaviour::Normal`].
    fn choose_behaviour(&self, place: &str) -> Behaviour {
        let mut state = self.state();
        *state.counts.entry(place.to_owned()).or_default() += 1;
        let selected = || Behaviour::from_str(place, false).ok();
        state.behaviour.or_else(selected).unwrap_or(Behaviour::Normal)
    }

    /// Chooses a [`Behaviour`] for `place`, a city name or coordinates, and responds accordingly: with `json` as the
    /// body, or with a fault.
    fn respond(&self, mut stream: impl Read + Write, place: &str, json: &Value) -> io::Result<()> {
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

    /// Counts a request as [held](Behaviour::Held), then waits while `Held` is the behaviour that
    /// [`set_behaviour`](Stub::set_behaviour) has set. Returns at once if a search has selected `Held` by name.
    fn hold(&self) {
        let mut state = self.state();
        state.held += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.behaviour == Some(Behaviour::Held)));
    }
}

/// Returns the bytes of a response with status 200 and this body, in chunks of at most 100 bytes.
fn chunked(body: &str) -> Vec<u8> {
    let chunk = |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    // The empty chunk is the last.
    let chunks = body.as_bytes().chunks(100).chain([&[][..]]).flat_map(chunk);
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".iter().copied().chain(chunks).collect()
}

/// Returns the bytes of a response. `status` is the code and the reason phrase; the media type is that of JSON.
fn response(status: &str, body: &str) -> Vec<u8> {
    let headers = "Content-Type: application/json\r\nConnection: close\r\n";
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Returns a JSON body that can be the response to a search and to a forecast, because it has the members of both. One
/// number in each part is faulty: the latitude of the search and the temperature of the forecast are `number`, a JSON
/// text such as `null`.
fn search_and_forecast(number: &str) -> String {
    r#"{"generationtime_ms":0.7,"results":[{"name":"A","latitude":NUMBER,"longitude":0}],"current":{
        "time":"2026-01-02T03:45","temperature_2m":NUMBER,
        "wind_speed_10m":0,"wind_direction_10m":0,"weather_code":61
    }}"#
    .replace("NUMBER", number)
}

/// Returns the JSON body of the search for a city. Two cities have real coordinates; `nowhere` has no results; all
/// other names give an invented city, with coordinates from a hash of the name.
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

/// Returns the JSON body of the forecast: rain, colder towards the poles, with more wind in the east. Coordinates that
/// are not numbers count as 0.
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
