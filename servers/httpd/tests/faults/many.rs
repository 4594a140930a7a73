//! More connections than places, or than descriptors: some wait or are turned away, and the server goes on.

use crate::{
    client::{Client, get, until},
    program,
    program::Program,
    reply::{Asked, Reader},
    server::{Kind, Threads, settings},
    start,
    subject::{Subject, has_ended, plain},
};
use http_engine::Settings;
use http_engine::{Request, Response};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::{fs, net::TcpStream};

/// Descriptors that a process has left once they are made scarce.
const LEFT: usize = 24;

const PLACES: usize = 8;
const CROWD: usize = 200;

/// The processes that accept connections, and how many descriptors each has from now on.
fn make_scarce(kind: Kind, program: &Program) -> Vec<(Pid, usize)> {
    let workers = program.workers().into_iter().map(|(pid, _)| pid);
    let accepting = if kind.is_prefork() { workers.collect() } else { vec![program.pid()] };
    let limited = accepting.into_iter().map(|pid| {
        let limit = descriptors(pid) + LEFT;
        let both = Some(limit as u64);
        prlimit(Some(pid), Resource::Nofile, Rlimit { current: both, maximum: both }).expect("a lower limit");
        (pid, limit)
    });
    limited.collect()
}

fn descriptors(pid: Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a process of this test").count()
}

/// The status of the answer, if it has begun to arrive.
fn status_by_now(stream: &TcpStream) -> Option<u16> {
    stream.set_nonblocking(true).expect("a socket");
    let came = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).expect("a socket");
    came.then(|| Reader::new(stream).reply(Asked::Http11).expect("an answer").status)
}

/// Has a crowd come, each of whom asks for something and a half, and so stays busy. Yields those who were let in; all
/// others were told that there is no room.
fn crowd_in(subject: &Subject) -> Vec<TcpStream> {
    let crowd: Vec<TcpStream> =
        (0..CROWD).map(|_| plain(subject.address(), get("/notes.txt") + "GET / HT")).collect();
    let is_in = |(number, stream): (usize, TcpStream)| {
        let reply = Reader::new(&stream).reply(Asked::Http11);
        let reply = reply.unwrap_or_else(|fault| panic!("{fault}, number {number}"));
        if reply.status == 200 {
            return Some(stream);
        }
        assert_eq!((reply.status, reply.field("Retry-After"), reply.close), (503, Some("1"), true));
        None
    };
    crowd.into_iter().enumerate().filter_map(is_in).collect()
}

/// A place is free when its connection has come to its end, which nobody is told.
fn await_room(subject: &Subject) {
    until("a free place", || {
        let reply = subject.connect().ask_again(get("/notes.txt"));
        reply.is_ok_and(|reply| reply.status == 200).then_some(())
    });
}

http_testing::both_engines! {
    fn descriptors_that_run_out(kind: Kind) {
        let subject = start(kind);
        let scarce = make_scarce(kind, &subject.program);
        let newcomer = |_| plain(subject.address(), get("/notes.txt"));
        let mut crowd: Vec<TcpStream> = (0..4 * LEFT).map(newcomer).collect();
        until("nothing is left", || {
            scarce.iter().all(|(pid, limit)| descriptors(*pid) >= *limit).then_some(())
        });
        subject.is_calm("without descriptors");
        // Who was let in and has gone makes room for who waits. One that takes the last descriptor may find none for
        // the file, and is told 503; none is forgotten.
        let mut told = [0, 0];
        until("all have been let in", || {
            crowd.retain(|stream| match status_by_now(stream) {
                None => true,
                Some(status) => {
                    assert!(matches!(status, 200 | 503), "{status}");
                    told[usize::from(status == 503)] += 1;
                    false
                }
            });
            crowd.is_empty().then_some(())
        });
        eprintln!("{kind:?}, without descriptors: 200 for {}, 503 for {}", told[0], told[1]);
        subject.recovers();
    }

    fn more_connections_than_places(kind: Kind) {
        let limit = PLACES.to_string();
        let arguments = [kind.arguments(), &["--max-connections", &limit]].concat();
        let subject = Subject::of(kind, "/notes.txt", || program::serve(&arguments));
        let busy = crowd_in(&subject);
        assert!((1..=PLACES).contains(&busy.len()), "{} of {CROWD} were let in", busy.len());
        subject.is_calm("all places are busy");
        drop(busy);
        await_room(&subject);
        subject.recovers();
    }

    fn more_connections_than_one_address_may_have(kind: Kind) {
        let limit = PLACES.to_string();
        let arguments = [kind.arguments(), &["--max-connections-per-ip", &limit]].concat();
        let subject = Subject::of(kind, "/notes.txt", || program::serve(&arguments));
        let busy = crowd_in(&subject);
        // Each process counts by itself.
        let most = PLACES * if kind.is_prefork() { 2 } else { 1 };
        assert!((PLACES..=most).contains(&busy.len()), "{} of {CROWD} were let in", busy.len());
        let mut stranger = Client::connect_from("127.0.0.2:0", subject.address());
        assert_eq!(stranger.ask(get("/notes.txt")).text(), "notes\n");
        stranger.finish();
        drop(busy);
        await_room(&subject);
        subject.recovers();
    }
}

http_testing::both_engines! {
    fn a_crowd_where_all_places_are_idle(engine: Engine) {
        let settings = Settings { workers: 1, max_connections: Some(PLACES), ..settings() };
        let server = Threads::start(engine, settings, |_: &Request<'_>| Response::text("here"));
        let mut turned_away = 0;
        let crowd: Vec<Client> = (0..CROWD)
            .map(|_| {
                let mut client = server.connect();
                turned_away += usize::from(client.ask(get("/")).status == 503);
                client
            })
            .collect();
        // A thread calls itself idle a moment after its answer has arrived, so now and then it cannot make room.
        assert!(turned_away < CROWD / 2, "{turned_away} of {CROWD} found nobody who made room");
        until("no more than there are places for stay", || {
            let open = crowd.iter().filter(|client| !has_ended(&client.stream));
            (open.count() <= PLACES).then_some(())
        });
    }
}
