//! Limits how often a client may do something: a token bucket for each client address.

use super::times::Times;
use std::{
    net::IpAddr,
    str::FromStr,
    time::{Duration, Instant},
};

/// The maximum number of clients that a process remembers. Another one replaces the client that has used least of its
/// burst, which then starts with a full burst again. The table takes 1.6 MB.
const MAX_CLIENTS: usize = 65_536;

/// The largest number of requests in a period. Smaller intervals than 1 µs are not worth measuring.
const MAX_REQUESTS: u32 = 1_000_000;

/// A number of requests in a period, such as `10/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    requests: u32,
    period: Duration,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Rate, &'static str> {
        let (requests, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let digits = requests.bytes().all(|byte| byte.is_ascii_digit());
        let requests =
            requests.parse().ok().filter(|requests| digits && (1..=MAX_REQUESTS).contains(requests));
        let rate = requests.zip(seconds.map(Duration::from_secs));
        rate.map(|(requests, period)| Rate { requests, period })
            .ok_or("must be a number from 1 to 1000000, with a period if it is not a second: 10, 10/s, 300/m, 1000/h")
    }
}

/// The token buckets of all clients. An IPv6 client is the /64 network of its address.
///
/// A token bucket is kept as one time: the moment at which it is full again (GCRA).
pub struct RateLimit {
    /// The time in which one token comes.
    interval: Duration,
    /// The time in which an empty bucket becomes full.
    burst: Duration,
    /// The moment at which `clients` begin to count.
    start: Instant,
    /// When the bucket of each client is full again.
    clients: Times<u64>,
}

impl RateLimit {
    /// Creates a limit with full buckets. `burst` is the number of tokens in a full one: by default those of a period.
    pub fn new(rate: Rate, burst: Option<u32>) -> RateLimit {
        let interval = rate.period / rate.requests;
        RateLimit {
            interval,
            burst: interval.saturating_mul(burst.unwrap_or(rate.requests)),
            start: Instant::now(),
            clients: Times::new(MAX_CLIENTS),
        }
    }

    /// Takes a token from the bucket of a client. A client without an address, on a Unix socket, has no limit.
    ///
    /// # Errors
    ///
    /// How long the client must wait for the next token, if its bucket is empty.
    pub fn take(&self, client: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let Some(client) = client else { return Ok(()) };
        // Never zero, which means that the client is unknown.
        let now = now.saturating_duration_since(self.start) + Duration::from_nanos(1);
        self.clients.update(client_key(client), |full| {
            let next = now.max(*full) + self.interval;
            match next.checked_sub(now + self.burst) {
                Some(wait) if !wait.is_zero() => Err(wait),
                _ => {
                    *full = next;
                    Ok(())
                }
            }
        })
    }
}

/// Returns the key of a client: the first half of its IPv6 address, because networks give each customer at least a /64.
/// An IPv4 address becomes a key in `0:1::/32`, which no IPv6 client has (RFC 4291 §2.4: all clients have 2000::/3, or
/// local addresses with a 1 in the first bits, except `::1`).
pub fn client_key(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => 1 << 32 | u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn parses_rates() {
        let check = |text: &str, expected: Option<(u32, u64)>| {
            let rate = text.parse::<Rate>().ok();
            assert_eq!(rate.map(|rate| (rate.requests, rate.period.as_secs())), expected, "{text}");
        };
        check("10", Some((10, 1)));
        check("10/s", Some((10, 1)));
        check("300/m", Some((300, 60)));
        check("1000000/h", Some((1_000_000, 3600)));
        for text in
            ["", "0", "-1", "+1", "1.5", "10/", "/s", "10/d", "10/s/s", "10 /s", "1000001", "99999999999"]
        {
            check(text, None);
        }
    }

    /// Takes tokens of `10.0.0.1` at these milliseconds. Expects for each whether there was one, or the time to wait.
    fn check(rate: &str, burst: Option<u32>, takes: &[(u64, Result<(), u64>)]) {
        let limit = RateLimit::new(rate.parse().expect("a rate"), burst);
        for (number, (at, expected)) in takes.iter().enumerate() {
            let taken = limit.take(address("10.0.0.1"), limit.start + Duration::from_millis(*at));
            assert_eq!(taken, expected.map_err(Duration::from_millis), "take {number} at {at} ms");
        }
    }

    #[test]
    fn a_full_bucket_is_a_burst_and_then_tokens_come_one_by_one() {
        check(
            "2",
            None,
            &[(0, Ok(())), (0, Ok(())), (0, Err(500)), (499, Err(1)), (500, Ok(())), (500, Err(500))],
        );
        // It is never more than full.
        check("2", None, &[(0, Ok(())), (9000, Ok(())), (9000, Ok(())), (9000, Err(500))]);
        check("60/m", Some(1), &[(0, Ok(())), (0, Err(1000)), (1000, Ok(())), (1999, Err(1))]);
        check("1000000", Some(2), &[(0, Ok(())), (0, Ok(())), (1, Ok(()))]);
    }

    #[test]
    fn clients_have_buckets_of_their_own() {
        let limit = RateLimit::new("1/h".parse().expect("a rate"), Some(1));
        let check = |client: Option<IpAddr>, expected: bool| {
            assert_eq!(limit.take(client, limit.start).is_ok(), expected, "{client:?}");
        };
        check(address("10.0.0.1"), true);
        check(address("10.0.0.2"), true);
        check(address("10.0.0.1"), false);
        // The same address, as a socket for both families reports it.
        check(address("::ffff:10.0.0.1"), false);
        check(address("2001:db8:0:1::1"), true);
        check(address("2001:db8:0:1:ffff::2"), false);
        check(address("2001:db8:0:2::1"), true);
        check(address("::1"), true);
        // On a Unix socket.
        check(None, true);
        check(None, true);
    }

    #[test]
    fn a_hundred_thousand_clients_do_not_replace_a_busy_one() {
        let limit = RateLimit::new("1".parse().expect("a rate"), Some(10));
        let busy = address("192.0.2.1");
        (0..10).for_each(|_| limit.take(busy, limit.start).expect("a token"));
        for number in 0..100_000_u32 {
            let client = IpAddr::from((number + (10 << 24)).to_be_bytes());
            assert_eq!(limit.take(Some(client), limit.start), Ok(()), "{client}");
        }
        assert_eq!(limit.take(busy, limit.start), Err(Duration::from_secs(1)));
    }
}
