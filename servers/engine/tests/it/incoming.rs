//! Requests as a loop: what a program gets from `incoming`, and when its loops end.

use crate::{
    client::{Client, TIMEOUT, get, wait_for},
    server::settings,
};
use http_engine::{Engine, Exchange, Incoming, Server, Settings};
use std::{thread, time::Duration};

fn start(engine: Engine, settings: Settings) -> (Incoming, impl Fn(&str) -> Client) {
    let server = Server::bind("127.0.0.1:0").expect("a free port").settings(settings).engine(engine);
    let incoming = server.incoming().expect("an engine");
    let address = incoming.running().local_addr().expect("a TCP address");
    (incoming, move |path: &str| {
        let mut client = Client::connect(address);
        client.send(get(path));
        client
    })
}

fn next(incoming: &Incoming) -> Exchange {
    incoming.next_timeout(TIMEOUT).expect("a request")
}

http_testing::both_engines! {
    fn requests_are_answered_in_any_order(engine: Engine) {
        let (incoming, send) = start(engine, settings());
        assert!(incoming.try_next().is_none());
        let (mut first, mut second) = (send("/1"), send("/2"));
        let exchanges = [next(&incoming), next(&incoming)];
        for exchange in exchanges.into_iter().rev() {
            let path = exchange.request().path().to_owned();
            exchange.respond(path);
        }
        assert_eq!([first.response().text(), second.response().text()], ["/1", "/2"]);
    }

    fn a_dropped_exchange_is_a_500(engine: Engine) {
        let (incoming, send) = start(engine, settings());
        let mut client = send("/");
        drop(next(&incoming));
        assert_eq!(client.response().status, 500);
    }

    fn a_request_beyond_the_queue_gets_503(engine: Engine) {
        let (incoming, send) = start(engine, Settings { pool_queue: 1, ..settings() });
        let mut clients = [send("/"), send("/")];
        // One of them is in the queue; the other one has its response.
        let refused = wait_for("a response", || {
            let refused = clients.iter_mut().position(|client| client.has_received())?;
            Some(clients[refused].response().status)
        });
        assert_eq!(refused, 503);
        next(&incoming).respond("served");
    }

    /// A request in flight when the server stops is still served by the loops.
    fn several_loops_serve_and_end_with_the_server(engine: Engine) {
        let (incoming, send) = start(engine, settings());
        let stopper = incoming.running().stopper();
        thread::scope(|scope| {
            let serve = || (&incoming).map(|exchange| exchange.respond("served")).count();
            let loops = [scope.spawn(serve), scope.spawn(serve)];
            for _ in 0..8 {
                assert_eq!(send("/").response().text(), "served");
            }
            stopper.stop(TIMEOUT);
            let served = loops.map(|thread| thread.join().expect("a count")).iter().sum::<usize>();
            assert_eq!(served, 8);
        });
        assert!(incoming.next_timeout(Duration::from_secs(3600)).is_none(), "no wait after the end");
    }

    fn dropping_it_closes_the_connections(engine: Engine) {
        let (incoming, send) = start(engine, settings());
        let mut client = send("/");
        let exchange = next(&incoming);
        drop(incoming);
        client.expect_eof();
        wait_for("the end of the exchange", || exchange.is_closed().then_some(()));
    }
}
