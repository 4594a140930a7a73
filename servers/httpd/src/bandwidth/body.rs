//! A body that is sent in pieces, each not before its time.
//!
//! The time of each piece is reserved when the piece before it is sent: the connections of a client form a queue, in
//! which they take turns. While a piece waits, the engine expects nothing of the client, and the body holds no more
//! memory than one that a slow client receives. The engine does not notice either that the client has left, so the
//! queue of a client is bounded.

use super::{Limits, rate::ByteRate};
use http_engine::{Body, Chunk, ChunkSource, FileSlice, Headers};
use std::{
    collections::VecDeque,
    io, mem,
    ops::Range,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

/// The longest queue of a client, as the time that its pieces take. Further responses to it get 503.
pub(super) const MAX_QUEUE: Duration = Duration::from_secs(10);

/// A body that is sent in pieces, each not before its time.
pub(super) struct LimitedBody {
    /// What can be sent next.
    parts: VecDeque<Part>,
    /// What produces further parts.
    source: Option<Box<dyn ChunkSource>>,
    /// Whether `source` has ended.
    has_ended: bool,
    /// How many bytes of all parts are not reserved yet; `None` if that is not known.
    left: Option<u64>,
    length: Option<u64>,
    limits: Arc<Limits>,
    /// The limit of this response.
    rate: Option<ByteRate>,
    /// When all bytes that are reserved so far are sent at `rate`.
    busy_until: Duration,
    /// The bytes that `rate` does not limit.
    free: u64,
    /// The key of the client in [`Limits::clients`]; `None` if no limit per client applies.
    client: Option<u64>,
    /// The piece that is sent next.
    reserved: Option<Reservation>,
}

/// A piece of a body whose time is reserved.
#[derive(Clone, Copy, Debug)]
struct Reservation {
    bytes: u64,
    at: Duration,
    /// Whether that time has come, so that the piece waits only for the source.
    is_due: bool,
}

/// A part of a body.
enum Part {
    /// This range of bytes in memory.
    Bytes(Box<dyn AsRef<[u8]> + Send>, Range<usize>),
    File(FileSlice),
}

impl Part {
    fn all(bytes: impl AsRef<[u8]> + Send + 'static) -> Part {
        let all = 0..bytes.as_ref().len();
        Part::Bytes(Box::new(bytes), all)
    }

    fn len(&self) -> u64 {
        match self {
            Part::Bytes(_, range) => range.len() as u64,
            Part::File(slice) => slice.len,
        }
    }
}

impl LimitedBody {
    /// Limits a body.
    ///
    /// # Errors
    ///
    /// Returns a body that a thread reads. (The file server has none.)
    pub(super) fn new(
        body: Body,
        length: Option<u64>,
        limits: Arc<Limits>,
        rate: Option<ByteRate>,
        client: Option<u64>,
    ) -> Result<LimitedBody, Body> {
        let (mut parts, mut source) = (VecDeque::new(), None);
        match body {
            Body::Stream(stream) => source = Some(stream),
            body => add_parts(body, &mut parts)?,
        }
        parts.retain(|part| part.len() > 0);
        let free = limits.options.after;
        Ok(LimitedBody {
            parts,
            source,
            has_ended: false,
            left: length,
            length,
            limits,
            rate,
            busy_until: Duration::ZERO,
            free,
            client,
            reserved: None,
        })
    }

    /// Reserves the time of the first piece. Returns whether the queue of the client has room for it.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        self.reserved = self.reserve(now, MAX_QUEUE);
        self.reserved.is_some()
    }

    /// As [`ChunkSource::next_chunk`], at the time `now`.
    fn next(&mut self, chunk: &mut Vec<u8>, now: Duration) -> io::Result<Chunk> {
        if self.parts.is_empty()
            && let Some(next) = self.pull(chunk)?
        {
            return Ok(next);
        }
        let Some(part) = self.parts.front().map(Part::len) else { return Ok(Chunk::End) };
        let Some(reserved) = self.reserved.or_else(|| self.reserve(now, Duration::MAX)) else {
            return Ok(Chunk::End);
        };
        // The kernel may have dropped the part of the file from its cache while the piece waited.
        let (is_due, bytes) = (reserved.at <= now, reserved.bytes.min(part));
        let can_send = is_due && self.can_send(bytes)?;
        let left = if can_send { reserved.bytes - bytes } else { reserved.bytes };
        self.reserved = (left > 0).then_some(Reservation { bytes: left, is_due, ..reserved });
        Ok(if can_send { self.take(bytes, chunk) } else { Chunk::Pending })
    }

    /// Takes parts from the source. Returns what follows if it has none.
    fn pull(&mut self, chunk: &mut Vec<u8>) -> io::Result<Option<Chunk>> {
        let Some(source) = self.source.as_mut().filter(|_| !self.has_ended) else { return Ok(None) };
        let next = source.next_chunk(chunk)?;
        self.has_ended = next == Chunk::End;
        if !chunk.is_empty() {
            self.parts.push_back(Part::all(mem::take(chunk)));
        }
        Ok(match next {
            Chunk::File(slice) => {
                self.parts.push_back(Part::File(slice));
                None
            }
            next if self.parts.is_empty() => Some(next),
            _ => None,
        })
    }

    /// Reserves the time of a piece, which may consist of several parts: so all pieces but the last have the same
    /// length. Returns `None` if the queue of the client takes longer than `max_queue`.
    fn reserve(&mut self, now: Duration, max_queue: Duration) -> Option<Reservation> {
        // The engine rejects a source that has more than it says.
        let mut bytes = self.left.filter(|left| *left > 0).unwrap_or(u64::MAX);
        if let Some(rate) = self.rate {
            bytes = bytes.min(self.free.saturating_add(rate.piece()));
        }
        let mut at = now;
        if let Some(((rate, clients), client)) = self.limits.clients.as_ref().zip(self.client) {
            bytes = bytes.min(rate.piece());
            at = clients.update(client, |busy_until| {
                let has_room = busy_until.saturating_sub(now) <= max_queue;
                has_room.then(|| rate.reserve(busy_until, bytes, now))
            })?;
        }
        if let Some(rate) = self.rate {
            at = at.max(rate.reserve(&mut self.busy_until, bytes.saturating_sub(self.free), now));
        }
        self.free = self.free.saturating_sub(bytes);
        self.left = self.left.map(|left| left.saturating_sub(bytes));
        Some(Reservation { bytes, at, is_due: false })
    }

    /// Returns whether the first `count` bytes of the first part can be sent without waiting for a disk. If not, the
    /// source calls its waker.
    fn can_send(&mut self, count: u64) -> io::Result<bool> {
        match (self.parts.front(), &mut self.source) {
            (Some(Part::File(slice)), Some(source)) => source.can_resume(&beginning(slice, count)),
            _ => Ok(true),
        }
    }

    /// Removes the first `count` bytes from the first part, which has as many.
    fn take(&mut self, count: u64, chunk: &mut Vec<u8>) -> Chunk {
        let (next, is_last) = match self.parts.front_mut() {
            None => return Chunk::End,
            Some(Part::Bytes(bytes, range)) => {
                let taken = range.start..range.end.min(range.start + count as usize);
                range.start = taken.end;
                chunk.extend_from_slice(bytes.as_ref().as_ref().get(taken).unwrap_or_default());
                (Chunk::Data, range.start >= range.end)
            }
            Some(Part::File(slice)) => {
                let taken = beginning(slice, count);
                slice.offset += taken.len;
                slice.len -= taken.len;
                (Chunk::File(taken), slice.len == 0)
            }
        };
        if is_last {
            self.parts.pop_front();
        }
        next
    }
}

