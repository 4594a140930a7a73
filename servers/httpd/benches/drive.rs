//! Measures what a file server does for a request between two system calls: parse, handle, encode, queue.
//!
//! `cargo bench -p httpd --bench drive`, or `cargo bench -p httpd --bench drive -- drive/small` for one case.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure must end the measurement")]

mod memory_server;

use criterion::{Criterion, criterion_group, criterion_main};
use memory_server::{MemoryServer, PREFIX, SMALL_LEN, get};
use std::hint::black_box;

/// Files requested in turn: more than the nearest caches of a processor hold.
const MANY: usize = 5_000;

fn bench(criterion: &mut Criterion) {
    let mut server = MemoryServer::new();
    for case in server.cases() {
        criterion.bench_function(&format!("{PREFIX}/{}", case.name), |bencher| {
            bencher.iter(|| server.exchange(black_box(&case.request)));
        });
    }
    let names: Vec<String> = (0..MANY).map(|number| format!("{number:04}.html")).collect();
    names.iter().for_each(|name| server.add_file(name, SMALL_LEN));
    let requests: Vec<Vec<u8>> = names.iter().map(|name| get(&format!("/{name}"), "")).collect();
    requests.iter().for_each(|request| assert!(server.exchange(request) > SMALL_LEN));
    let mut next = requests.iter().cycle();
    criterion.bench_function(&format!("{PREFIX}/one-of-5000"), |bencher| {
        bencher.iter(|| next.next().map(|request| server.exchange(black_box(request))));
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
