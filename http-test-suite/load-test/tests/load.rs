//! Tests of the load driver against servers with known answers, so that every count is exact.

#![allow(clippy::unwrap_used, reason = "the lints know tests by their attribute, not their folder")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use http_test_suite::request::{get, head, post};
use load_test::load::{self, Exchange, Fault, Load, Stats, Until};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nX-Worker: one\r\nContent-Length: 3\r\n\r\nabc";

/// A timeout too long to expire in tests that are not about timeouts.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the load, and compares the counts of requests and errors.
fn check(load: &Load, requests: u64, errors: &[(Fault, u64)]) -> Stats {
    let tally = load::run(load, &|_| {}).unwrap();
    assert_eq!((tally.requests, &tally.errors), (requests, &errors.iter().copied().collect()), "{load:?}");
    assert_eq!(tally.latencies.len(), requests);
    let Until::Requests(asked) = load.until else { return tally };
    assert_eq!(requests + tally.error_count(), asked);
    tally
}

/// `count` requests for `/` over `connections`, of which each must be answered with `ANSWER`.
fn asking(server: SocketAddr, count: u64, connections: usize) -> Load {
    let ask = Exchange::new(get("/")).expect_status(200).expect_body(*b"abc");
    let until = Until::Requests(count);
    Load { connections, until, timeout: TIMEOUT, count_header: Some("x-worker"), ..Load::new(server, ask) }
}

fn closing(load: Load) -> Load {
    Load { keep_alive: false, ..load }
}

/// Starts a server with a thread for each connection, which runs until the test ends.
fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Starts a server that answers every request without content with these pieces, each in a write of its own.
fn answering(pieces: &'static [&str]) -> SocketAddr {
    listen(|mut stream| while request(&mut stream).is_some_and(|_| say(&mut stream, pieces)) {})
}

/// Like `answering`, but closes after the first answer.
fn answering_once(pieces: &'static [&str]) -> SocketAddr {
    listen(|mut stream| {
        if request(&mut stream).is_some() {
            say(&mut stream, pieces);
        }
    })
}

/// Reads the head of the next request. The driver sends no request before the last is answered, so nothing follows it.
fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => head.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

fn say(stream: &mut TcpStream, pieces: &[&str]) -> bool {
    stream.set_nodelay(true).unwrap();
    pieces.iter().all(|piece| stream.write_all(piece.as_bytes()).is_ok())
}

#[test]
fn counts_every_request() {
    let server = answering(&[ANSWER]);
    let tally = check(&asking(server, 1000, 10), 1000, &[]);
    assert_eq!(tally.bytes_received, 1000 * ANSWER.len() as u64);
    assert_eq!(tally.statuses, BTreeMap::from([(200, 1000)]));
    assert_eq!(tally.by_header, BTreeMap::from([("one".to_owned(), 1000)]));
    assert!(tally.driver_cpu > Duration::ZERO && tally.percentile(99.0) <= tally.percentile(100.0));
    // Threads and connections that do not divide evenly, and more connections than requests.
    check(&Load { threads: 3, ..asking(server, 1000, 7) }, 1000, &[]);
    check(&Load { threads: 8, ..asking(server, 5, 20) }, 5, &[]);
}

#[test]
fn asks_in_turn() {
    let server = listen(|mut stream| {
        while let Some(head) = request(&mut stream) {
            let path = head.split(' ').nth(1).unwrap();
            say(&mut stream, &[&format!("HTTP/1.1 204 No\r\nX-Worker: {path}\r\n\r\n")]);
        }
    });
    let asks = ["/a", "/b", "/c"].map(|path| Exchange::new(get(path)).expect_status(204)).to_vec();
    for (threads, rate) in [(1, None), (2, None), (2, Some(50_000.0))] {
        let load = Load { exchanges: asks.clone(), threads, rate, ..asking(server, 300, 4) };
        let each = ["/a", "/b", "/c"].map(|path| (path.to_owned(), 100));
        assert_eq!(check(&load, 300, &[]).by_header, BTreeMap::from(each));
    }
}