/// Returns the first `count` bytes of a part of a file, or all if it has fewer.
fn beginning(slice: &FileSlice, count: u64) -> FileSlice {
    FileSlice { len: count.min(slice.len), ..slice.clone() }
}

/// Adds the parts of a body.
///
/// # Errors
///
/// Returns a body that is neither in memory nor in a file.
fn add_parts(body: Body, parts: &mut VecDeque<Part>) -> Result<(), Body> {
    match body {
        Body::Empty => {}
        Body::Static(bytes) => parts.push_back(Part::all(bytes)),
        Body::Bytes(bytes) => parts.push_back(Part::all(bytes)),
        Body::Shared(bytes, range) => parts.push_back(Part::Bytes(Box::new(bytes), range)),
        Body::File(slice) => parts.push_back(Part::File(slice)),
        Body::Parts(bodies) => bodies.into_iter().try_for_each(|body| add_parts(body, parts))?,
        body => return Err(body),
    }
    Ok(())
}

impl ChunkSource for LimitedBody {
    fn length(&self) -> Option<u64> {
        self.length
    }

    fn start(&mut self, waker: Waker) {
        if let Some(source) = &mut self.source {
            source.start(waker);
        }
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        self.next(chunk, self.limits.now())
    }

    fn can_resume(&mut self, rest: &FileSlice) -> io::Result<bool> {
        self.source.as_mut().map_or(Ok(true), |source| source.can_resume(rest))
    }

