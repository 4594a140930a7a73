//! What a request costs a file server between two system calls: received, answered by `Files`, and sent, by
//! `exchange::advance` and with memory where the socket would be.
//!
//! `cargo bench -p servers --bench advance`, with a name behind `--` for one alone: `-- advance/small`.

#![allow(clippy::expect_used, clippy::panic, reason = "a measurement of what went wrong is worth nothing")]

mod site;

use criterion::{Criterion, criterion_group, criterion_main};
use site::{SMALL_BYTES, Site, get};
use std::hint::black_box;

/// Files asked for one after the other: more than a processor's nearest caches hold.
const MANY: usize = 5_000;

fn bench(criterion: &mut Criterion) {
    let mut site = Site::new();
    for question in site.questions() {
        criterion.bench_function(&format!("advance/{}", question.name), |bencher| {
            bencher.iter(|| site.ask(black_box(&question.request)));
        });
    }
    let names: Vec<String> = (0..MANY).map(|number| format!("{number:04}.html")).collect();
    names.iter().for_each(|name| site.add(name, SMALL_BYTES));
    let requests: Vec<Vec<u8>> = names.iter().map(|name| get(&format!("/{name}"), "")).collect();
    requests.iter().for_each(|request| assert!(site.ask(request) > SMALL_BYTES));
    let mut next = requests.iter().cycle();
    criterion.bench_function("advance/one-of-5000", |bencher| {
        bencher.iter(|| next.next().map(|request| site.ask(black_box(request))));
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