#[test]
fn looks_while_the_connections_are_open() {
    let open = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&open);
    let server = listen(move |mut stream| {
        counting.fetch_add(1, Ordering::SeqCst);
        while request(&mut stream).is_some_and(|_| say(&mut stream, &[ANSWER])) {}
        counting.fetch_sub(1, Ordering::SeqCst);
    });
    let load = asking(server, 5, 5);
    let (tally, standing) = load::run_and_inspect(&load, &|_| {}, || open.load(Ordering::SeqCst)).unwrap();
    assert_eq!((tally.requests, standing), (5, 5));
}

#[test]
fn opens_a_connection_for_each_request_without_keep_alive() {
    let accepted = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&accepted);
    let server = listen(move |mut stream| {
        counting.fetch_add(1, Ordering::Relaxed);
        if request(&mut stream).is_some() {
            say(&mut stream, &[ANSWER]);
        }
    });
    check(&closing(asking(server, 300, 10)), 300, &[]);
    assert_eq!(accepted.load(Ordering::Relaxed), 300);
}

#[test]
fn opens_as_many_connections_as_it_is_told() {
    // The server answers only when all connections have sent a request.
    let all = Arc::new(Barrier::new(7));
    let server = listen(move |mut stream| {
        while request(&mut stream).is_some() {
            all.wait();
            say(&mut stream, &[ANSWER]);
        }
    });
    check(&Load { threads: 3, ..asking(server, 14, 7) }, 14, &[]);
}

