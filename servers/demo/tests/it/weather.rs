//! `GET /weather`: its responses, how often it asks upstream, and what it makes of upstream's faults.

use crate::{
    client::{Client, TIMEOUT, get, request},
    demo::{Demo, start_in_process},
    server::{InProcessServer, ServerKind},
};
use demo::{
    App, WeatherSettings,
    weather_stub::{Behaviour, Stub},
};
use http_engine::Engine;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// Starts a server of this kind, and a stub as its upstream.
fn start(kind: ServerKind) -> (Arc<Stub>, Demo) {
    let stub = stub();
    let demo = Demo::start(kind, Some(&stub.url()));
    (stub, demo)
}

/// Starts an event loop with settings that the command line does not have, and a stub as its upstream.
fn start_with(weather: &WeatherSettings) -> (Arc<Stub>, InProcessServer) {
    let stub = stub();
    let url = Some(stub.url().parse().expect("a URL"));
    let app = App { name: "test", root: None, weather: WeatherSettings { url, ..weather.clone() } };
    (stub, start_in_process(Engine::EventLoop, &app))
}

fn stub() -> Arc<Stub> {
    Stub::start("127.0.0.1:0").expect("a free port")
}

/// The parts of a response: status, media type, `Cache-Control`, and the content, which is JSON.
type Parts = (u16, String, Option<String>, Value);

fn ask(client: &mut Client, query: &str) -> Parts {
    client.send(get(&format!("/weather{}{query}", if query.is_empty() { "" } else { "?" })));
    parts(client)
}

/// Reads the response to a request that was sent.
fn parts(client: &mut Client) -> Parts {
    let response = client.response();
    let header = |name| response.header(name).map(str::to_owned);
    let json = serde_json::from_slice(&response.body).expect("JSON");
    (response.status, header("Content-Type").expect("a media type"), header("Cache-Control"), json)
}

/// A fresh report of the stub's weather.
fn check_report(client: &mut Client, query: &str, place: &Value, celsius: f64, kmh: f64) {
    let current = json!({
        "time": "2026-01-02T03:45:00Z",
        "temperature_celsius": celsius,
        "wind_speed_kmh": kmh,
        "wind_direction_degrees": (kmh * 10.0).round(),
        "weather_code": 61,
        "weather": "light rain",
    });
    let json = json!({ "place": place, "current": current, "source": "Open-Meteo.com", "stale": false });
    let expected = (200, "application/json".to_owned(), Some("max-age=600".to_owned()), json);
    assert_eq!(ask(client, query), expected, "{query}");
}

/// An error with this detail, which names this parameter if there is one.
fn problem(status: u16, title: &str, detail: &str, field: Option<&str>) -> Parts {
    let mut json = json!({ "title": title, "status": status, "detail": detail });
    if let Some(field) = field {
        json["field"] = field.into();
    }
    (status, "application/problem+json".to_owned(), None, json)
}

fn bad_gateway(detail: &str) -> Parts {
    problem(502, "Bad Gateway", detail, None)
}

http_testing::both_engines! {
    fn reports_the_weather_of_a_place(kind: ServerKind) {
        let (stub, demo) = start(kind);
        let client = &mut demo.connect();
        let berlin = json!({ "name": "Berlin", "country": "Germany", "latitude": 52.52, "longitude": 13.41 });
        for query in ["city=Berlin", "city=+berlin%20", "%63ity=BERLIN&"] {
            check_report(client, query, &berlin, 4.0, 19.3);
        }
        assert_eq!((stub.count("berlin"), stub.count("52.52,13.41")), (1, 1), "the cache is not used");
        let here = json!({ "latitude": 52.52, "longitude": 13.41 });
        check_report(client, "latitude=52.52437&longitude=13.41053", &here, 4.0, 19.3);
        let pole = json!({ "latitude": 90.0, "longitude": -180.0 });
        check_report(client, "longitude=-1.8e2&latitude=90", &pole, -15.0, 0.0);
        let pole = json!({ "name": "Amundsen–Scott Station", "latitude": -89.99, "longitude": 0.0 });
        check_report(client, "city=Amundsen%E2%80%93Scott+Station", &pole, -15.0, 18.0);
        let head = client.fetch(request("HEAD", "/weather?city=berlin", ""));
        let age = head.header("Age").and_then(|age| age.parse::<u32>().ok());
        assert!(head.status == 200 && age.is_some(), "{head:?}");
    }

    /// Each client first requests `/hello`. When it has that response, the server has its second request as well.
    fn simultaneous_requests_share_one_fetch(kind: ServerKind) {
        let (stub, demo) = start(kind);
        stub.set_behaviour(Some(Behaviour::Held));
        let mut clients: Vec<Client> = (0..8).map(|_| demo.connect()).collect();
        for client in &mut clients {
            client.send(get("/hello") + &get("/weather?city=berlin"));
            assert_eq!(client.response().status, 200);
        }
        assert!(stub.wait_until_held(TIMEOUT), "no request reaches upstream");
        stub.set_behaviour(None);
        let reports: Vec<Value> = clients.iter_mut().map(|client| parts(client).3).collect();
        assert_eq!(reports[0]["place"]["name"], "Berlin");
        assert!(reports.iter().all(|report| *report == reports[0]), "{reports:?}");
        // Processes share no cache.
        let processes = if kind.is_prefork() { 2 } else { 1 };
        assert!((1..=processes).contains(&stub.count("berlin")), "{} fetches", stub.count("berlin"));
    }
}