    fn resume_at(&self) -> Option<Instant> {
        match self.reserved.filter(|reserved| !reserved.is_due && !self.parts.is_empty()) {
            Some(reserved) => self.limits.start.checked_add(reserved.at),
            None => self.source.as_ref().and_then(|source| source.resume_at()),
        }
    }

    fn trailers(&mut self) -> Headers {
        self.source.as_mut().map(|source| source.trailers()).unwrap_or_default()
    }

    fn failed(&mut self, error: &io::Error) {
        if let Some(source) = &mut self.source {
            source.failed(error);
        }
    }
}

/// A client that leaves does not take the time of its other connections.
impl Drop for LimitedBody {
    fn drop(&mut self) {
        if let (Some(reserved), Some((rate, clients)), Some(client)) =
            (self.reserved, &self.limits.clients, self.client)
        {
            let time = rate.time(reserved.bytes);
            clients.update(client, |busy_until| *busy_until = busy_until.saturating_sub(time));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::rate::client_key,
        bandwidth::{
            BandwidthOptions, LimitedHandler,
            rate::{BURST, Limit, PIECES_PER_SECOND},
        },
    };
    use http_engine::{Reply, Request, Response, Status, testing::TestRequest};
    use http_files::{HeaderRules, Options, SecurityHeaders};
    use proptest::prelude::*;
    use std::{cmp::Reverse, collections::BinaryHeap, fs::File, net::SocketAddr};

    fn limits(per_client: Option<u64>, after: u64) -> Arc<Limits> {
        let per_client = Limit(per_client.map(ByteRate));
        // A rule, because there are limits only with one.
        let rules = vec!["1K".parse().expect("a rule")];
        let options = BandwidthOptions { rules, after, per_client };
        Limits::new(&options, "").expect("limits")
    }

    fn limited_body(body: Body, limits: &Arc<Limits>, rate: Option<u64>, client: u64) -> LimitedBody {
        let length = body.len();
        LimitedBody::new(body, length, Arc::clone(limits), rate.map(ByteRate), Some(client))
            .expect("a source")
    }

    fn file(len: u64) -> Body {
        Body::File(FileSlice { file: Arc::new(File::open("/dev/null").expect("/dev/null")), offset: 7, len })
    }

    /// A body of memory, of two parts of a file, or of a stream of both.
    fn body(kind: usize, len: u64) -> Body {
        let half = len / 2;
        match kind {
            0 => vec![b'x'; len as usize].into(),
            1 => Body::Parts(vec![file(half), Body::Empty, file(len - half)]),
            _ => Body::Stream(Box::new(Script(vec![
                Step(len - half, Chunk::End),
                Step(0, Chunk::Pending),
                match file(half) {
                    Body::File(slice) if half > 0 => Step(0, Chunk::File(slice)),
                    _ => Step(0, Chunk::Pending),
                },
            ]))),
        }
    }

    /// The number of bytes in memory that a source produces, and what follows them.
    struct Step(u64, Chunk);

    /// A source with these results, the last one first.
    struct Script(Vec<Step>);

    impl ChunkSource for Script {
        fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
            let Step(bytes, next) = self.0.pop().ok_or_else(|| io::Error::other("no more"))?;
            chunk.resize(bytes as usize, b'x');
            Ok(next)
        }

        fn trailers(&mut self) -> Headers {
            let mut trailers = Headers::default();
            trailers.append("X-Sum", "1").expect("a valid header");
            trailers
        }
    }

    /// Sends bodies as an engine does, each `late` nanoseconds later than it asks for. Calls `sent` with the time, the
    /// number of the body and the number of its bytes sent so far. Returns when the last byte was sent.
    fn send(bodies: &mut [LimitedBody], late: u64, mut sent: impl FnMut(Duration, usize, u64)) -> Duration {
        let mut queue: BinaryHeap<_> =
            (0..bodies.len()).map(|number| Reverse((Duration::ZERO, number))).collect();
        let mut counts = vec![0; bodies.len()];
        let mut last = Duration::ZERO;
        while let Some(Reverse((now, number))) = queue.pop() {
            let mut chunk = Vec::new();
            let next = bodies[number].next(&mut chunk, now).expect("no failure");
            let bytes = chunk.len() as u64 + if let Chunk::File(slice) = &next { slice.len } else { 0 };
            if bytes > 0 {
                counts[number] += bytes;
                last = now;
                sent(now, number, counts[number]);
            }
            match (&next, bodies[number].reserved) {
                (Chunk::End, _) => continue,
                (Chunk::Pending, Some(reserved)) => {
                    queue.push(Reverse((reserved.at + Duration::from_nanos(late), number)));
                }
                (Chunk::Data, _) => assert!(bytes > 0, "a chunk without data"),
                _ => {}
            }
            if next != Chunk::Pending || bodies[number].reserved.is_none() {
                queue.push(Reverse((now, number)));
            }
        }
        last
    }

