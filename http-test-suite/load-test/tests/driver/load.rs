//! Tests of the load driver.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use http_test_suite::request::{get, head, post};
use load_test::load::{self, Exchange, Fault, Load, Stats, Until};

use crate::{listen, read_head, read_heads, write};

/// The response that [`load`] expects.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nX-Worker: one\r\nContent-Length: 3\r\n\r\nabc";

/// A timeout too long to expire in tests that are not about timeouts.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the load, and compares the counts of requests and errors.
fn check(load: &Load, requests: u64, errors: &[(Fault, u64)]) -> Stats {
    let stats = load::run(load, &|_| {}).unwrap();
    assert_eq!((stats.requests, &stats.errors), (requests, &errors.iter().copied().collect()), "{load:?}");
    assert_eq!(stats.latencies.len(), requests);
    if let Until::Requests(count) = load.until {
        assert_eq!(requests + stats.error_count(), count);
    }
    stats
}

/// `count` requests for `/` over `connections`, whose responses must be `RESPONSE`.
fn load(server: SocketAddr, count: u64, connections: usize) -> Load {
    let exchange = Exchange::new(get("/")).expect_status(200).expect_body(*b"abc");
    let until = Until::Requests(count);
    Load {
        connections,
        until,
        timeout: TIMEOUT,
        count_header: Some("x-worker"),
        ..Load::new(server, exchange)
    }
}

/// Starts a server that responds to every request with these pieces, each in a write of its own.
fn responding(pieces: &'static [&str]) -> SocketAddr {
    listen(|stream| while read_head(stream).is_some_and(|_| write(stream, pieces)) {})
}

/// Starts a server that responds once and closes.
fn responding_once(pieces: &'static [&str]) -> SocketAddr {
    listen(|stream| {
        if read_head(stream).is_some() {
            write(stream, pieces);
        }
    })
}

/// Starts a server that reads requests and never responds.
fn silent() -> SocketAddr {
    listen(|stream| while read_head(stream).is_some() {})
}

/// The target in a request's head.
fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

#[test]
fn counts_every_request() {
    let server = responding(&[RESPONSE]);
    let stats = check(&load(server, 1000, 10), 1000, &[]);
    assert_eq!(stats.bytes_received, 1000 * RESPONSE.len() as u64);
    assert_eq!(stats.statuses, BTreeMap::from([(200, 1000)]));
    assert_eq!(stats.by_header, BTreeMap::from([("one".to_owned(), 1000)]));
    assert_eq!((stats.by_connection.len(), stats.by_connection.iter().sum()), (10, 1000));
    assert!(stats.driver_cpu > Duration::ZERO && stats.percentile(99.0) <= stats.percentile(100.0));
    // Threads and connections that do not divide evenly, and more connections than requests.
    check(&Load { threads: 3, ..load(server, 1000, 7) }, 1000, &[]);
    check(&Load { threads: 8, ..load(server, 5, 20) }, 5, &[]);
}

#[test]
fn sends_the_requests_in_turn() {
    let server = listen(|stream| {
        while let Some(head) = read_head(stream) {
            write(stream, &[&format!("HTTP/1.1 204 No\r\nX-Worker: {}\r\n\r\n", target(&head))]);
        }
    });
    let exchanges = ["/a", "/b", "/c"].map(|path| Exchange::new(get(path)).expect_status(204)).to_vec();
    let each = ["/a", "/b", "/c"].map(|path| (path.to_owned(), 100));
    for (threads, rate) in [(1, None), (2, None), (2, Some(50_000.0))] {
        let load = Load { exchanges: exchanges.clone(), threads, rate, ..load(server, 300, 4) };
        assert_eq!(check(&load, 300, &[]).by_header, BTreeMap::from(each.clone()));
    }
}

