//! Queueing responses: with a status only, with shared headers, with headers of their own.

use crate::server::{SharedResponse, awaiting_reply, clock};
use benches::heads::WRK;
use criterion::{BatchSize, Criterion};
use http_core::{Response, SendQueue, Status};

/// Connections created at once, each for one response: enough to hide the timer, few enough for the CPU cache.
const BATCH: BatchSize = BatchSize::NumIterations(64);

pub fn bench(criterion: &mut Criterion) {
    let shared = SharedResponse::default();
    let mut check = |name: &str, response: &dyn Fn() -> Response| {
        let clock = clock();
        let mut out = SendQueue::default();
        criterion.bench_function(&format!("encode/{name}"), |bencher| {
            bencher.iter_batched_ref(
                || awaiting_reply(&clock, WRK.as_bytes()),
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
    check("shared-headers", &|| shared.response());
    check("own-headers", &|| {
        Response::text("Hello, World!")
            .with_header("Cache-Control", "no-store")
            .with_header("X-Request-Id", "2718281828")
    });
}
