//! The weather: what is told of a place, how seldom upstream is asked for it, and what upstream's faults become.

use crate::{
    client::{Client, PATIENCE, get, request},
    demo::Demo,
    reply::Asked,
    server::{self, Kind, Threads},
};
use demo::{
    Format,
    weather::{Settings, Weather},
    weather_stub::{MANNERS, Manner, Stub},
};
use http_engine::Engine;
use http_engine::{Handler, Reply, Request};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

/// The demo application, pointed at a stand-in of its own.
fn start(kind: Kind) -> (Stub, Demo) {
    let stub = stub();
    let demo = Demo::start(kind, Some(&stub.url()));
    (stub, demo)
}

fn stub() -> Stub {
    Stub::start("127.0.0.1:0").expect("a free port")
}

/// The weather alone, under settings that the programs do not have, and what it logs.
fn weather(stub: &Stub, mut settings: Settings) -> (impl Handler + use<>, Receiver<String>) {
    let (sender, logged) = channel();
    settings.url = Some(stub.url().parse().expect("a URL"));
    let log = move |line: &str| drop(sender.send(line.to_owned()));
    let weather = Arc::new(Weather::new(settings).logging(log));
    let handler = move |request: &Request<'_>| -> Reply {
        let told = weather.handle(request);
        told.unwrap_or_else(|problem| problem.response(Format::wanted_by(request)).into())
    };
    (handler, logged)
}

fn start_weather(engine: Engine, stub: &Stub, settings: Settings) -> Threads {
    Threads::start(engine, server::settings(), weather(stub, settings).0)
}

/// Reports that are old at once, and failures that are forgotten at once.
fn forgetful() -> Settings {
    Settings { fresh: Duration::ZERO, pause: Duration::ZERO, ..Settings::default() }
}

/// Asks for the weather: status, media type, Cache-Control, and the content, which is JSON.
fn ask(client: &mut Client, query: &str) -> (u16, String, Option<String>, Value) {
    client.send(get(&format!("/weather?{query}")));
    answer(client)
}

fn answer(client: &mut Client) -> (u16, String, Option<String>, Value) {
    let reply = client.reply(Asked::Http11);
    let field = |name| reply.field(name).map(str::to_owned);
    let json = serde_json::from_slice(&reply.content).expect("JSON");
    (reply.status, field("Content-Type").expect("a media type"), field("Cache-Control"), json)
}

/// A report as it is told when it is fresh.
fn check_report(client: &mut Client, query: &str, place: &Value, celsius: f64, kmh: f64) {
    let current = json!({
        "time": "2026-01-02T03:45:00Z",
        "temperature_celsius": celsius,
        "wind_speed_kmh": kmh,
        "wind_direction_degrees": (kmh * 10.0).round(),
        "weather_code": 61,
        "weather": "light rain",
    });
    let told = json!({ "place": place, "current": current, "source": "Open-Meteo.com", "stale": false });
    let seen = ask(client, query);
    assert_eq!(seen, (200, "application/json".to_owned(), Some("max-age=600".to_owned()), told), "{query}");
}

/// A problem with these words, about this parameter if there is one.
fn check_problem(
    client: &mut Client,
    query: &str,
    status: u16,
    title: &str,
    detail: &str,
    field: Option<&str>,
) {
    client.send(get(&format!("/weather{}{query}", if query.is_empty() { "" } else { "?" })));
    expect_problem(client, query, status, title, detail, field);
}

fn expect_problem(
    client: &mut Client,
    query: &str,
    status: u16,
    title: &str,
    detail: &str,
    field: Option<&str>,
) {
    let mut told = json!({ "title": title, "status": status, "detail": detail });
    if let Some(field) = field {
        told["field"] = field.into();
    }
    assert_eq!(answer(client), (status, "application/problem+json".to_owned(), None, told), "{query}");
}

/// Whether a report is told, and as a stale one.
fn check_stale(client: &mut Client, query: &str, stale: bool) {
    let (status, _, control, told) = ask(client, query);
    let expected = if stale { "no-cache" } else { "max-age=0" };
    assert_eq!((status, control.as_deref(), &told["stale"]), (200, Some(expected), &json!(stale)), "{query}");
    assert_eq!(told["current"]["temperature_celsius"], json!(4.0));
}