#[test]
fn opens_as_many_connections_as_the_load_says() {
    let (accepted, open) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    // The server responds only when all connections have sent a request.
    let (counts, all) = ((Arc::clone(&accepted), Arc::clone(&open)), Arc::new(Barrier::new(7)));
    let server = listen(move |stream| {
        counts.0.fetch_add(1, Ordering::SeqCst);
        counts.1.fetch_add(1, Ordering::SeqCst);
        while let Some(head) = read_head(stream) {
            all.wait();
            if !write(stream, &[RESPONSE]) || head.contains("close") {
                break;
            }
        }
        counts.1.fetch_sub(1, Ordering::SeqCst);
    });
    let kept = Load { threads: 3, ..load(server, 14, 7) };
    let inspect = || (accepted.load(Ordering::SeqCst), open.load(Ordering::SeqCst));
    let (stats, counts) = load::run_and_inspect(&kept, &|_| {}, inspect).unwrap();
    // The connections are still open when they are inspected.
    assert_eq!((stats.requests, counts), (14, (7, 7)));
    let exchanges = vec![Exchange::new(get("/").closing()).expect_body(*b"abc")];
    check(&Load { keep_alive: false, exchanges, ..kept }, 14, &[]);
    assert_eq!(accepted.load(Ordering::SeqCst), 7 + 14);
}

