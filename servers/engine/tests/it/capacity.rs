//! All places taken: who is turned away, and who makes room.

use crate::{
    client::{Client, PATIENCE, get, until},
    reply::Asked,
    server::{Threads, settings},
};
use http_engine::{Engine, Settings};
use http_engine::{Reply, Request, Responder, Response};
use std::sync::mpsc::{Receiver, channel};

/// A server with two places, and the answers that it owes for `/held`.
struct Small {
    server: Threads,
    owed: Receiver<Responder>,
}

impl Small {
    fn start(engine: Engine) -> Small {
        let (sender, owed) = channel();
        let app = move |request: &Request<'_>| match request.path() {
            "/held" => {
                let sender = sender.clone();
                Reply::Deferred(Box::new(move |responder| drop(sender.send(responder))))
            }
            path => Response::text(path.to_owned()).into(),
        };
        let settings = Settings { workers: 1, max_connections: Some(2), ..settings() };
        Small { server: Threads::start(engine, settings, app), owed }
    }

    /// A connection whose answer is owed, and what it is owed by.
    fn busy(&self) -> (Client, Responder) {
        let mut client = self.server.connect();
        client.send(get("/held"));
        (client, self.owed.recv_timeout(PATIENCE).expect("the application is asked"))
    }

    /// A connection that has been answered and is kept.
    fn idle(&self) -> Client {
        let mut client = self.server.connect();
        check(&mut client, "/idle");
        client
    }
}

fn check(client: &mut Client, path: &str) {
    let reply = client.ask(get(path));
    assert_eq!((reply.status, &*reply.text(), reply.close), (200, path, false));
}

fn check_turned_away(mut newcomer: Client) {
    newcomer.send(get("/new") + &get("/new"));
    let reply = newcomer.reply(Asked::Http11);
    assert_eq!((reply.status, reply.field("Retry-After"), reply.close), (503, Some("1"), true));
    newcomer.finish();
}

fn check_held(mut client: Client, responder: Responder) {
    responder.respond(Response::text("held"));
    assert_eq!(client.reply(Asked::Http11).text(), "held");
    client.finish();
}

http_testing::both_engines! {
    fn newcomers_are_turned_away_when_all_are_busy(engine: Engine) {
        let small = Small::start(engine);
        let held = [small.busy(), small.busy()];
        for _ in 0..3 {
            check_turned_away(small.server.connect());
        }
        held.into_iter().for_each(|(client, responder)| check_held(client, responder));
        // A place is free when its thread is done with it, which nobody is told.
        let mut newcomer = until("a free place", || {
            let mut newcomer = small.server.connect();
            (newcomer.ask(get("/new")).status == 200).then_some(newcomer)
        });
        check(&mut newcomer, "/again");
        newcomer.finish();
    }

    fn an_idle_connection_makes_room_for_a_newcomer(engine: Engine) {
        let small = Small::start(engine);
        let (busy, responder) = small.busy();
        let mut idle = small.idle();
        // A thread calls itself idle a moment after the answer has arrived.
        let mut newcomer = until("the idle one makes room", || {
            let mut newcomer = small.server.connect();
            (newcomer.ask(get("/new")).status == 200).then_some(newcomer)
        });
        idle.ends();
        check(&mut newcomer, "/again");
        newcomer.finish();
        check_held(busy, responder);
    }

    fn the_one_that_is_idle_for_longest_makes_room(engine: Engine) {
        // Whose thread has not yet called itself idle is passed over, and nobody is told when it does. So once in a
        // while it is another one that goes, but not always.
        until("the one that is idle for longest makes room", || {
            let small = Small::start(engine);
            let [mut first, mut second] = [small.idle(), small.idle()];
            check(&mut first, "/used-again");
            let newcomer = small.server.connect().ask(get("/new"));
            let stays = first.ask_again(get("/used-again")).is_ok_and(|reply| reply.status == 200);
            (newcomer.status == 200 && stays).then(|| second.ends())
        });
    }

    fn one_address_takes_no_more_than_its_places(engine: Engine) {
        let settings = Settings { max_connections_per_address: Some(2), ..settings() };
        let server = Threads::start(engine, settings, |request: &Request<'_>| {
            Response::text(request.peer().map(|peer| peer.ip().to_string()).unwrap_or_default())
        });
        let stranger = || Client::connect_from("127.0.0.2:0", server.address);
        let mut held = [server.connect(), server.connect()];
        for client in &mut held {
            assert_eq!(client.ask(get("/")).text(), "127.0.0.1");
        }
        check_turned_away(server.connect());
        assert_eq!(stranger().ask(get("/")).text(), "127.0.0.2");
        let [first, mut second] = held;
        first.finish();
        until("a place that is free again", || (server.connect().ask(get("/")).status == 200).then_some(()));
        assert_eq!(second.ask(get("/")).status, 200, "nobody had to make room");
    }
}
