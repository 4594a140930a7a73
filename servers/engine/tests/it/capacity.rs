//! The connection limits: an idle connection is closed for a new one; without an idle one the new one gets 503.

use crate::{
    client::{Client, TIMEOUT, get, wait_for},
    server::{InProcessServer, settings},
};
use http_engine::{Engine, Reply, Request, Responder, Response, Settings};
use std::{
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

const LONG: Duration = Duration::from_secs(3600);

/// A server for two connections, and the responders of its requests for `/held`.
struct SmallServer {
    server: InProcessServer,
    responders: Receiver<Responder>,
}

impl SmallServer {
    fn start(engine: Engine) -> SmallServer {
        SmallServer::start_with(engine, |_| ())
    }

    fn start_with(engine: Engine, change: impl FnOnce(&mut Settings)) -> SmallServer {
        let (sender, responders) = channel();
        let handler = move |request: &Request<'_>| match request.path() {
            "/held" => {
                let sender = sender.clone();
                Reply::Deferred(Box::new(move |responder| drop(sender.send(responder))))
            }
            path => Response::text(path.to_owned()).into(),
        };
        let mut settings = Settings { workers: 1, max_connections: Some(2), ..settings() };
        change(&mut settings);
        SmallServer { server: InProcessServer::start(engine, settings, handler), responders }
    }

    /// A connection that waits for its response, and the responder.
    fn busy(&self) -> (Client, Responder) {
        let mut client = self.server.connect();
        client.send(get("/held"));
        (client, self.responders.recv_timeout(TIMEOUT).expect("the handler is called"))
    }

    /// A connection that has its response and stays open.
    fn idle(&self) -> Client {
        let mut client = self.server.connect();
        check(&mut client, "/idle");
        client
    }
}

fn check(client: &mut Client, path: &str) {
    let reply = client.fetch(get(path));
    assert_eq!((reply.status, &*reply.text(), reply.close), (200, path, false));
}

/// Whether bytes of a response have arrived.
fn has_reply(client: &Client) -> bool {
    client.stream.set_nonblocking(true).expect("a socket");
    let peeked = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false).expect("a socket");
    peeked.is_ok()
}

fn check_over_limit(mut client: Client) {
    client.send(get("/new") + &get("/new"));
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("Retry-After"), reply.close), (503, Some("1"), true));
    client.finish();
}

fn check_held(mut client: Client, responder: Responder) {
    responder.respond(Response::text("held"));
    assert_eq!(client.reply().text(), "held");
    client.finish();
}

