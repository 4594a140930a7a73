//! Whole exchanges: receive, poll, respond, transmit, sent. An engine adds only system calls.

use crate::server::Server;
use benches::heads::{BROWSER, HEADS, WRK};
use criterion::{Criterion, Throughput};
use std::hint::black_box;

/// The number of requests in one receive.
const PIPELINED: usize = 16;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    let mut check = |name: &str, receives: &[&[u8]], requests: usize| {
        let mut server = Server::default();
        group.throughput(Throughput::Elements(requests as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let served = receives.iter().map(|bytes| server.turn(black_box(bytes)).0);
                assert_eq!(served.sum::<usize>(), requests);
            });
        });
    };
    // The request of ApacheBench is HTTP/1.0 and closes the connection.
    for (name, head) in HEADS.into_iter().filter(|(name, _)| *name != "ab") {
        check(name, &[head.as_bytes()], 1);
    }
    check("pipelined-by-16", &[WRK.repeat(PIPELINED).as_bytes()], PIPELINED);
    let (first, second) = BROWSER.as_bytes().split_at(BROWSER.len() / 2);
    check("in-two-pieces", &[first, second], 1);
}
