//! Requests with chunked bodies, decoded in the receive buffer.

use crate::server::Server;
use criterion::{Criterion, Throughput};
use std::hint::black_box;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked");
    for (name, body_bytes, chunk_bytes) in [
        ("1KiB-in-one", 1024, 1024),
        ("64KiB-by-16KiB", 64 * 1024, 16 * 1024),
        ("64KiB-by-1KiB", 64 * 1024, 1024),
        ("64KiB-by-64", 64 * 1024, 64),
    ] {
        let mut server = Server::default();
        let request = request(body_bytes, chunk_bytes);
        group.throughput(Throughput::Bytes(body_bytes as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(server.turn(black_box(&request)), (1, body_bytes)));
        });
    }
    group.finish();
}

fn request(body_bytes: usize, chunk_bytes: usize) -> Vec<u8> {
    let head = "POST /echo HTTP/1.1\r\nHost: localhost:8000\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{chunk_bytes:x}\r\n{}\r\n", "x".repeat(chunk_bytes));
    [head, &chunk.repeat(body_bytes / chunk_bytes), "0\r\n\r\n"].concat().into_bytes()
}
