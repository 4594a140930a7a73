//! Normalising paths. A connection does it only for those that are not normalised already.

use criterion::{Criterion, Throughput};
use http_core::path;
use std::hint::black_box;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path");
    for (name, raw, expected) in [
        ("plain", "/index.html", "/index.html"),
        (
            "deep",
            "/library/fonts/serif/italic/garamond-500.woff2",
            "/library/fonts/serif/italic/garamond-500.woff2",
        ),
        ("escaped", "/caf%C3%A9/a%20name%20with%20spaces.txt", "/caf\u{e9}/a name with spaces.txt"),
        ("dotted", "/a/./b//../c/../d/file.txt", "/a/d/file.txt"),
    ] {
        let mut path = Vec::new();
        path::normalize(raw.as_bytes(), &mut path).unwrap();
        assert_eq!(path, expected.as_bytes());
        group.throughput(Throughput::Bytes(raw.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| path::normalize(black_box(raw.as_bytes()), &mut path).unwrap());
        });
    }
    group.finish();
}
