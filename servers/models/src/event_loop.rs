//! Models of the queue through which other threads reach an event loop.

#[path = "../../engine/src/event_loop/completions.rs"]
mod completions;

/// The names of connections.
mod connections {
    pub(super) type Key = u32;
}

use crate::{late::Outcome, pool::Pool, shutdown::Shutdown, stream::StreamSupport, threads::Threads};
use completions::{Completion, Completions, ConnectionWaker};
use http_core::Response;
use mio::{Events, Poll, Token};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// The event loop takes each completion once, under its key, those of one thread in order. It takes completions only
/// after an event, so an event must come. What a source wrote before it called its waker is seen with the completion of
/// that call, or with an earlier one.
pub fn completions_wake_the_event_loop() {
    const STREAM: u32 = 0;
    const WRITES: usize = 3;
    let mut poll = Poll::new().expect("descriptors");
    let completions = Completions::new(&poll, Token(0)).expect("a descriptor");
    let shutdown = Arc::new(Shutdown::new().expect("a descriptor"));
    let streaming = Pool::new("streaming", 1, 0, &Threads::new(64 * 1024, &shutdown));
    let support = ConnectionWaker { key: STREAM, completions: &completions, streaming: &streaming };
    let waker = support.waker().expect("a waker");
    let written = Arc::new(AtomicUsize::new(0));
    let mut threads: Vec<_> = [1, 2]
        .into_iter()
        .map(|key| {
            let sender = completions.sender();
            thread::spawn(move || {
                let outcome: Outcome = Ok(Response::text("done"));
                sender.send(key, outcome);
                sender.send_end(key);
            })
        })
        .collect();
    threads.extend([0, 1].map(|_| {
        let (waker, written) = (waker.clone(), Arc::clone(&written));
        thread::spawn(move || {
            for _ in 0..WRITES {
                written.fetch_add(1, SeqCst);
                waker.wake_by_ref();
            }
        })
    }));
    let (mut seen, mut taken, mut streams) = (0, [0; 2], 0);
    let mut events = Events::with_capacity(8);
    while seen < 2 * WRITES || taken != [2, 2] {
        poll.poll(&mut events, Some(Duration::ZERO)).expect("epoll works");
        if events.is_empty() {
            thread::yield_now();
            continue;
        }
        while let Some((key, completion)) = completions.next() {
            let position = match completion {
                Completion::Stream => {
                    assert_eq!(key, STREAM);
                    streams += 1;
                    seen = written.load(SeqCst);
                    continue;
                }
                Completion::Reply(outcome) => {
                    assert!(outcome.is_ok());
                    1
                }
                Completion::UpgradedEnd => 2,
            };
            let taken = &mut taken[key as usize - 1];
            assert_eq!(*taken + 1, position, "the completions of connection {key}");
            *taken = position;
        }
    }
    assert!(streams <= 2 * WRITES);
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}