    /// The number of bytes that a limit permits in this time from its start.
    fn permitted(rate: u64, time: Duration) -> u64 {
        (u128::from(rate) * (time + BURST).as_nanos() / 1_000_000_000) as u64
    }

    proptest! {
        #[test]
        fn a_response_is_never_faster_and_always_complete(
            rate in prop_oneof![1024..100_000_u64, 1024..1_u64 << 40],
            quarters in 0..100_u64,
            rest in 0..1000_u64,
            after in prop_oneof![Just(0), 0..100_000_u64],
            kind in 0..3_usize,
            late in 0..400_000_000_u64,
        ) {
            let len = (quarters * rate / 4).min(1 << 20) + rest;
            let limits = limits(None, after);
            let mut bodies = [limited_body(body(kind, len), &limits, Some(rate), 1)];
            let mut total = 0;
            let end = send(&mut bodies, late, |now, _, sent| {
                assert!(sent <= after + permitted(rate, now), "{sent} bytes after {now:?}");
                total = sent;
            });
            prop_assert_eq!(total, len);
            // Not slower than needed either, unless each piece is later than a burst may be.
            if late < 100_000_000 {
                let needed = ByteRate(rate).time(len) + Duration::from_nanos(late + 1000);
                prop_assert!(end <= needed, "{end:?} instead of {needed:?}");
            }
        }

        #[test]
        fn the_connections_of_a_client_share_its_limit(
            rate in 1024..1_000_000_u64,
            lens in prop::collection::vec(1..200_000_u64, 1..6),
            own in prop::option::of(1024..1_000_000_u64),
            kind in 0..3_usize,
        ) {
            let limits = limits(Some(rate), 0);
            let mut bodies: Vec<_> =
                lens.iter().map(|len| limited_body(body(kind, *len), &limits, own, 1)).collect();
            let mut counts = vec![0; lens.len()];
            send(&mut bodies, 0, |now, number, sent| {
                counts[number] = sent;
                let total: u64 = counts.iter().sum();
                assert!(total <= permitted(rate, now), "{total} bytes after {now:?}");
                // They take turns.
                let unfinished = counts.iter().zip(&lens).filter(|(sent, len)| sent < len).map(|(sent, _)| *sent);
                let (least, most) = (unfinished.clone().min(), unfinished.max());
                let piece = rate.min(own.unwrap_or(rate)) / PIECES_PER_SECOND;
                if kind == 0 && let (Some(least), Some(most)) = (least, most) {
                    assert!(most - least <= 4 * piece, "{counts:?} with pieces of {piece} bytes");
                }
            });
            prop_assert_eq!(counts, lens);
        }
    }

    #[test]
    fn clients_do_not_wait_for_each_other() {
        let limits = limits(Some(1024), 0);
        let mut bodies = [1, 2, 0].map(|client| limited_body(body(0, 1024), &limits, None, client));
        assert_eq!(send(&mut bodies, 0, |_, _, _| ()), Duration::from_millis(750));
    }

    #[test]
    fn a_client_that_leaves_returns_what_it_has_reserved() {
        let limits = limits(Some(1024), 0);
        let reserved = || {
            let mut body = limited_body(body(0, 128), &limits, None, 1);
            let next = body.next(&mut Vec::new(), Duration::from_millis(1)).expect("a chunk");
            (body.reserved.map(|reserved| reserved.at.as_millis()), next, body)
        };
        let first = [(); 2].map(|()| reserved());
        assert!(first.iter().all(|(at, next, _)| at.is_none() && *next == Chunk::Data));
        // What was sent stays counted.
        drop(first);
        let (at, next, left) = reserved();
        assert_eq!((at, next), (Some(126), Chunk::Pending));
        let (at, _, _other) = reserved();
        assert_eq!(at, Some(251));
        drop(left);
        assert_eq!(reserved().0, Some(251));
    }

