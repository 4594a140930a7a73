//! Limits and timeouts at the ends of their ranges: whatever they are, no request makes the connection panic or hang.

use crate::{app::echo, drive::Drive};
use http_core::{Config, Limits, Timeouts};
use std::time::Duration;

/// A keep-alive request for each kind of body, a late reply and a stream, then a body that never ends.
const REQUESTS: [&str; 6] = [
    "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "GET /later HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
];

/// Sends [`REQUESTS`] in one piece and byte by byte. Must neither panic nor poll without progress.
fn check(config: &Config) {
    for size in [usize::MAX, 1] {
        let mut drive = Drive::new(config.clone(), echo);
        drive.send_split(REQUESTS.concat().as_bytes(), &[size]);
        drive.run();
        drive.pass(Duration::from_secs(1));
        drive.end();
        drive.run();
    }
}

#[test]
fn no_limit_makes_a_connection_panic_or_hang() {
    let fields: [fn(&mut Limits, usize); 6] = [
        |limits, value| limits.target_bytes = value,
        |limits, value| limits.head_bytes = value,
        |limits, value| limits.headers = value,
        |limits, value| limits.body_bytes = value,
        |limits, value| limits.chunk_overhead_bytes = value,
        |limits, value| limits.queued_bytes = value as u64,
    ];
    for set in fields {
        for value in [0, 1, usize::MAX - 1, usize::MAX] {
            let mut config = Config::default();
            set(&mut config.limits, value);
            check(&config);
        }
    }
}

#[test]
fn no_timeout_makes_a_connection_panic_or_hang() {
    let fields: [fn(&mut Timeouts, Duration); 6] = [
        |timeouts, value| timeouts.head = value,
        |timeouts, value| timeouts.body_idle = value,
        |timeouts, value| timeouts.reply = value,
        |timeouts, value| timeouts.write_stall = value,
        |timeouts, value| timeouts.idle = value,
        |timeouts, value| timeouts.linger = value,
    ];
    for set in fields {
        for value in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let mut config = Config::default();
            set(&mut config.timeouts, value);
            check(&config);
        }
    }
    let mut config = Config::default();
    (config.timeouts.body_rate, config.timeouts.send_rate) = (0, 0);
    check(&config);
}
