//! Every kind of reply on both engines: immediate, delayed, offloaded, deferred.

use crate::{
    app::{DELAY, TestApp, check_open, settings_with},
    client::{Client, TIMEOUT, get, request},
    faults::Event,
    server::settings,
};
use http_engine::{Engine, Responder, Response};

http_testing::both_engines! {
    fn replies_of_every_kind_arrive_in_order(engine: Engine) {
        let app = TestApp::start(engine, settings());
        let mut client = app.connect();
        let paths = ["/now", "/after", "/offload", "/deferred", "/now"];
        client.send(paths.map(get).concat());
        for path in paths {
            let text = client.response().text();
            assert!(text == path || text == path[1..], "{path}: {text}");
        }
        for path in ["/after", "/offload", "/deferred"] {
            let head = client.fetch(request("HEAD", path, ""));
            assert_eq!(head.header("Content-Length"), Some((path.len() - 1).to_string().as_str()), "{path}");
        }
        assert_eq!(client.fetch(get("/deferred-at-once")).text(), "at once");
        client.finish();
    }

    /// One after the other, the delays would take twice as long as the test waits.
    fn delayed_replies_do_not_block_others(engine: Engine) {
        let at_once = 2 * TIMEOUT.as_millis() / DELAY.as_millis();
        let app = TestApp::start(engine, settings_with(|settings| {
            (settings.workers, settings.pool_threads) = (1, 1);
        }));
        let waiting: Vec<Client> = (0..at_once).map(|_| app.send(get("/after"))).collect();
        check_open(&mut app.connect(), "/now");
        for mut client in waiting {
            assert_eq!(client.response().text(), "after");
        }
    }

    fn earlier_responses_do_not_wait_for_later_ones(engine: Engine) {
        let app = TestApp::start(engine, settings());
        let mut client = app.send(get("/first") + &get("/held") + &get("/last"));
        assert_eq!(client.response().text(), "/first");
        app.responder().respond(Response::text("held"));
        assert_eq!(client.response().text(), "held");
        assert_eq!(client.response().text(), "/last");
        client.finish();
    }

    /// Its connection has closed, and other connections use the same slots.
    fn a_late_response_never_reaches_another_connection(engine: Engine) {
        let app = TestApp::start(engine, settings_with(|settings| settings.workers = 1));
        let (closing, closed): (Vec<Client>, Vec<Responder>) = (0..4).map(|_| app.hold()).unzip();
        closing.into_iter().for_each(Client::reset);
        // Once these have their responses, the loop has seen the resets.
        for _ in 0..3 {
            check_open(&mut app.connect(), "/other");
        }
        let open: Vec<(Client, Responder)> = (0..8).map(|_| app.hold()).collect();
        closed.into_iter().for_each(|responder| responder.respond(Response::text("too late")));
        check_open(&mut app.connect(), "/other");
        for (number, (mut client, responder)) in open.into_iter().enumerate() {
            responder.respond(Response::text(format!("{number}")));
            assert_eq!(client.response().text(), number.to_string());
            client.finish();
        }
    }
}

/// Its replies complete at once, so that its next request can be served at once, too. Another client must not wait for
/// all of them. The loop is held within a series of such replies, until the other client's request has arrived.
#[test]
fn a_client_whose_replies_complete_at_once_does_not_delay_others() {
    const REST: usize = 300;
    let app = TestApp::start(Engine::EventLoop, settings_with(|settings| settings.workers = 1));
    let (mut greedy, mut other) = (app.connect(), app.connect());
    check_open(&mut other, "/other");
    let many = |count| get("/deferred-at-once").repeat(count);
    greedy.send(many(50) + &get("/blocks") + &many(REST));
    app.expect(&[Event::Started]);
    other.send(get("/other"));
    app.unblock.send(()).expect("the handler waits");
    assert_eq!(other.response().text(), "/other");
    let mut seen = app.handled.iter().skip_while(|path| path != "/blocks");
    let before = seen.position(|path| path == "/other").expect("it was served");
    assert!(before < REST / 2, "after {before} requests of the greedy client");
}