#[test]
fn rejects_a_query_without_a_valid_place() {
    let (stub, demo) = start(ServerKind::EventLoop);
    let client = &mut demo.connect();
    let expected = problem(400, "Bad Request", "must not be combined with coordinates", Some("city"));
    assert_eq!(ask(client, "city=a&longitude=1"), expected);
    let detail = "unknown parameter \"days\"; known: city, latitude, longitude";
    assert_eq!(ask(client, "city=a&days=3"), problem(400, "Bad Request", detail, None));
    assert_eq!(client.fetch(request("POST", "/weather?city=a", "")).status, 405);
    assert_eq!(stub.count("a"), 0);
}

#[test]
fn reports_faults_of_upstream_as_502() {
    let (stub, demo) = start(ServerKind::EventLoop);
    let client = &mut demo.connect();
    let incomplete = "invalid response from upstream: connection closed before the response was complete";
    for (latitude, (city, behaviour, fault)) in [
        ("error", Behaviour::Error, "upstream responded with status 500"),
        ("html", Behaviour::Html, "unexpected JSON from upstream"),
        ("not-http", Behaviour::NotHttp, "invalid response from upstream: malformed status line"),
        ("truncated", Behaviour::Truncated, incomplete),
        ("oversized", Behaviour::Oversized, "invalid response from upstream: body too large"),
    ]
    .into_iter()
    .enumerate()
    {
        let expected = bad_gateway(&format!("the city search failed: {fault}"));
        assert_eq!(ask(client, &format!("city={city}")), expected, "{city}");
        stub.set_behaviour(Some(behaviour));
        let expected = bad_gateway(&format!("the forecast failed: {fault}"));
        assert_eq!(ask(client, &format!("latitude={latitude}&longitude=0")), expected, "{city}");
        stub.set_behaviour(None);
    }

    // Bound, so that no other process gets the port, but not listening.
    let closed = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    closed.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    let address = closed.local_addr().ok().and_then(|address| address.as_socket()).expect("its address");
    let demo = Demo::start(ServerKind::EventLoop, Some(&format!("http://{address}")));
    let expected = bad_gateway("the forecast failed: upstream cannot be reached");
    assert_eq!(ask(&mut demo.connect(), "latitude=1&longitude=1"), expected);
}

#[test]
fn accepts_every_framing_of_upstream() {
    let (stub, demo) = start(ServerKind::EventLoop);
    let client = &mut demo.connect();
    for (latitude, behaviour) in
        [Behaviour::Normal, Behaviour::Chunked, Behaviour::CloseDelimited].into_iter().enumerate()
    {
        stub.set_behaviour(Some(behaviour));
        assert_eq!(ask(client, &format!("city={latitude}")).0, 200, "{behaviour:?}");
        assert_eq!(ask(client, &format!("latitude={latitude}&longitude=0")).0, 200, "{behaviour:?}");
    }
    stub.set_behaviour(None);
    let expected = problem(404, "Not Found", "no city has this name", Some("city"));
    assert_eq!(ask(client, "city=Nowhere"), expected);
}

#[test]
fn asks_upstream_over_tls() {
    let pem =
        |name: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/tls/pem").join(name);
    let stub = Stub::start_tls("127.0.0.1:0", &pem("default.pem"), &pem("default.key")).expect("a free port");
    let check = |authorities: &str, expected: Result<(), &str>| {
        let (url, authorities) = (Some(stub.url().parse().expect("a URL")), Some(pem(authorities)));
        let weather = WeatherSettings { url, authorities, ..WeatherSettings::default() };
        let server = start_in_process(Engine::EventLoop, &App { name: "test", root: None, weather });
        let seen = ask(&mut server.connect(), "city=berlin");
        match expected {
            Ok(()) => assert_eq!((seen.0, &seen.3["place"]["name"]), (200, &json!("Berlin"))),
            Err(fault) => assert_eq!(seen, bad_gateway(&format!("the city search failed: {fault}"))),
        }
    };
    check("ca.pem", Ok(()));
    check("other-ca.pem", Err("upstream cannot be trusted: invalid peer certificate: UnknownIssuer"));
    assert_eq!((stub.count("berlin"), stub.count("52.52,13.41")), (1, 1));
}

/// A silent upstream exceeds the timeout between reads, one that sends a byte now and then the timeout for everything.
#[test]
fn a_slow_upstream_is_a_504() {
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(3600));
    let check = |idle_timeout, total_timeout, behaviour, query: &str, service| {
        let weather = WeatherSettings { idle_timeout, total_timeout, ..WeatherSettings::default() };
        let (stub, server) = start_with(&weather);
        stub.set_behaviour(behaviour);
        let detail = format!("the {service} failed: upstream did not respond in time");
        let expected = problem(504, "Gateway Timeout", &detail, None);
        assert_eq!(ask(&mut server.connect(), query), expected);
    };
    check(short, long, Some(Behaviour::Silent), "city=a", "city search");
    check(short, long, Some(Behaviour::Silent), "latitude=1&longitude=1", "forecast");
    check(long, short, None, "city=trickle", "city search");
}

#[test]
fn serves_a_stale_report_while_upstream_fails() {
    let [max_age, retry_delay] = [Duration::ZERO; 2];
    let weather = WeatherSettings { max_age, retry_delay, ..WeatherSettings::default() };
    let (stub, server) = start_with(&weather);
    let client = &mut server.connect();
    for query in ["city=berlin", "latitude=52.52&longitude=13.41"] {
        for (behaviour, stale) in
            [(None, false), (Some(Behaviour::Error), true), (Some(Behaviour::Html), true), (None, false)]
        {
            stub.set_behaviour(behaviour);
            let (status, _, cache_control, json) = ask(client, query);
            let seen =
                (status, cache_control.as_deref(), &json["stale"], &json["current"]["temperature_celsius"]);
            let expected = if stale { "no-cache" } else { "max-age=0" };
            assert_eq!(seen, (200, Some(expected), &json!(stale), &json!(4.0)), "{query}");
        }
    }
}