http_testing::both_engines! {
    fn a_new_connection_gets_503_when_all_are_busy(engine: Engine) {
        let small = SmallServer::start(engine);
        let held = [small.busy(), small.busy()];
        for _ in 0..3 {
            check_over_limit(small.server.connect());
        }
        held.into_iter().for_each(|(client, responder)| check_held(client, responder));
        // A thread leaves its connection some time after the client has seen the end.
        let mut client = wait_for("room for a connection", || {
            let mut client = small.server.connect();
            (client.fetch(get("/new")).status == 200).then_some(client)
        });
        check(&mut client, "/again");
        client.finish();
    }

    fn an_idle_connection_is_closed_for_a_new_one(engine: Engine) {
        let small = SmallServer::start(engine);
        let (busy, responder) = small.busy();
        let mut idle = small.idle();
        // A connection counts as idle a moment after its response has arrived.
        let mut client = wait_for("the idle connection closes", || {
            let mut client = small.server.connect();
            (client.fetch(get("/new")).status == 200).then_some(client)
        });
        idle.expect_eof();
        check(&mut client, "/again");
        client.finish();
        check_held(busy, responder);
    }

    fn the_longest_idle_connection_is_closed_first(engine: Engine) {
        // A connection counts as idle a moment after its response has arrived, so now and then the other one closes.
        // Try until it is the longest idle one.
        wait_for("the longest idle connection closes", || {
            let small = SmallServer::start(engine);
            let [mut first, mut second] = [small.idle(), small.idle()];
            check(&mut first, "/used-again");
            let client = small.server.connect().fetch(get("/new"));
            let stays = first.try_fetch(get("/used-again")).is_ok_and(|reply| reply.status == 200);
            (client.status == 200 && stays).then(|| second.expect_eof())
        });
    }

    fn an_address_at_its_limit_gets_503(engine: Engine) {
        let settings = Settings { max_connections_per_address: Some(2), ..settings() };
        let server = InProcessServer::start(engine, settings, |request: &Request<'_>| {
            Response::text(request.client_addr().map(|client| client.ip().to_string()).unwrap_or_default())
        });
        let other_address = || Client::connect_from("127.0.0.2:0", server.address);
        let mut held = [server.connect(), server.connect()];
        for client in &mut held {
            assert_eq!(client.fetch(get("/")).text(), "127.0.0.1");
        }
        check_over_limit(server.connect());
        assert_eq!(other_address().fetch(get("/")).text(), "127.0.0.2");
        let [first, mut second] = held;
        first.finish();
        wait_for("room for the address", || (server.connect().fetch(get("/")).status == 200).then_some(()));
        assert_eq!(second.fetch(get("/")).status, 200, "no connection was closed for another");
    }

    fn an_address_at_its_limit_closes_no_idle_connection(engine: Engine) {
        let settings = Settings {
            workers: 1,
            max_connections: Some(4),
            max_connections_per_address: Some(2),
            ..settings()
        };
        let server = InProcessServer::start(engine, settings, |_: &Request<'_>| Response::text("here"));
        let from = |address| {
            let mut client = Client::connect_from(address, server.address);
            let status = client.fetch(get("/")).status;
            (client, status)
        };
        let mut idle: Vec<_> = ["127.0.0.2:0", "127.0.0.2:0", "127.0.0.1:0", "127.0.0.1:0"].map(from).into();
        assert!(idle.iter().all(|(_, status)| *status == 200));
        let refused: Vec<_> = (0..100).map(|_| from("127.0.0.1:0")).collect();
        assert!(refused.iter().all(|(_, status)| *status == 503));
        for (client, _) in &mut idle {
            assert_eq!(client.fetch(get("/")).text(), "here");
        }
    }

    /// Refused clients get 503 at once, and no other client waits until one of them closes its connection.
    fn refused_connections_that_never_close_delay_no_other(engine: Engine) {
        let small = SmallServer::start_with(engine, |settings| settings.protocol.timeouts.linger = LONG);
        let _held = [small.busy(), small.busy()];
        let refused: Vec<Client> = (0..200)
            .map(|_| {
                let mut client = small.server.connect();
                assert_eq!(client.fetch(get("/new")).status, 503);
                client
            })
            .collect();
        drop(refused);
    }

    fn a_refused_connection_is_closed_although_its_client_does_not(engine: Engine) {
        let small = SmallServer::start_with(engine, |settings| settings.protocol.timeouts.linger = LONG);
        let _held = [small.busy(), small.busy()];
        let mut client = small.server.connect();
        assert_eq!(client.fetch(get("/new")).status, 503);
        client.expect_eof();
        wait_for("the kernel rejects what the client sends", || client.try_send("more").is_err().then_some(()));
    }

    /// Whichever worker accepts a connection, the limit is that of the server.
    fn all_workers_together_serve_as_many_connections_as_the_limit_says(engine: Engine) {
        let small = SmallServer::start_with(engine, |settings| {
            (settings.workers, settings.max_connections) = (3, Some(5));
        });
        let mut clients: Vec<Client> = (0..50)
            .map(|_| {
                let mut client = small.server.connect();
                client.send(get("/held"));
                client
            })
            .collect();
        wait_for("a response for each client beyond the limit", || {
            (clients.iter().filter(|client| has_reply(client)).count() == 45).then_some(())
        });
        let (refused, served): (Vec<_>, Vec<_>) = clients.iter_mut().partition(|client| has_reply(client));
        assert!(refused.into_iter().all(|client| client.reply().status == 503));
        let responders = served.iter().map(|_| small.responders.recv_timeout(TIMEOUT).expect("a request"));
        responders.for_each(|responder| responder.respond(Response::text("held")));
        assert!(served.into_iter().all(|client| client.reply().text() == "held"));
    }
}

/// The blocking engine has no such workers: all of its threads share one list of connections.
#[test]
fn an_idle_connection_of_another_event_loop_is_closed_for_a_new_one() {
    let settings = Settings { workers: 3, max_connections: Some(1), ..settings() };
    let server =
        InProcessServer::start(Engine::EventLoop, settings, |_: &Request<'_>| Response::text("here"));
    // The kernel chooses the event loop: with so many, each accepts a connection while another has the idle one.
    let mut last = None;
    for _ in 0..60 {
        let mut client = server.connect();
        assert_eq!(client.fetch(get("/")).status, 200);
        last = Some(client);
    }
    assert_eq!(last.map(|mut client| client.fetch(get("/")).status), Some(200));
}
