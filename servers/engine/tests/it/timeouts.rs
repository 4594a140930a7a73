//! Every wait has a deadline: for a head, a body, the next request, a client that does not read or does not close.
//!
//! An event loop checks deadlines once a second. So the clients of one test wait at the same time.

use crate::{
    app::{LONG, TestApp, check_open, settings_with},
    client::{Client, get, request, wait_for},
    faults::Event,
};
use http_engine::{Engine, Timeouts};
use std::{io::Read, time::Duration};

const SHORT: Duration = Duration::from_millis(300);

/// Starts a server whose timeouts are long, except those that `shorten` sets.
fn start(engine: Engine, shorten: impl FnOnce(&mut Timeouts)) -> TestApp {
    TestApp::start(
        engine,
        settings_with(|settings| {
            let timeouts = &mut settings.protocol.timeouts;
            (timeouts.head, timeouts.body_idle, timeouts.reply) = (LONG, LONG, LONG);
            (timeouts.idle, timeouts.write_stall, timeouts.linger) = (LONG, LONG, LONG);
            shorten(timeouts);
        }),
    )
}

http_testing::both_engines! {
    /// A client that goes on sending a byte now and then gets 408 as well.
    fn a_slow_request_gets_408(engine: Engine) {
        let heads = start(engine, |timeouts| timeouts.head = SHORT);
        let bodies = start(engine, |timeouts| timeouts.body_idle = SHORT);
        let ten = request("POST", "/", "Content-Length: 10\r\n");
        let chunked = request("POST", "/", "Transfer-Encoding: chunked\r\n");
        let mut second = heads.send(get("/first") + "GET / HT");
        assert_eq!(second.response().text(), "/first");
        let mut clients = [
            second,
            heads.send("G"),
            heads.send("GET / HTTP/1.1\r\n"),
            heads.send("GET / HTTP/1.1\r\nHost: te"),
            bodies.send(&ten),
            bodies.send(ten.clone() + "abc"),
            bodies.send(&chunked),
            bodies.send(chunked.clone() + "fffff\r\n"),
        ];
        wait_for("all responses", || {
            for dripping in [3, 7] {
                if !clients[dripping].has_received() {
                    // The server may have closed already; then its response is the next thing to arrive.
                    let _ = clients[dripping].try_send("x");
                }
            }
            clients.iter().all(Client::has_received).then_some(())
        });
        for (number, client) in clients.iter_mut().enumerate() {
            let response = client.response();
            assert_eq!((response.status, response.keeps_alive), (408, false), "client {number}");
            client.expect_eof();
        }
    }

    /// Without a response. Each request restarts the timeout.
    fn an_idle_connection_closes_and_a_busy_one_stays_open(engine: Engine) {
        let app = start(engine, |timeouts| timeouts.idle = Duration::from_secs(1));
        let [mut silent, mut idle, mut busy] = [(); 3].map(|()| app.connect());
        check_open(&mut idle, "/once");
        // The busy connection lives longer than the idle timeout.
        wait_for("the end of the other connections", || {
            check_open(&mut busy, "/again");
            (silent.is_closed() && idle.is_closed()).then_some(())
        });
        silent.expect_eof();
        idle.expect_eof();
        check_open(&mut busy, "/again");
    }

    /// RFC 9112 §9.6: after its last response a server keeps reading, but not for ever.
    fn a_client_that_never_reads_or_never_closes_is_disconnected(engine: Engine) {
        let app = start(engine, |timeouts| (timeouts.write_stall, timeouts.linger) = (SHORT, SHORT));
        let mut unread = app.request("/endless");
        let mut open = app.connect();
        assert_eq!(open.fetch("garbage\r\n\r\n").status, 400);
        open.expect_eof();
        wait_for("the kernel rejects what the client sends", || open.try_send("more").is_err().then_some(()));
        app.expect(&[Event::Dropped]);
        // What was sent before arrives, without the last chunk.
        let mut all = Vec::new();
        let _ = unread.stream.read_to_end(&mut all);
        assert!(all.starts_with(b"HTTP/1.1 200 OK\r\n") && !all.ends_with(b"0\r\n\r\n"));
    }

    /// Neither client pauses, but both are slower than the minimum rate. A client that is faster may be slow.
    fn a_client_below_the_minimum_rate_is_disconnected(engine: Engine) {
        let app = start(engine, |timeouts| {
            (timeouts.body_idle, timeouts.body_rate) = (SHORT, 1 << 20);
            (timeouts.write_stall, timeouts.send_rate) = (SHORT, 1 << 30);
        });
        let lenient = start(engine, |timeouts| (timeouts.write_stall, timeouts.send_rate) = (SHORT, 1));
        let mut sender = app.send(request("POST", "/", "Content-Length: 1000000\r\n"));
        let mut readers = [&app, &lenient].map(|app| {
            let mut reader = Client::connect_with_small_buffer(app.server.address);
            reader.send(get("/endless"));
            reader
        });
        let mut is_dropped = false;
        wait_for("the end of both", || {
            if !sender.has_received() {
                let _ = sender.try_send("x");
            }
            // Reading fails if the server has just closed the connection.
            let _ = readers.each_mut().map(|reader| reader.stream.read(&mut [0; 1024]));
            is_dropped |= app.events.try_recv().is_ok();
            (is_dropped && sender.has_received()).then_some(())
        });
        let response = sender.response();
        assert_eq!((response.status, response.keeps_alive), (408, false));
        sender.expect_eof();
        assert!(lenient.events.try_recv().is_err(), "a response is aborted although the client reads it");
    }
}
