//! The plans of the clients: what each requests, and how the application replies.

use super::TIMEOUTS;
use crate::sys::simulated::Random;
use http_core::FileSlice;
use std::{
    fs::File,
    io::Write,
    net::SocketAddr,
    ops::Range,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

/// The longest body or content.
pub(super) const MAX_LEN: usize = 12 * 1024 * 1024;

/// The bytes of all bodies and contents: that of the request `id` begins at `id % PERIOD`.
static BYTES: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..MAX_LEN + PERIOD).map(|at| (at % 251 + at / 251) as u8).collect());
const PERIOD: usize = 1009;

/// A file with these bytes.
static FILE: LazyLock<Arc<File>> = LazyLock::new(|| {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&BYTES).expect("room");
    Arc::new(file)
});

/// Returns the body of the response to the request `id`, and the content of the request.
pub(super) fn body(id: usize, len: usize) -> &'static [u8] {
    &BYTES[id % PERIOD..][..len]
}

/// The same bytes as part of a file.
pub(super) fn file(id: usize, len: usize) -> FileSlice {
    FileSlice { file: Arc::clone(&FILE), offset: (id % PERIOD) as u64, len: len as u64 }
}

/// How the application replies to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Now,
    /// A part of a file.
    Sendfile,
    Panics,
    After(Duration),
    Offload,
    OffloadPanics,
    Deferred,
    /// The responder is dropped.
    Unanswered,
    /// A body that another thread sends.
    Channel,
    /// The sender is dropped before the end of the body.
    BrokenChannel,
    /// A source that has nothing at times, and then calls its waker.
    Source,
    /// A source that names the time when it has more.
    Paced,
    /// A body that a streaming thread reads.
    Reader,
    /// Buffers the content.
    Buffer,
    /// Responds at the head, and drops the content.
    AtHead,
    /// Takes the content piece by piece, and then replies later.
    Sink,
    /// Reads the content on a streaming thread.
    Read,
    /// Echoes what the client sends.
    Upgrade,
}

impl Kind {
    /// Any kind, the common ones more often.
    pub(super) fn any(random: &mut Random) -> Kind {
        let delay = Duration::from_millis(random.below(400) as u64);
        match random.below(40) {
            0 => Kind::Panics,
            1 | 2 => Kind::Sendfile,
            3..=5 => Kind::After(delay),
            6 => Kind::After(TIMEOUTS.reply + delay),
            7..=9 => Kind::Offload,
            10 => Kind::OffloadPanics,
            11..=13 => Kind::Deferred,
            14 => Kind::Unanswered,
            15 | 16 => Kind::Channel,
            17 => Kind::BrokenChannel,
            18 => Kind::Source,
            19 => Kind::Paced,
            20 => Kind::Reader,
            21 | 22 => Kind::Buffer,
            23 => Kind::AtHead,
            24 | 25 => Kind::Sink,
            26 | 27 => Kind::Read,
            28 => Kind::Upgrade,
            _ => Kind::Now,
        }
    }

    /// Whether the request has content.
    pub(super) fn has_content(self) -> bool {
        matches!(self, Kind::Buffer | Kind::AtHead | Kind::Sink | Kind::Read)
    }

    /// Whether the reply needs a thread.
    pub(super) fn needs_thread(self) -> bool {
        matches!(self, Kind::Offload | Kind::OffloadPanics | Kind::Reader | Kind::Read | Kind::Upgrade)
    }

    /// Whether the application replies, or completes the body, later.
    pub(super) fn is_late(self) -> bool {
        match self {
            Kind::Now | Kind::Sendfile | Kind::Panics | Kind::Buffer | Kind::AtHead => false,
            // They owe something once they have the content, or a time.
            Kind::Sink | Kind::After(_) | Kind::Paced => false,
            _ => true,
        }
    }

    /// Whether the handler fails.
    pub(super) fn fails(self) -> bool {
        matches!(self, Kind::Panics | Kind::OffloadPanics | Kind::Unanswered)
    }
}