http_testing::both_engines! {
    fn the_weather_of_a_place_is_told(kind: Kind) {
        let (stub, demo) = start(kind);
        let client = &mut demo.connect();
        let berlin = json!({ "name": "Berlin", "country": "Germany", "latitude": 52.52, "longitude": 13.41 });
        for query in ["city=Berlin", "city=+berlin%20", "%63ity=BERLIN&"] {
            check_report(client, query, &berlin, 4.0, 19.3);
        }
        let fetches = (stub.asked("berlin"), stub.asked("52.52,13.41"));
        assert_eq!(fetches, (1, 1), "what is known is asked for");
        let here = json!({ "latitude": 52.52, "longitude": 13.41 });
        check_report(client, "latitude=52.52437&longitude=13.41053", &here, 4.0, 19.3);
        let pole = json!({ "latitude": 90.0, "longitude": -180.0 });
        check_report(client, "longitude=-1.8e2&latitude=90", &pole, -15.0, 0.0);
        let pole = json!({ "name": "Amundsen–scott Station", "latitude": -89.99, "longitude": 0.0 });
        check_report(client, "city=Amundsen%E2%80%93Scott+Station", &pole, -15.0, 18.0);
        for (number, (city, _)) in MANNERS.iter().enumerate().take(3) {
            assert_eq!(ask(client, &format!("city={city}")).0, 200, "{city}");
            assert_eq!(ask(client, &format!("latitude=-80&longitude={number}")).0, 200, "{city}");
        }
        let head = client.ask(request("HEAD", "/weather?city=berlin", ""));
        let age = head.field("Age").and_then(|age| age.parse::<u32>().ok());
        assert!(head.status == 200 && age.is_some(), "{head:?}");
    }

    fn what_is_no_place_is_refused(kind: Kind) {
        let (stub, demo) = start(kind);
        let client = &mut demo.connect();
        let long = format!("city={}", "a".repeat(101));
        for (query, detail, field) in [
            ("", "must be given, or else latitude and longitude", Some("city")),
            ("city", "must not be empty", Some("city")),
            ("city=+%20", "must not be empty", Some("city")),
            (&long, "must not have more than 100 characters", Some("city")),
            ("city=a%0Ab", "must be text without control characters", Some("city")),
            ("city=a%C2%85b", "must be text without control characters", Some("city")),
            ("city=%FF", "must be text without control characters", Some("city")),
            ("city=a&latitude=1&longitude=1", "must not stand beside coordinates", Some("city")),
            ("city=a&longitude=1", "must not stand beside coordinates", Some("city")),
            ("latitude=1", "must be given with a latitude", Some("longitude")),
            ("longitude=1", "must be given with a longitude", Some("latitude")),
            ("latitude=90.01&longitude=1", "must be a number from -90 to 90", Some("latitude")),
            ("latitude=-91&longitude=1", "must be a number from -90 to 90", Some("latitude")),
            ("latitude=NaN&longitude=1", "must be a number from -90 to 90", Some("latitude")),
            ("latitude=&longitude=1", "must be a number from -90 to 90", Some("latitude")),
            ("latitude=1&longitude=180.01", "must be a number from -180 to 180", Some("longitude")),
            ("latitude=1&longitude=inf", "must be a number from -180 to 180", Some("longitude")),
            ("latitude=1&longitude=1,5", "must be a number from -180 to 180", Some("longitude")),
            ("latitude=x&longitude=x&city=a", "must be a number from -90 to 90", Some("latitude")),
            ("city=a&city=b", "given more than once", Some("city")),
            ("latitude=1&latitude=1&longitude=1", "given more than once", Some("latitude")),
            ("city=a&days=3", "there is no parameter \"days\" here; known: city, latitude, longitude", None),
        ] {
            check_problem(client, query, 400, "Bad Request", detail, field);
        }
        assert_eq!(client.ask(request("POST", "/weather?city=berlin", "")).status, 405);
        assert_eq!((stub.asked("a"), stub.asked("1,1"), stub.asked("")), (0, 0, 0));
    }

    fn what_is_wrong_with_upstream_is_told(kind: Kind) {
        let (_stub, demo) = start(kind);
        let client = &mut demo.connect();
        for (number, (city, manner)) in MANNERS.iter().enumerate() {
            let fault = match manner {
                Manner::Error => "its server answered with status 500",
                Manner::Redirect => "its server answered with status 302",
                Manner::Rubbish | Manner::Noise | Manner::Absent | Manner::Absurd => {
                    "its server's answer makes no sense"
                }
                Manner::Hangup | Manner::Truncated => "its server broke off",
                Manner::Oversized => "its server's answer is too large",
                Manner::Proper | Manner::Chunked | Manner::CloseDelimited => continue,
                Manner::Slow | Manner::Dripping | Manner::Held => continue,
            };
            let search = format!("the search for the city failed: {fault}");
            check_problem(client, &format!("city={city}"), 502, "Bad Gateway", &search, None);
            let forecast = format!("the forecast failed: {fault}");
            let query = format!("latitude=-80&longitude={number}");
            check_problem(client, &query, 502, "Bad Gateway", &forecast, None);
        }
        let unknown = "no city of this name is known";
        check_problem(client, "city=Nowhere", 404, "Not Found", unknown, Some("city"));
        let page = client.ask(request("GET", "/weather?city=nowhere", "Accept: text/html\r\n"));
        assert_eq!((page.status, page.field("Content-Type")), (404, Some("text/html; charset=utf-8")));
    }

    fn nobody_there_is_a_502(kind: Kind) {
        // Bound, so that nobody else gets its port, and not listening.
        let closed = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        closed.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        let address = closed.local_addr().ok().and_then(|address| address.as_socket()).expect("its address");
        let demo = Demo::start(kind, Some(&format!("http://{address}")));
        let detail = "the forecast failed: its server cannot be reached";
        check_problem(&mut demo.connect(), "latitude=1&longitude=1", 502, "Bad Gateway", detail, None);
    }

    /// Both steps at once, so that it is waited for once.
    fn too_slow_is_a_504(kind: Kind) {
        let (_stub, demo) = start(kind);
        let (mut search, mut forecast) = (demo.connect(), demo.connect());
        search.send(get("/weather?city=slow"));
        forecast.send(get("/weather?latitude=-80&longitude=12"));
        let (title, detail) = ("Gateway Timeout", "the search for the city took too long");
        expect_problem(&mut search, "city=slow", 504, title, detail, None);
        expect_problem(&mut forecast, "-80, 12", 504, title, "the forecast took too long", None);
    }

    /// Each asks for something else first: with that answered, its second question has been heard, too.
    fn many_who_ask_at_once_are_one_fetch(kind: Kind) {
        let (stub, demo) = start(kind);
        let mut clients: Vec<Client> = (0..8).map(|_| demo.connect()).collect();
        for client in &mut clients {
            client.send(get("/hello") + &get("/weather?city=held"));
            assert_eq!(client.reply(Asked::Http11).status, 200);
        }
        assert!(stub.await_held(PATIENCE), "nobody asks");
        stub.open_gate();
        let told: Vec<Value> = clients.iter_mut().map(|client| answer(client).3).collect();
        assert!(told[0]["place"]["name"] == "Held" && told.iter().all(|other| *other == told[0]), "{told:?}");
        // Processes share nothing.
        let most = if kind.is_prefork() { 2 } else { 1 };
        assert!((1..=most).contains(&stub.asked("held")), "{} fetches", stub.asked("held"));
    }
}

