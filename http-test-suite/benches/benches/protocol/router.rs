//! Looking up routes: among 10 and among 10,000, with and without a parameter. `one` looks up the same path again and
//! again, `all` 10,000 paths that use all routes in turn: then the routes are not in the processor's nearest cache.

use criterion::Criterion;
use http_core::{Handler, OwnedRequest, Router, testing::ReceivedRequest};
use std::{hint::black_box, time::Instant};

/// The number of requests in `all`.
const REQUESTS: usize = 10_000;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("router");
    for count in [10, 10_000] {
        for (kind, end, value) in [("literal", "", ""), ("parameter", "/{id}/photo", "/7/photo")] {
            // Neighbours in the tables are no neighbours in the order of requests.
            let path = |number: usize| format!("/api/v1/resource-{}", number * 7919 % count);
            let routes = (0..count).fold(Router::builder(), |routes, number| {
                routes.get(&(path(number) + end), |request| {
                    request.param("id").is_some_and(|id| id == "7").then_some(())
                })
            });
            let router = routes.build().unwrap();
            let requests: Vec<OwnedRequest> =
                (0..REQUESTS).map(|number| receive(&(path(number) + value))).collect();
            group.bench_function(format!("one-of-{count}/{kind}"), |bencher| {
                bencher.iter(|| router.admit(&black_box(&requests[0]).as_request()));
            });
            let mut requests = requests.iter().cycle();
            group.bench_function(format!("all-of-{count}/{kind}"), |bencher| {
                bencher.iter(|| requests.next().map(|request| router.admit(&request.as_request())));
            });
        }
    }
    group.finish();
}

/// Receives a GET request with this path.
fn receive(path: &str) -> OwnedRequest {
    let head = format!("GET {path} HTTP/1.1\r\nHost: example.org\r\n\r\n");
    ReceivedRequest::new(head.as_bytes(), Instant::now()).unwrap().as_request().to_owned()
}