/// What a client has planned for one of its requests, and what has become of it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) client_addr: SocketAddr,
    /// The number of the connection.
    pub(super) connection: usize,
    /// The length of the body of the response.
    pub(super) len: usize,
    /// The length of the content of the request.
    pub(super) content: usize,
    /// Where in the bytes of the connection each piece of the content begins, and its length.
    pub(super) pieces: Vec<(usize, usize)>,
    /// Where in the bytes of the connection the request begins and ends.
    pub(super) span: Range<usize>,
    pub(super) is_head: bool,
    /// When the client has sent its first byte, and its last.
    pub(super) begun_at: Option<Instant>,
    pub(super) sent_at: Option<Instant>,
    pub(super) handled_at: Option<Instant>,
    /// Until when the application owes the rest of the response; `None` if it owes nothing.
    pub(super) owes_until: Option<Instant>,
}

impl Plan {
    /// A plan for the request `id` from `client_addr`, on the connection with this number. Appends the request to
    /// `bytes`, which are those of the connection.
    pub(super) fn new(
        (id, kind): (usize, Kind),
        connection: usize,
        client_addr: SocketAddr,
        bytes: &mut Vec<u8>,
        random: &mut Random,
    ) -> Plan {
        let mut plan = Plan {
            kind,
            client_addr,
            connection,
            len: length(kind, random),
            content: if kind.has_content() { length(kind, random) } else { 0 },
            pieces: Vec::new(),
            span: bytes.len()..0,
            is_head: !kind.has_content() && kind != Kind::Upgrade && random.one_in(16),
            begun_at: None,
            sent_at: None,
            handled_at: None,
            owes_until: None,
        };
        plan.write_head(id, bytes, random);
        plan.write_content(body(id, plan.content), bytes, random);
        plan.span.end = bytes.len();
        if kind == Kind::Upgrade {
            bytes.extend_from_slice(body(id, plan.len));
        }
        plan
    }

    /// Appends the head of the request `id` without its last lines.
    fn write_head(&self, id: usize, bytes: &mut Vec<u8>, random: &mut Random) {
        let method = match self.kind {
            kind if kind.has_content() => "POST",
            _ if self.is_head => "HEAD",
            _ => "GET",
        };
        // Writing to a vector cannot fail.
        let _ = write!(bytes, "{method} /{id} HTTP/1.1\r\nHost: a\r\n");
        if random.one_in(32) {
            let _ = write!(bytes, "X-Padding: {:1$}.\r\n", "", random.up_to(6000));
        }
        if random.one_in(64) {
            bytes.extend_from_slice(b"Connection: close\r\n");
        }
        if self.kind == Kind::Upgrade {
            bytes.extend_from_slice(b"Connection: upgrade\r\nUpgrade: echo\r\n");
        }
    }

    /// Appends the end of the head, and the content: in chunks, or with its length.
    fn write_content(&mut self, content: &[u8], bytes: &mut Vec<u8>, random: &mut Random) {
        if !self.kind.has_content() {
            bytes.extend_from_slice(b"\r\n");
        } else if random.one_in(2) {
            let _ = write!(bytes, "Content-Length: {}\r\n\r\n", content.len());
            self.pieces.push((bytes.len(), content.len()));
            bytes.extend_from_slice(content);
        } else {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let mut rest = content;
            while !rest.is_empty() {
                // At most nine chunks: their framing has a limit.
                let least = content.len() / 8;
                let (chunk, next) = rest.split_at(random.up_to(rest.len()).max(least).min(rest.len()));
                let _ = write!(bytes, "{:x}\r\n", chunk.len());
                self.pieces.push((bytes.len(), chunk.len()));
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
                rest = next;
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Whether the content of the request `id` has these bytes at this place.
    pub(super) fn has_content_at(&self, id: usize, at: usize, bytes: &[u8]) -> bool {
        body(id, self.content).get(at..at + bytes.len()) == Some(bytes)
    }

    /// How many bytes of the content are among the first `count` bytes of the connection.
    pub(super) fn content_in(&self, count: usize) -> usize {
        self.pieces.iter().map(|(at, len)| count.saturating_sub(*at).min(*len)).sum()
    }
}

/// A length of a body or a content.
fn length(kind: Kind, random: &mut Random) -> usize {
    let most = match (random.below(100), kind) {
        (_, Kind::Upgrade) => 3000,
        (0, Kind::Reader) => 60_000,
        (0, _) => 400_000,
        (1..=4, _) => 20_000,
        _ => 200,
    };
    random.up_to(most)
}