/// What only shows under settings that the programs do not have.
mod adjusted {
    use super::*;

    http_testing::both_engines! {
        fn an_old_report_stands_in_while_upstream_fails(engine: Engine) {
            let stub = stub();
            let server = start_weather(engine, &stub, forgetful());
            let client = &mut server.connect();
            for query in ["city=berlin", "latitude=52.52&longitude=13.41"] {
                stub.behave(None);
                check_stale(client, query, false);
                for manner in [Manner::Error, Manner::Hangup, Manner::Rubbish] {
                    stub.behave(Some(manner));
                    check_stale(client, query, true);
                }
                stub.behave(None);
                check_stale(client, query, false);
            }
        }

        fn a_report_that_is_too_old_does_not(engine: Engine) {
            let stub = stub();
            let server = start_weather(engine, &stub, Settings { stale: Duration::ZERO, ..forgetful() });
            let client = &mut server.connect();
            check_stale(client, "city=berlin", false);
            stub.behave(Some(Manner::Error));
            let detail = "the search for the city failed: its server answered with status 500";
            check_problem(client, "city=berlin", 502, "Bad Gateway", detail, None);
        }

        fn a_failure_is_not_asked_for_again_at_once(engine: Engine) {
            let stub = stub();
            let hour = Duration::from_secs(3600);
            let server = start_weather(engine, &stub, Settings { pause: hour, ..forgetful() });
            let client = &mut server.connect();
            stub.behave(Some(Manner::Hangup));
            for _ in 0..2 {
                let detail = "the search for the city failed: its server broke off";
                check_problem(client, "city=berlin", 502, "Bad Gateway", detail, None);
                stub.behave(None);
            }
            assert_eq!((stub.asked("berlin"), ask(client, "city=tokyo").0), (1, 200));
        }

        /// It never stalls, and would be at it for a quarter of a minute.
        fn an_answer_that_drips_is_too_slow(engine: Engine) {
            let stub = stub();
            let (stall, total) = (Duration::from_secs(10), Duration::from_millis(300));
            let server = start_weather(engine, &stub, Settings { stall, total, ..Settings::default() });
            let detail = "the search for the city took too long";
            check_problem(&mut server.connect(), "city=dripping", 504, "Gateway Timeout", detail, None);
        }

        fn each_fetch_is_a_line_in_the_log(engine: Engine) {
            let stub = stub();
            let (app, logged) = weather(&stub, Settings::default());
            let server = Threads::start(engine, server::settings(), app);
            let client = &mut server.connect();
            let here = "latitude=1&longitude=2";
            for query in ["city=Berlin", "city=berlin", here, "city=error", "city=", "city=%22%27"] {
                ask(client, query);
            }
            let lines: Vec<String> = logged.try_iter().collect();
            let parts: Vec<_> = lines.iter().filter_map(|line| line.rsplit_once(", after ")).collect();
            assert!(parts.iter().all(|(_, took)| took.ends_with(" ms")), "{lines:?}");
            let expected = [
                "weather of \"berlin\": 4 C, light rain",
                "weather of 1, 2: 30 C, light rain",
                "weather of \"error\": the search for the city failed: its server answered with status 500",
                "weather of \"\\\"'\": 10 C, light rain",
            ];
            assert_eq!(parts.iter().map(|(what, _)| *what).collect::<Vec<_>>(), expected);
        }
    }
}

/// The first holds the pool's only thread, the second its queue, and the third finds no room, but no flight either
/// that nobody leads. On the blocking engine there is no queue.
#[test]
fn on_an_event_loop_a_full_pool_leaves_nobody_waiting() {
    let stub = stub();
    stub.behave(Some(Manner::Held));
    let (app, _logged) = weather(&stub, Settings::default());
    let narrow = http_engine::Settings { pool_threads: 1, pool_queue: 1, ..server::settings() };
    let server = Threads::start(Engine::EventLoop, narrow, app);
    let [mut first, mut second, mut third] = [(); 3].map(|()| server.connect());
    first.send(get("/weather?city=a"));
    assert!(stub.await_held(PATIENCE), "nobody asks");
    second.send(get("/weather?latitude=91&longitude=1") + &get("/weather?city=b"));
    assert_eq!(answer(&mut second).0, 400);
    for _ in 0..2 {
        third.send(get("/weather?city=c"));
        assert_eq!(third.reply(Asked::Http11).status, 503);
        third = server.connect();
    }
    stub.open_gate();
    assert_eq!((answer(&mut first).0, answer(&mut second).0, ask(&mut third, "city=c").0), (200, 200, 200));
}