    #[test]
    fn the_queue_of_a_client_is_bounded() {
        let limits = limits(Some(1024), 0);
        let begin = |client: u64, now: Duration| {
            // The first piece is not shorter because the first part is.
            let parts = Body::Parts(vec![vec![b'x'; 5].into(), file(1024)]);
            let mut body = limited_body(parts, &limits, None, client);
            body.begin(now).then_some(body)
        };
        let now = Duration::from_secs(1);
        let mut bodies: Vec<_> = std::iter::from_fn(|| begin(1, now)).collect();
        assert_eq!(bodies.len(), 81);
        assert!(begin(2, now).is_some());
        // One more for each that leaves, and when the queue is shorter.
        bodies.truncate(80);
        assert!(begin(1, now).is_some() && begin(1, now + Duration::from_millis(125)).is_some());
        // Further pieces do not make the queue longer.
        send(&mut bodies, 0, |_, _, _| ());
        let wait = limits.clients.as_ref().map(|(_, clients)| clients.update(1, |busy_until| *busy_until));
        assert!(wait <= Some(now + ByteRate(1024).time(80 * 1029) + MAX_QUEUE), "{wait:?}");
    }

    #[test]
    fn a_response_for_which_the_queue_has_no_room_is_503() {
        let limits = limits(Some(1024), 0);
        let headers = HeaderRules::security(SecurityHeaders::Basic);
        let options = Arc::new(Options { headers, ..Options::default() });
        let handler = |request: &Request<'_>| match request.path() {
            "/empty" => Reply::Now(Response::new(Status::NOT_MODIFIED)),
            "/later" => Reply::deferred(|responder| responder.respond(Response::text("text"))),
            _ => Reply::Now(Response::text("text")),
        };
        let handler = LimitedHandler::new(Arc::clone(&limits), options, Arc::new(handler));
        let address: SocketAddr = "192.0.2.1:80".parse().expect("an address");
        let check = |path: &str, status: u16, retry_after: Option<&str>| {
            let response = TestRequest::get(path).client_addr(address).run(&handler);
            let actual = (response.status().code(), response.header("Retry-After"));
            assert_eq!(actual, (status, retry_after.map(str::as_bytes)), "{path}");
            let has_headers = response.header("X-Content-Type-Options").is_some();
            assert_eq!(has_headers, status == 503, "{path}");
        };
        check("/", 200, None);
        check("/later", 200, None);
        let now = limits.now();
        let begin = || {
            let mut body = limited_body(body(0, 1024), &limits, None, client_key(address.ip()));
            body.begin(now).then_some(body)
        };
        let bodies: Vec<_> = std::iter::from_fn(begin).collect();
        check("/", 503, Some("10"));
        check("/later", 503, Some("10"));
        check("/empty", 304, None);
        drop(bodies);
        check("/", 200, None);
    }

    #[test]
    fn a_source_says_when_it_has_more_and_what_is_wrong() {
        let limits = limits(None, 0);
        let script = Script(vec![Step(0, Chunk::Data), Step(3, Chunk::Pending), Step(0, Chunk::Pending)]);
        let mut body = limited_body(Body::Stream(Box::new(script)), &limits, Some(1024), 1);
        let mut next = || {
            let mut chunk = Vec::new();
            let next = body.next(&mut chunk, Duration::ZERO).map_err(|error| error.to_string());
            (next, chunk.len())
        };
        assert_eq!(next(), (Ok(Chunk::Pending), 0));
        assert_eq!(next(), (Ok(Chunk::Data), 3));
        // The engine rejects this.
        assert_eq!(next(), (Ok(Chunk::Data), 0));
        assert_eq!(next(), (Err("no more".to_owned()), 0));
        assert_eq!((body.resume_at(), body.trailers().get("X-Sum")), (None, Some(&b"1"[..])));
    }

    /// A source of part of a file, which is not in the page cache when it is asked first.
    struct Evicted(bool);

    impl ChunkSource for Evicted {
        fn next_chunk(&mut self, _: &mut Vec<u8>) -> io::Result<Chunk> {
            match file(1024) {
                Body::File(slice) => Ok(Chunk::File(slice)),
                _ => Ok(Chunk::End),
            }
        }

        fn can_resume(&mut self, rest: &FileSlice) -> io::Result<bool> {
            assert_eq!((rest.offset, rest.len), (7, 128));
            Ok(mem::replace(&mut self.0, true))
        }
    }

    #[test]
    fn a_source_is_asked_before_part_of_its_file_is_sent() {
        let mut body = limited_body(Body::Stream(Box::new(Evicted(false))), &limits(None, 0), Some(1024), 1);
        let mut next = || body.next(&mut Vec::new(), Duration::from_secs(1)).expect("no failure");
        assert_eq!(next(), Chunk::Pending);
        // It calls its waker.
        assert!(matches!(next(), Chunk::File(slice) if (slice.offset, slice.len) == (7, 128)));
        assert_eq!(body.resume_at(), None);
    }
}
