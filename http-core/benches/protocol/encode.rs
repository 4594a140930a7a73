//! Answers on their way into the send queue: nothing but a status, all of it made ready, fields of its own.

use crate::{
    heads::WRK,
    server::{Answer, answering, clock},
};
use criterion::{BatchSize, Criterion};
use http_core::{Response, SendQueue, Status};

/// Connections made at a time, each for one answer: enough to hide the timer, few enough to stay in the cache.
const BATCH: BatchSize = BatchSize::NumIterations(64);

pub fn bench(criterion: &mut Criterion) {
    let answer = Answer::default();
    let mut check = |name: &str, response: &dyn Fn() -> Response| {
        let clock = clock();
        let mut out = SendQueue::default();
        criterion.bench_function(&format!("encode/{name}"), |bencher| {
            bencher.iter_batched_ref(
                || answering(&clock, WRK.as_bytes()),
                |conn| {
                    conn.respond(response(), &mut out, &clock).unwrap();
                    assert!(out.pending() > 0);
                    out.clear();
                },
                BATCH,
            );
        });
    };
    check("bare", &|| Response::new(Status::NO_CONTENT));
    check("ready", &|| answer.shared());
    check("own-fields", &|| {
        Response::text("Hello, World!")
            .with_header("Cache-Control", "no-store")
            .with_header("X-Request-Id", "2718281828")
    });
}
