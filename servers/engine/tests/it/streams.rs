//! Streams whose source has nothing to send for a while: nothing waits for them but their own connection.

use crate::{
    app::{TestApp, check_open, settings_with},
    client::{Client, get, request},
    faults::Event,
    server::settings,
};
use http_engine::FileSlice;
use std::{io::Write, sync::Arc, time::Duration};

/// More bytes than an engine sends in one turn, and than the kernel takes for a client that reads nothing.
const FILE_BYTES: usize = 2 * 1024 * 1024;

/// Waits until a response has arrived up to this chunk. Reads nothing of it.
fn await_chunk(client: &Client, text: &str) {
    client.await_bytes(&format!("\r\n{:x}\r\n{text}\r\n", text.len()));
}

http_testing::both_engines! {
    /// The event loop has one worker: it serves other clients meanwhile, and disconnects one that reads nothing.
    fn the_silence_of_a_source_is_not_charged_to_the_client(engine: Engine) {
        let app = TestApp::start(engine, settings_with(|settings| {
            settings.workers = 1;
            settings.protocol.timeouts.write_stall = Duration::from_millis(300);
        }));
        let [mut client, mut half_closed] = [(); 2].map(|()| app.request("/stream"));
        half_closed.shutdown_write();
        let [mut feed, mut other_feed] = [app.feed(), app.feed()];
        feed.send("one");
        await_chunk(&client, "one");
        let _reads_nothing = app.request("/endless");
        app.expect(&[Event::Dropped]);
        feed.send("three");
        await_chunk(&client, "three");
        feed.end();
        assert_eq!(client.response().text(), "onethree");
        feed.await_drop();
        check_open(&mut client, "/open");
        other_feed.send("one");
        other_feed.end();
        assert_eq!(half_closed.response().text(), "one");
        half_closed.expect_eof();
    }

    /// The event loop has one worker, which serves another client while this one reads nothing.
    fn parts_of_a_file_are_sent_between_chunks(engine: Engine) {
        let app = TestApp::start(engine, settings_with(|settings| settings.workers = 1));
        let bytes: Vec<u8> = (b'0'..=b'9').cycle().take(FILE_BYTES).collect();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("room on the disk");
        let file = Arc::new(file);
        let part = |offset, len| FileSlice { file: file.clone(), offset, len };
        let (slow, fast) = (Client::connect_with_small_buffer(app.server.address), app.connect());
        for (mut client, version, end) in [(slow, "HTTP/1.1", "\r\n"), (fast, "HTTP/1.0", "")] {
            let request = get("/stream").replace("HTTP/1.1", version);
            client.send(&request);
            let mut feed = app.feed();
            feed.send("one");
            client.await_bytes(&format!("one{end}"));
            feed.send_file(part(4, 5));
            client.await_bytes(&format!("45678{end}"));
            feed.send_file(part(0, FILE_BYTES as u64));
            feed.send("two");
            feed.send_file(part(3, 1));
            feed.end();
            check_open(&mut app.connect(), "/open");
            let body = client.response_to(&request).body;
            assert!(body == [b"one45678", &bytes[..], b"two3"].concat(), "{} bytes", body.len());
            feed.await_drop();
            if version == "HTTP/1.1" {
                check_open(&mut client, "/open");
            } else {
                client.expect_eof();
            }
        }
    }

    fn a_request_behind_a_stream_waits_for_its_end(engine: Engine) {
        let app = TestApp::start(engine, settings());
        let mut client = app.send(["/before", "/stream", "/stream", "/after-it"].map(get).concat());
        assert_eq!(client.response().text(), "/before");
        for _ in 0..2 {
            let mut feed = app.feed();
            feed.send("one");
            assert!(app.feeds.try_recv().is_err(), "the next request was served too early");
            feed.end();
            assert_eq!(client.response().text(), "one");
        }
        assert_eq!(client.response().text(), "/after-it");
        client.finish();
    }

    fn a_waker_called_too_often_or_too_late_does_no_harm(engine: Engine) {
        let app = TestApp::start(engine, settings());
        let mut client = app.request("/stream");
        let mut feed = app.feed();
        (0..1_000).for_each(|_| feed.wake());
        feed.send("one");
        feed.end();
        assert_eq!(client.response().text(), "one");
        for _ in 0..100 {
            feed.wake();
            check_open(&mut client, "/open");
        }
        client.finish();
        for _ in 0..100 {
            feed.wake();
            check_open(&mut app.connect(), "/open");
        }
        drop(app);
        feed.wake();
    }

    fn the_source_is_dropped_when_its_client_leaves(engine: Engine) {
        let app = TestApp::start(engine, settings());
        for has_begun in [false, true] {
            let client = app.request("/stream");
            let mut feed = app.feed();
            if has_begun {
                feed.send("one");
                await_chunk(&client, "one");
            }
            client.reset();
            feed.await_drop();
        }
    }

    /// The event loop has one worker, and more streams than it continues at once.
    fn a_stream_continues_at_the_time_that_its_source_names(engine: Engine) {
        let app = TestApp::start(engine, settings_with(|settings| settings.workers = 1));
        let long = app.request("/timed-long");
        let mut clients: Vec<_> = (0..100).map(|_| app.request("/timed")).collect();
        check_open(&mut app.connect(), "/open");
        for client in &mut clients {
            assert_eq!(client.response().text(), "tick tick tick ");
            check_open(client, "/open");
        }
        app.expect(&[Event::Dropped; 100]);
        long.reset();
        app.expect(&[Event::Dropped]);
    }

    fn a_source_without_a_body_to_send_is_dropped(engine: Engine) {
        let app = TestApp::start(engine, settings());
        let mut client = app.connect();
        let response = client.fetch(request("HEAD", "/stream", ""));
        assert_eq!((response.status, response.header("Transfer-Encoding")), (200, Some("chunked")));
        let feed = app.feed();
        feed.await_drop();
        assert!(!feed.has_started(), "the source has received a waker");
        check_open(&mut client, "/open");
    }
}