#[test]
fn reads_every_framing_in_pieces() {
    let chunked =
        &["HTTP/1.1 200 OK\r\nTransfer-Enc", "oding: chunked\r\n\r\n1\r", "\na\r\n2\r\nbc\r\n0\r\n", "\r\n"];
    check(&asking(answering(chunked), 100, 3), 100, &[]);
    check(&asking(answering(&["HTTP/1.1 100 Go on\r\n\r\n", ANSWER]), 100, 3), 100, &[]);
    for load in [|load| load, closing] {
        check(&load(asking(answering_once(&["HTTP/1.1 200 OK\r\n\r\na", "bc"]), 100, 3)), 100, &[]);
        let announced = &["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", "abc"];
        check(&load(asking(answering_once(announced), 100, 3)), 100, &[]);
    }
    let asks = vec![Exchange::new(head("/")).expect_status(200).expect_body(*b"")];
    check(
        &Load {
            exchanges: asks,
            ..asking(answering(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"]), 100, 3)
        },
        100,
        &[],
    );
}

#[test]
fn sends_more_than_fits_into_one_send() {
    const LEN: usize = 8 << 20;
    let server = listen(|mut stream| {
        loop {
            let mut whole = vec![0; Vec::from(post("/", vec![0; LEN])).len()];
            if stream.read_exact(&mut whole).is_err() || !say(&mut stream, &[ANSWER]) {
                return;
            }
        }
    });
    let asks = vec![Exchange::new(post("/", vec![0; LEN])).expect_body(*b"abc")];
    for pipeline in [1, 3] {
        check(&Load { exchanges: asks.clone(), pipeline, ..asking(server, 6, 2) }, 6, &[]);
    }
    // This server answers at once, and stops reading.
    let hasty = listen(|mut stream| {
        say(&mut stream, &[ANSWER]);
        thread::park();
    });
    for load in [|load| load, closing] {
        check(&load(Load { exchanges: asks.clone(), ..asking(hasty, 4, 2) }), 4, &[]);
    }
}

#[test]
fn tells_faults_apart() {
    let check = |server, fault| {
        check(&asking(server, 20, 3), 0, &[(fault, 20)]);
        check(&closing(asking(server, 20, 3)), 0, &[(fault, 20)]);
    };
    check(
        answering_once(&["HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"]),
        Fault::WrongStatus,
    );
    check(
        answering_once(&["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabd"]),
        Fault::WrongBody,
    );
    check(answering_once(&["HTTP/1.1 200 OK\r\n\r\nab"]), Fault::WrongBody);
    check(answering_once(&["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"]), Fault::EarlyClose);
    check(answering_once(&[]), Fault::EarlyClose);
    check(answering_once(&["hello"]), Fault::Malformed);
    check(answering_once(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP"]), Fault::ExtraBytes);
    // Closing with unread bytes sends a reset, which must not count as the end of an answer.
    let resetting = |answer: &'static str| {
        listen(move |mut stream| assert!(stream.peek(&mut [0]).is_ok() && say(&mut stream, &[answer])))
    };
    check(resetting(""), Fault::Reset);
    check(resetting("HTTP/1.1 200 OK\r\n\r\nabc"), Fault::Reset);
    let closed_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check(closed_port, Fault::Connect);
}

/// Starts a server that waits for `count` requests, and then sends what `answer` makes of the answers, which have the
/// targets as content.
fn echoing(count: usize, answer: fn(Vec<String>) -> Vec<String>) -> SocketAddr {
    listen(move |mut stream| {
        let (mut heads, mut buffer) = (String::new(), [0; 4096]);
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            heads += str::from_utf8(&buffer[..len]).unwrap();
            let whole = heads.matches("\r\n\r\n").count();
            assert!(whole <= count);
            if whole == count {
                let answers = heads.split_terminator("\r\n\r\n").map(|head| {
                    let target = head.split(' ').nth(1).unwrap();
                    let content = if head.starts_with("HEAD ") { "" } else { target };
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", target.len())
                });
                let pieces = answer(answers.collect());
                let said = say(&mut stream, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
                // An empty piece closes the connection.
                if !said || pieces.last().is_none_or(String::is_empty) {
                    return;
                }
                heads.clear();
            }
        }
    })
}

#[test]
fn sends_requests_together_and_reads_their_answers_in_order() {
    let together = |server, pipeline, connections| {
        let mut asks =
            ["/a", "/bc", "/def"].map(|path| Exchange::new(get(path)).expect_body(path.as_bytes())).to_vec();
        asks.push(Exchange::new(head("/ghij")).expect_body(*b""));
        Load { exchanges: asks, pipeline, count_header: None, ..asking(server, 400, connections) }
    };
    for whole in [|answers: Vec<String>| vec![answers.concat()], |answers: Vec<String>| answers] {
        check(&together(echoing(20, whole), 20, 4), 400, &[]);
        // More requests than fit into one send.
        check(&together(echoing(40, whole), 40, 2), 400, &[]);
    }
    let bytewise = |answers: Vec<String>| answers.concat().chars().map(String::from).collect();
    check(&together(echoing(5, bytewise), 5, 4), 400, &[]);
    let swapped = |mut answers: Vec<String>| {
        answers.swap(1, 2);
        answers
    };
    let mut wrong = together(echoing(4, swapped), 4, 1);
    wrong.exchanges.truncate(3);
    check(&wrong, 200, &[(Fault::WrongBody, 200)]);
}

#[test]
fn fails_unanswered_requests_of_a_broken_connection() {
    let together = |server| {
        let ask = Exchange::new(get("/")).expect_length(1);
        Load { exchanges: vec![ask], pipeline: 4, count_header: None, ..asking(server, 40, 2) }
    };
    check(&together(echoing(4, |_| Vec::new())), 0, &[(Fault::EarlyClose, 40)]);
    // Three answers, the last with `Connection: close`; then the driver waits for the close.
    let announced = |answers: Vec<String>| {
        let last = answers[2].replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        vec![answers[..2].concat() + &last, String::new()]
    };
    check(&together(echoing(4, announced)), 30, &[(Fault::EarlyClose, 10)]);
    let unasked = |mut answers: Vec<String>| {
        answers.push(answers[0].clone());
        vec![answers.concat()]
    };
    check(&together(echoing(4, unasked)), 30, &[(Fault::ExtraBytes, 10)]);
    let length = Exchange::new(get("/")).expect_length(2);
    check(
        &Load { exchanges: vec![length], ..together(echoing(4, |answers| answers)) },
        0,
        &[(Fault::WrongBody, 40)],
    );
}

#[test]
fn continues_after_a_fault() {
    let served = Arc::new(AtomicU64::new(0));
    let server = listen(move |mut stream| {
        while request(&mut stream).is_some() {
            let (pieces, goes_on) = match served.fetch_add(1, Ordering::Relaxed) % 10 {
                8 => ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", true),
                9 => ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", false),
                _ => (ANSWER, true),
            };
            if !say(&mut stream, &[pieces]) || !goes_on {
                return;
            }
        }
    });
    let tally = check(&asking(server, 200, 1), 160, &[(Fault::EarlyClose, 20), (Fault::WrongStatus, 20)]);
    assert_eq!(tally.statuses, BTreeMap::from([(200, 160), (500, 20)]));
}

#[test]
fn times_out_if_the_server_does_not_answer_or_close() {
    let timeout = Duration::from_millis(40);
    let silent = listen(|mut stream| while request(&mut stream).is_some() {});
    check(&Load { timeout, ..asking(silent, 6, 3) }, 0, &[(Fault::Timeout, 6)]);
    let lasting = answering(&[ANSWER]);
    check(&Load { timeout, ..closing(asking(lasting, 6, 3)) }, 0, &[(Fault::Timeout, 6)]);
}

#[test]
fn ends_in_time() {
    let time = Duration::from_millis(50);
    for rate in [None, Some(2000.0)] {
        let load = Load { until: Until::Time(time), rate, ..asking(answering(&[ANSWER]), 0, 4) };
        let tally = load::run(&load, &|_| {}).unwrap();
        assert_eq!((tally.latencies.len(), tally.error_count()), (tally.requests, 0));
        match rate {
            None => assert!(tally.elapsed >= time),
            Some(_) => assert_eq!(tally.requests, 100),
        }
    }
}

/// A stall of the server delays all requests scheduled during it, and their latencies must include the delay.
#[test]
fn an_open_loop_counts_the_wait_for_a_stalling_server() {
    let (gate, opened) = channel::<()>();
    let stall = Arc::new(Mutex::new((Some(opened), None)));
    let stalling = Arc::clone(&stall);
    let server = listen(move |mut stream| {
        while request(&mut stream).is_some() {
            let opened = stalling.lock().unwrap().0.take();
            if let Some(opened) = opened {
                let arrived = Instant::now();
                opened.recv().unwrap_or_default();
                stalling.lock().unwrap().1 = Some(arrived.elapsed());
            }
            say(&mut stream, &[ANSWER]);
        }
    });
    // All requests are due within ten milliseconds. The server answers a while after the first has arrived.
    let load = Load { rate: Some(10_000.0), ..asking(server, 100, 1) };
    let looks = AtomicU64::new(0);
    let tally = load::run(&load, &|progress| {
        let stalls = stall.lock().unwrap().0.is_none();
        if stalls && looks.fetch_add(1, Ordering::Relaxed) == 1 {
            assert_eq!((progress.requests, progress.errors), (0, 0));
            gate.send(()).unwrap();
        }
    });
    let (tally, stall) = (tally.unwrap(), stall.lock().unwrap().1.unwrap());
    assert_eq!(tally.latencies.len(), 100);
    // The histogram has three significant digits, so allow half a millisecond.
    let least = stall - Duration::from_micros(10_500);
    assert!(
        Duration::from_nanos(tally.latencies.min()) >= least,
        "{:?}, not {least:?}",
        tally.latencies.min()
    );
}

#[test]
fn an_open_loop_times_out_unsent_requests() {
    let silent = listen(|mut stream| while request(&mut stream).is_some() {});
    let timeout = Duration::from_millis(60);
    let load = Load { rate: Some(1000.0), timeout, ..asking(silent, 50, 1) };
    let tally = load::run(&load, &|_| {}).unwrap();
    assert_eq!((tally.requests, tally.error_count()), (0, 50));
    assert_eq!(tally.errors.keys().collect::<Vec<_>>(), [&Fault::Timeout, &Fault::NeverSent]);
}

#[test]
fn rejects_invalid_loads() {
    let load = || asking(([127, 0, 0, 1], 1).into(), 1, 1);
    let wrong = [
        Load { exchanges: Vec::new(), ..load() },
        Load { exchanges: vec![Exchange::new("")], ..load() },
        Load { connections: 0, ..load() },
        Load { threads: 0, ..load() },
        Load { pipeline: 0, ..load() },
        Load { pipeline: 2, ..closing(load()) },
        Load { timeout: Duration::ZERO, ..load() },
        Load { rate: Some(0.0), ..load() },
        Load { rate: Some(f64::NAN), ..load() },
    ];
    for load in wrong {
        assert!(load::run(&load, &|_| {}).is_err(), "{load:?}");
    }
}
