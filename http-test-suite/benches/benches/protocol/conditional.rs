//! Preconditions and ranges of a file.

use criterion::Criterion;
use http_core::{
    conditional::{self, Precondition, Validators},
    range::{self, Ranges},
};
use std::{
    hint::black_box,
    time::{Duration, SystemTime},
};

/// A file: its length, its entity tag, and its last modification in seconds since 1970 and as a date.
const LENGTH: u64 = 955_000;
const TAG: &str = "\"400-69b577463141592f\"";
const MODIFIED: u64 = 1_773_500_966;
const DATE: &str = "Sat, 14 Mar 2026 15:09:26 GMT";

pub fn bench(criterion: &mut Criterion) {
    preconditions(criterion);
    ranges(criterion);
}

fn preconditions(criterion: &mut Criterion) {
    let current = Validators {
        etag: Some(TAG),
        last_modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED)),
    };
    let list = format!("\"a\", \"b\", W/\"c\", \"d\", \"e\", \"f\", \"g\", {TAG}");
    let mut group = criterion.benchmark_group("conditional");
    for (name, header, value, expected) in [
        ("none", "Cookie", "night=yes", Precondition::Passed),
        ("tag", "If-None-Match", TAG, Precondition::NotModified),
        ("eight-tags", "If-None-Match", &list, Precondition::NotModified),
        ("date", "If-Modified-Since", DATE, Precondition::NotModified),
        ("older-tag", "If-Match", "\"3ff-69b5000011111111\"", Precondition::Failed),
    ] {
        // Among as many other headers as a browser sends.
        let mut headers = vec![("Accept-Language", &b"en-GB,en;q=0.9"[..]); 12];
        headers.push((header, value.as_bytes()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let result = conditional::evaluate(
                    true,
                    black_box(&headers).iter().copied(),
                    &current,
                    SystemTime::now,
                );
                assert_eq!(result, expected);
            });
        });
    }
    group.finish();
}

fn ranges(criterion: &mut Criterion) {
    let sixteen: Vec<String> = (0..16).map(|part| format!("{0}000-{0}499", part + 1)).collect();
    let sixteen = format!("bytes={}", sixteen.join(", "));
    let mut group = criterion.benchmark_group("range");
    for (name, value, parts) in
        [("one", "bytes=1000-1999", 1), ("suffix", "bytes=-500", 1), ("sixteen", &sixteen, 16)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let resolved = range::resolve(black_box(value.as_bytes()), LENGTH, 16);
                assert!(matches!(resolved, Ranges::Partial(ranges) if ranges.len() == parts));
            });
        });
    }
    group.finish();
}
