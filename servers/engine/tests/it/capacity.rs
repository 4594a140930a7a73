//! The connection limits: an idle connection is closed for a new one; without an idle one the new one gets 503.

use crate::{
    app::{LONG, TestApp, check_open, settings_with, wait_for_room},
    client::{Client, get, wait_for},
    server::InProcessServer,
};
use http_engine::{Engine, Request, Responder, Response, Server, Settings};
use std::net::TcpListener;

/// Starts a server for two connections, with its settings changed by `change`.
fn start(engine: Engine, change: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start(
        engine,
        settings_with(|settings| {
            (settings.workers, settings.max_connections) = (1, Some(2));
            change(settings);
        }),
    )
}

/// Opens a connection that has its response and stays open.
fn idle(app: &TestApp) -> Client {
    let mut client = app.connect();
    check_open(&mut client, "/idle");
    client
}

/// Expects 503, although two requests were sent.
fn check_over_limit(mut client: Client) {
    client.send(get("/new") + &get("/new"));
    let response = client.response();
    assert_eq!((response.status, response.keeps_alive), (503, false));
    assert_eq!(response.header("Retry-After"), Some("1"));
    client.finish();
}

fn check_held((mut client, responder): (Client, Responder)) {
    responder.respond(Response::text("held"));
    assert_eq!(client.response().text(), "held");
    client.finish();
}

http_testing::both_engines! {
    fn a_new_connection_gets_503_when_all_are_busy(engine: Engine) {
        let app = start(engine, |_| ());
        let held = [app.hold(), app.hold()];
        for _ in 0..3 {
            check_over_limit(app.connect());
        }
        held.into_iter().for_each(check_held);
        let mut client = wait_for_room(&app.server);
        check_open(&mut client, "/again");
        client.finish();
    }

    fn the_longest_idle_connection_is_closed_for_a_new_one(engine: Engine) {
        // A connection counts as idle a moment after its response has arrived, so now and then the other one closes.
        // Try until it is the longest idle one.
        wait_for("the longest idle connection closes", || {
            let app = start(engine, |settings| settings.max_connections = Some(3));
            let busy = app.hold();
            let [mut first, mut second] = [idle(&app), idle(&app)];
            check_open(&mut first, "/used-again");
            let mut new = app.connect();
            let status = new.fetch(get("/new")).status;
            let stays = first.try_fetch(get("/used-again")).is_ok_and(|response| response.status == 200);
            (status == 200 && stays).then(|| {
                second.expect_eof();
                check_open(&mut new, "/again");
                check_held(busy);
            })
        });
    }

    /// At its limit, an address gets 503 and closes no idle connection, neither its own nor another's.
    fn each_address_has_a_limit_of_its_own(engine: Engine) {
        let app = start(engine, |settings| {
            (settings.max_connections, settings.max_connections_per_address) = (Some(4), Some(2));
        });
        let connect = |address| {
            let mut client = Client::connect_from(address, app.server.address);
            let status = client.fetch(get("/from")).status;
            (client, status)
        };
        let addresses = ["127.0.0.2:0", "127.0.0.2:0", "127.0.0.1:0", "127.0.0.1:0"];
        let mut idle = addresses.map(connect);
        assert!(idle.iter().all(|(_, status)| *status == 200));
        check_over_limit(app.connect());
        let refused: Vec<_> = (0..100).map(|_| connect("127.0.0.1:0")).collect();
        assert!(refused.iter().all(|(_, status)| *status == 503));
        for (client, _) in &mut idle {
            check_open(client, "/still-open");
        }
        let [_, _, (closing, _), (mut kept, _)] = idle;
        closing.finish();
        wait_for_room(&app.server);
        check_open(&mut kept, "/still-open");
    }

    /// Refused clients get 503 at once, and no other client waits until one of them closes its connection.
    fn refused_connections_that_never_close_delay_no_other(engine: Engine) {
        let app = start(engine, |settings| settings.protocol.timeouts.linger = LONG);
        let _held = [app.hold(), app.hold()];
        let refuse = |_| {
            let mut client = app.connect();
            assert_eq!(client.fetch(get("/new")).status, 503);
            client
        };
        let mut refused: Vec<Client> = (0..200).map(refuse).collect();
        // The server closes them, too.
        let last = refused.last_mut().expect("200");
        last.expect_eof();
        wait_for("the kernel rejects what the client sends", || last.try_send("more").is_err().then_some(()));
    }

    /// Whichever worker accepts a connection, the limit is that of the server.
    fn all_workers_together_have_one_limit(engine: Engine) {
        let app = start(engine, |settings| (settings.workers, settings.max_connections) = (3, Some(5)));
        let mut clients: Vec<Client> = (0..50).map(|_| app.send(get("/held"))).collect();
        wait_for("a response for each client beyond the limit", || {
            (clients.iter().filter(|client| client.has_received()).count() == 45).then_some(())
        });
        let (refused, served): (Vec<_>, Vec<_>) = clients.iter_mut().partition(|client| client.has_received());
        assert!(refused.into_iter().all(|client| client.response().status == 503));
        served.iter().for_each(|_| app.responder().respond(Response::text("held")));
        assert!(served.into_iter().all(|client| client.response().text() == "held"));
    }
}

/// The blocking engine has no such workers: all of its threads share one list of connections.
#[test]
fn an_idle_connection_of_another_event_loop_is_closed_for_a_new_one() {
    let settings = settings_with(|settings| (settings.workers, settings.max_connections) = (3, Some(1)));
    let app = TestApp::start(Engine::EventLoop, settings);
    // The kernel chooses the event loop: with so many, each accepts a connection while another has the idle one.
    let clients: Vec<Client> = (0..60).map(|_| idle(&app)).collect();
    check_open(&mut clients.into_iter().next_back().expect("60"), "/again");
}

/// Whether the kernel chooses the event loop that accepts a connection, or whichever wakes up first does.
#[test]
fn event_loops_have_about_the_same_number_of_connections() {
    let one_socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    for server in [Server::bind("127.0.0.1:0"), Server::listen(one_socket)] {
        let server = server.expect("a listener").workers(4);
        let server = InProcessServer::run(Engine::EventLoop, server, |_: &Request<'_>| "Hello");
        let mut clients = Vec::new();
        for count in [4, 8, 64] {
            while clients.len() < count {
                let mut client = server.connect();
                assert_eq!(client.fetch(get("/")).status, 200);
                clients.push(client);
            }
            let open = server.running().metrics().into_iter().map(|worker| worker.open_connections);
            let open: Vec<_> = open.collect();
            let (fewest, most) = (open.iter().min().expect("4"), open.iter().max().expect("4"));
            assert!(open.iter().sum::<u64>() == count as u64 && *most <= fewest + fewest / 8 + 1, "{open:?}");
        }
    }
}
