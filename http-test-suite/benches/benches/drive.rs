//! Measures the time that a file server spends on a request between two system calls: parse, handle, encode, queue.
//!
//! Run all cases with `cargo bench -p benches --bench drive`, and one case with
//! `cargo bench -p benches --bench drive -- drive/small`.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure must end the measurement")]

use benches::memory_server::{MemoryServer, PREFIX, SMALL_LEN, get};
use criterion::{Criterion, criterion_group, criterion_main};
use http_files::Options;
use std::hint::black_box;

/// The number of files that the case `one-of-5000` requests in turn: their documents do not fit into the level 1 and 2
/// caches of a processor.
const MANY_FILES: usize = 5_000;

/// Measures each [`Case`](benches::memory_server::Case), then requests for many different files.
fn bench(criterion: &mut Criterion) {
    let mut server = MemoryServer::new(Options::default());
    for case in server.cases() {
        criterion.bench_function(&format!("{PREFIX}/{}", case.name), |bencher| {
            bencher.iter(|| server.exchange(black_box(&case.request)));
        });
    }
    let names: Vec<String> = (0..MANY_FILES).map(|number| format!("{number:04}.html")).collect();
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
