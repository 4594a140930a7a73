//! Parsing and validating heads.

use benches::heads::HEADS;
use criterion::{Criterion, Throughput};
use http_core::{HeadIndex, Limits, Schemes, framing, head::ParseStatus};
use std::hint::black_box;

pub fn bench(criterion: &mut Criterion) {
    let limits = Limits::default();
    // Reused, as a connection reuses its own.
    let mut index = HeadIndex::default();
    let mut group = criterion.benchmark_group("parse");
    for (name, head) in HEADS {
        let bytes = head.as_bytes();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                index.reset();
                let progress = index.parse(black_box(bytes), &limits);
                assert_eq!(progress, Ok(ParseStatus::Complete(bytes.len())));
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("validate");
    for (name, head) in HEADS {
        let bytes = head.as_bytes();
        index.reset();
        index.parse(bytes, &limits).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| framing::validate(&mut index, black_box(bytes), Schemes::Http).unwrap());
        });
    }
    group.finish();
}