#[test]
fn reads_responses_in_pieces() {
    let chunked =
        &["HTTP/1.1 200 OK\r\nTransfer-Enc", "oding: chunked\r\n\r\n1\r", "\na\r\n2\r\nbc\r\n0\r\n", "\r\n"];
    check(&load(responding(chunked), 100, 3), 100, &[]);
    check(&load(responding(&["HTTP/1.1 100 Go on\r\n\r\n", RESPONSE]), 100, 3), 100, &[]);
    for keep_alive in [true, false] {
        let once = |pieces| Load { keep_alive, ..load(responding_once(pieces), 100, 3) };
        check(&once(&["HTTP/1.1 200 OK\r\n\r\na", "bc"]), 100, &[]);
        check(&once(&["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", "abc"]), 100, &[]);
    }
    let exchanges = vec![Exchange::new(head("/")).expect_status(200).expect_body(*b"")];
    let server = responding(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"]);
    check(&Load { exchanges, ..load(server, 100, 3) }, 100, &[]);
}

#[test]
fn sends_more_than_fits_into_one_send() {
    const LEN: usize = 8 << 20;
    let request = || Vec::from(post("/", vec![0; LEN]));
    let exchanges = vec![Exchange::new(request()).expect_body(*b"abc")];
    let len = request().len();
    let server = listen(
        move |stream| while stream.read_exact(&mut vec![0; len]).is_ok() && write(stream, &[RESPONSE]) {},
    );
    for pipeline in [1, 3] {
        check(&Load { exchanges: exchanges.clone(), pipeline, ..load(server, 6, 2) }, 6, &[]);
    }
    // This server responds at once, and does not read.
    let hasty = listen(|stream| {
        write(stream, &[RESPONSE]);
        thread::park();
    });
    for keep_alive in [true, false] {
        check(&Load { exchanges: exchanges.clone(), keep_alive, ..load(hasty, 4, 2) }, 4, &[]);
    }
}

#[test]
fn finds_each_fault() {
    // Closing with unread bytes sends a reset, which must not count as the end of a response.
    let resetting = |response: &'static str| {
        listen(move |stream| assert!(stream.peek(&mut [0]).is_ok() && write(stream, &[response])))
    };
    let closed_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let once = responding_once;
    for (fault, server) in [
        (Fault::WrongStatus, once(&["HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"])),
        (Fault::WrongBody, once(&["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabd"])),
        (Fault::WrongBody, once(&["HTTP/1.1 200 OK\r\n\r\nab"])),
        (Fault::WrongBody, once(&["HTTP/1.1 200 OK\r\n\r\nabcd"])),
        (Fault::EarlyClose, once(&["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"])),
        (Fault::EarlyClose, once(&[])),
        (Fault::Malformed, once(&["hello"])),
        (Fault::Malformed, once(&["HTTP/1.1 101 Switching Protocols\r\n\r\n"])),
        (Fault::ExtraBytes, once(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP"])),
        (Fault::Reset, resetting("")),
        (Fault::Reset, resetting("HTTP/1.1 200 OK\r\n\r\nabc")),
        (Fault::Connect, closed_port),
    ] {
        for keep_alive in [true, false] {
            check(&Load { keep_alive, ..load(server, 20, 3) }, 0, &[(fault, 20)]);
        }
    }
}

/// Starts a server that waits for `count` requests, and then sends what `pieces` makes of the responses, which have the
/// targets as content. An empty last piece closes the connection.
fn echoing(count: usize, pieces: fn(Vec<String>) -> Vec<String>) -> SocketAddr {
    listen(move |stream| {
        while let Some(heads) = read_heads(stream, count) {
            let responses = heads.split_terminator("\r\n\r\n").map(|head| {
                let target = target(head);
                let content = if head.starts_with("HEAD ") { "" } else { target };
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", target.len())
            });
            let pieces = pieces(responses.collect());
            let is_written = write(stream, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
            if !is_written || pieces.last().is_none_or(String::is_empty) {
                return;
            }
        }
    })
}

#[test]
fn sends_requests_together_and_reads_their_responses_in_order() {
    let pipelined = |server, pipeline, connections| {
        let mut exchanges =
            ["/a", "/bc", "/def"].map(|path| Exchange::new(get(path)).expect_body(path.as_bytes())).to_vec();
        exchanges.push(Exchange::new(head("/ghij")).expect_body(*b""));
        Load { exchanges, pipeline, count_header: None, ..load(server, 400, connections) }
    };
    for pieces in [|responses: Vec<String>| vec![responses.concat()], |responses: Vec<String>| responses] {
        check(&pipelined(echoing(20, pieces), 20, 4), 400, &[]);
        // More requests than fit into one send.
        check(&pipelined(echoing(40, pieces), 40, 2), 400, &[]);
    }
    let bytes = |responses: Vec<String>| responses.concat().chars().map(String::from).collect();
    check(&pipelined(echoing(5, bytes), 5, 4), 400, &[]);
    let swapped = |mut responses: Vec<String>| {
        responses.swap(1, 2);
        responses
    };
    let mut wrong = pipelined(echoing(4, swapped), 4, 1);
    wrong.exchanges.truncate(3);
    check(&wrong, 200, &[(Fault::WrongBody, 200)]);
}

#[test]
fn fails_all_requests_of_a_broken_connection() {
    let pipelined = |pieces, length| {
        let exchanges = vec![Exchange::new(get("/")).expect_length(length)];
        Load { exchanges, pipeline: 4, count_header: None, ..load(echoing(4, pieces), 40, 2) }
    };
    check(&pipelined(|_| Vec::new(), 1), 0, &[(Fault::EarlyClose, 40)]);
    // Three responses, the last with `Connection: close`; then the driver waits for the close.
    let announced = |responses: Vec<String>| {
        let last = responses[2].replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        vec![responses[..2].concat() + &last, String::new()]
    };
    check(&pipelined(announced, 1), 30, &[(Fault::EarlyClose, 10)]);
    let one_more = |responses: Vec<String>| vec![responses.concat() + &responses[0]];
    check(&pipelined(one_more, 1), 30, &[(Fault::ExtraBytes, 10)]);
    check(&pipelined(|responses| responses, 2), 0, &[(Fault::WrongBody, 40)]);
}

#[test]
fn continues_after_a_fault() {
    let served = Arc::new(AtomicU64::new(0));
    let server = listen(move |stream| {
        while read_head(stream).is_some() {
            let (response, stays_open) = match served.fetch_add(1, Ordering::Relaxed) % 10 {
                8 => ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", true),
                9 => ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", false),
                _ => (RESPONSE, true),
            };
            if !write(stream, &[response]) || !stays_open {
                return;
            }
        }
    });
    let stats = check(&load(server, 200, 1), 160, &[(Fault::EarlyClose, 20), (Fault::WrongStatus, 20)]);
    assert_eq!(stats.statuses, BTreeMap::from([(200, 160), (500, 20)]));
}

#[test]
fn times_out_if_the_server_does_not_respond_or_close() {
    let timeout = Duration::from_millis(40);
    check(&Load { timeout, ..load(silent(), 6, 3) }, 0, &[(Fault::Timeout, 6)]);
    let lasting = load(responding(&[RESPONSE]), 6, 3);
    check(&Load { timeout, keep_alive: false, ..lasting }, 0, &[(Fault::Timeout, 6)]);
    // An open loop does not send the requests that wait for the only connection.
    let open_loop = Load { rate: Some(1000.0), timeout, ..load(silent(), 50, 1) };
    let stats = load::run(&open_loop, &|_| {}).unwrap();
    assert_eq!((stats.requests, stats.error_count()), (0, 50));
    assert_eq!(stats.errors.keys().collect::<Vec<_>>(), [&Fault::Timeout, &Fault::NeverSent]);
}

#[test]
fn ends_in_time() {
    let time = Duration::from_millis(50);
    for rate in [None, Some(2000.0)] {
        let load = Load { until: Until::Time(time), rate, ..load(responding(&[RESPONSE]), 0, 4) };
        let stats = load::run(&load, &|_| {}).unwrap();
        assert_eq!((stats.latencies.len(), stats.error_count()), (stats.requests, 0));
        match rate {
            None => assert!(stats.elapsed >= time),
            Some(_) => assert_eq!(stats.requests, 100),
        }
    }
}

/// If the server stalls, the latencies of all requests that are due in the meantime must include the delay.
#[test]
fn an_open_loop_counts_the_wait_for_a_stalled_server() {
    let (resume, resumed) = channel::<()>();
    let stall = Arc::new(Mutex::new((Some(resumed), Duration::ZERO)));
    let stalling = Arc::clone(&stall);
    let server = listen(move |stream| {
        while read_head(stream).is_some() {
            let resumed = stalling.lock().unwrap().0.take();
            if let Some(resumed) = resumed {
                let start = Instant::now();
                resumed.recv().unwrap_or_default();
                stalling.lock().unwrap().1 = start.elapsed();
            }
            write(stream, &[RESPONSE]);
        }
    });
    // All requests are due within ten milliseconds. The server responds a while after the first has arrived.
    let load = Load { rate: Some(10_000.0), ..load(server, 100, 1) };
    let reports = AtomicU64::new(0);
    let stats = load::run(&load, &|progress| {
        let is_stalled = stall.lock().unwrap().0.is_none();
        if is_stalled && reports.fetch_add(1, Ordering::Relaxed) == 1 {
            assert_eq!((progress.requests, progress.errors), (0, 0));
            resume.send(()).unwrap();
        }
    });
    let stats = stats.unwrap();
    // Only the first request found a free connection; the others waited for the server, not for the driver.
    assert_eq!(stats.driver_delays.len(), 1);
    let shortest = Duration::from_nanos(stats.latencies.min());
    // The histogram has three significant digits, so allow half a millisecond.
    let expected = stall.lock().unwrap().1 - Duration::from_micros(10_500);
    assert!(shortest >= expected, "{shortest:?}, not {expected:?}");
}

#[test]
fn counts_no_latency_while_connections_are_opened() {
    let opening = Duration::from_millis(50);
    let load = Load { rate: Some(1000.0), opening, threads: 2, ..load(responding(&[RESPONSE]), 80, 80) };
    let stats = load::run(&load, &|_| {}).unwrap();
    assert_eq!((stats.requests, stats.latencies.len(), stats.driver_delays.len()), (80, 30, 30));
    assert!(stats.driver_delay(100.0) <= stats.percentile(100.0));
}

#[test]
fn rejects_invalid_loads() {
    let load = || load(([127, 0, 0, 1], 1).into(), 1, 1);
    for invalid in [
        Load { exchanges: Vec::new(), ..load() },
        Load { exchanges: vec![Exchange::new("a"), Exchange::new("")], ..load() },
        Load { connections: 0, ..load() },
        Load { threads: 0, ..load() },
        Load { pipeline: 0, ..load() },
        Load { pipeline: 2, keep_alive: false, ..load() },
        Load { timeout: Duration::ZERO, ..load() },
        Load { rate: Some(0.0), ..load() },
        Load { rate: Some(f64::NAN), ..load() },
    ] {
        assert!(load::run(&invalid, &|_| {}).is_err(), "{invalid:?}");
    }
}
