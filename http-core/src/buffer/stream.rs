//! A stream in a send queue: takes the chunks that the source of an application produces, and codes them.
//!
//! It never sends more bytes than the head has announced, and no trailers that could change the meaning of the message.

use super::{
    chunk_source::{Chunk, ChunkSource},
    segment::FileSlice,
};
use crate::{
    codec::{chunked, framing::BodyLength},
    types::{
        headers::Headers,
        panic::{CatchDrop, catch_panic},
    },
};
use std::{io, time::Instant};

/// Headers that no trailer may contain, besides those that [`Headers`] never contains: they frame or route the message,
/// authenticate it, control how it is processed, or describe its content (RFC 9110 §6.5.1).
const NOT_IN_TRAILERS: [&str; 25] = [
    "Age",
    "Authorization",
    "Cache-Control",
    "Content-Encoding",
    "Content-Range",
    "Content-Type",
    "Expect",
    "Expires",
    "Host",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Location",
    "Max-Forwards",
    "Pragma",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Range",
    "Retry-After",
    "Set-Cookie",
    "TE",
    "Vary",
    "WWW-Authenticate",
];

/// The rest of a stream in a send queue.
pub(crate) struct Stream {
    source: CatchDrop<Box<dyn ChunkSource>>,
    /// How the body is delimited. [`BodyLength::Exact`] is the number of bytes that the source has not produced yet.
    length: BodyLength,
    /// The last chunk, before it is coded. Kept so that its memory is used again.
    chunk: Vec<u8>,
    /// What the first call of the source has produced; `None` if it was pending, or after [`pull`](Stream::pull) has
    /// returned it.
    first: Option<io::Result<Pulled>>,
    /// The rest of a part of a file that the source produced, and the bytes after it.
    interrupted: Option<(FileSlice, &'static [u8])>,
}

/// What [`Stream::pull`] has taken from a source.
pub(super) enum Pulled {
    /// The next bytes to send.
    Bytes(Vec<u8>),
    /// The next bytes to send, perhaps none, then part of a file, then more bytes, perhaps none.
    File(Vec<u8>, FileSlice, &'static [u8]),
    /// Nothing: the next bytes do not exist yet.
    Pending,
    /// The last bytes to send, perhaps none.
    Last(Vec<u8>),
}

impl Stream {
    /// Begins a stream whose head has announced `length`, and takes the first bytes from the source.
    pub(super) fn new(source: Box<dyn ChunkSource>, length: BodyLength) -> Stream {
        let source = CatchDrop::new(source);
        let mut stream = Stream { source, length, chunk: Vec::new(), first: None, interrupted: None };
        stream.first = Some(stream.pull()).filter(|first| !matches!(first, Ok(Pulled::Pending)));
        stream
    }

    /// Returns whether the next [`pull`](Stream::pull) will not be pending.
    pub(super) fn is_ready(&self) -> bool {
        self.first.is_some()
    }

    /// Takes back the rest of a part of a file, and the bytes after it.
    pub(super) fn interrupt(&mut self, rest: FileSlice, after: &'static [u8]) {
        self.interrupted = Some((rest, after));
    }

    /// Takes the next bytes from the source, and codes them. Catches its panics.
    ///
    /// # Errors
    ///
    /// The source fails or panics, or produces what cannot be sent. It is not called any more.
    pub(super) fn pull(&mut self) -> io::Result<Pulled> {
        if let Some(first) = self.first.take() {
            return first;
        }
        let pulled = catch_panic(|| self.next()).unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        if let (Err(error), Some(source)) = (&pulled, self.source.get_mut()) {
            let _ = catch_panic(|| source.failed(error));
        }
        pulled
    }

    /// Returns when the source asks to be called again. Catches its panic.
    pub(super) fn resume_at(&mut self) -> Option<Instant> {
        let source = self.source.get_mut()?;
        catch_panic(|| source.resume_at()).ok().flatten()
    }

    fn next(&mut self) -> io::Result<Pulled> {
        let Some(source) = self.source.get_mut() else { return Ok(Pulled::Last(Vec::new())) };
        if let Some((rest, after)) = self.interrupted.take() {
            if source.can_resume(&rest)? {
                return Ok(Pulled::File(Vec::new(), rest, after));
            }
            self.interrupted = Some((rest, after));
            return Ok(Pulled::Pending);
        }
        self.chunk.clear();
        let next = source.next_chunk(&mut self.chunk)?;
        let in_file = match &next {
            // Asking again at once could go on for ever.
            Chunk::Data if self.chunk.is_empty() => return Err(io::Error::other("Chunk::Data without data")),
            Chunk::File(FileSlice { len: 0, .. }) => {
                return Err(io::Error::other("Chunk::File without data"));
            }
            Chunk::File(slice) => slice.len,
            _ => 0,
        };
        if let BodyLength::Exact(left) = &mut self.length {
            let rest = left.checked_sub(self.chunk.len() as u64).and_then(|rest| rest.checked_sub(in_file));
            *left = rest.ok_or_else(|| io::Error::other("the body is longer than its stated length"))?;
            if next == Chunk::End && *left > 0 {
                let error = format!("the body ends {left} bytes before its stated length");
                return Err(io::Error::other(error));
            }
        }
        let mut bytes = Vec::new();
        if self.length != BodyLength::Chunked {
            bytes = std::mem::take(&mut self.chunk);
        } else if !self.chunk.is_empty() {
            bytes.reserve_exact(self.chunk.len() + 16);
            chunked::encode_chunk(&self.chunk, &mut bytes);
        }
        match next {
            Chunk::End => {
                if self.length == BodyLength::Chunked {
                    let trailers = source.trailers();
                    check_trailers(&trailers)?;
                    chunked::encode_end(trailers.as_bytes(), &mut bytes);
                }
                Ok(Pulled::Last(bytes))
            }
            Chunk::File(slice) if self.length == BodyLength::Chunked => {
                chunked::encode_size(slice.len, &mut bytes);
                Ok(Pulled::File(bytes, slice, chunked::CHUNK_END))
            }
            Chunk::File(slice) => Ok(Pulled::File(bytes, slice, &[])),
            _ if bytes.is_empty() => {
                // The wait may be long, and many streams may wait.
                self.chunk = Vec::new();
                Ok(Pulled::Pending)
            }
            _ => Ok(Pulled::Bytes(bytes)),
        }
    }
}

/// Checks that all of `trailers` may follow a body.
fn check_trailers(trailers: &Headers) -> io::Result<()> {
    match NOT_IN_TRAILERS.iter().find(|name| trailers.get(name).is_some()) {
        Some(name) => Err(io::Error::other(format!("the header {name} is not allowed in trailers"))),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        buffer::send_queue::{
            SendQueue,
            tests::{drain, file_slice},
        },
        types::panic::PanicOnDrop,
    };
    use std::{
        panic::resume_unwind,
        sync::mpsc::{Receiver, Sender, channel},
    };

    /// A source with one result of `next_chunk` for each word. A word ends with `?` if the stream is pending then, and
    /// with `.` if it ends; `!` is an error, and `panic` a panic. Part of a file follows a `/` as `offset+len`. What
    /// follows `#` is the name of a trailer. Dropping the source panics.
    struct Script {
        words: std::str::Split<'static, char>,
        trailer: Option<&'static str>,
        failures: Sender<String>,
        _panics: PanicOnDrop,
    }

    impl ChunkSource for Script {
        fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
            let word = self.words.next().expect("a call after the end of the stream");
            let (word, part) = word.split_once('/').map_or((word, None), |(word, part)| (word, Some(part)));
            let text = word.trim_end_matches(['?', '.']);
            match text {
                "!" => return Err(io::ErrorKind::Other.into()),
                "panic" => resume_unwind(Box::new(PanicOnDrop(2))),
                _ => chunk.extend_from_slice(text.as_bytes()),
            }
            if let Some((offset, len)) = part.and_then(|part| part.split_once('+')) {
                let number = |text: &str| text.parse().expect("a number");
                return Ok(Chunk::File(file_slice(number(offset), number(len))));
            }
            Ok(match word.as_bytes().last() {
                Some(b'?') => Chunk::Pending,
                Some(b'.') => Chunk::End,
                _ => Chunk::Data,
            })
        }

        fn trailers(&mut self) -> Headers {
            let mut trailers = Headers::default();
            if let Some(name) = self.trailer {
                trailers.append(name, "1").expect("a valid header");
            }
            trailers
        }

        fn failed(&mut self, error: &io::Error) {
            self.failures.send(error.to_string()).expect("a receiver");
            resume_unwind(Box::new(PanicOnDrop(2)));
        }
    }

    /// Queues a stream. Returns the failures that its source receives.
    pub(in crate::buffer) fn push_stream(
        queue: &mut SendQueue,
        script: &'static str,
        length: BodyLength,
    ) -> Receiver<String> {
        let (words, trailer) =
            script.split_once('#').map_or((script, None), |(words, name)| (words, Some(name)));
        let (failures, received) = channel();
        let script = Script { words: words.split(' '), trailer, failures, _panics: PanicOnDrop(2) };
        queue.push_stream(Box::new(script), length);
        received
    }

    /// `expected` is what a queue with this stream sends. A word of `script` is a result of the source.
    fn check_stream(script: &'static str, length: BodyLength, expected: &str) {
        for step in [1, 3, usize::MAX] {
            let mut queue = SendQueue::default();
            let failures = push_stream(&mut queue, script, length);
            assert!(queue.has_stream());
            assert_eq!(drain(&mut queue, step), expected, "{script}");
            assert!(!queue.has_stream() && queue.is_empty(), "{script}");
            let failed = failures.iter().next().map(|error| format!("<{error}>"));
            let end =
                expected.rfind('<').filter(|_| expected.ends_with('>') && !expected.ends_with("pending>"));
            assert_eq!(failed.as_deref(), end.map(|from| &expected[from..]), "{script}");
        }
    }

    #[test]
    fn a_stream_produces_chunks_as_they_are_sent() {
        use BodyLength::{Chunked, UntilClose};
        check_stream("one three .", Chunked, "3\r\none\r\n5\r\nthree\r\n0\r\n\r\n");
        check_stream("one three.", Chunked, "3\r\none\r\n5\r\nthree\r\n0\r\n\r\n");
        check_stream("one three .", UntilClose, "onethree");
        check_stream("one ? ? three? .", UntilClose, "one<pending><pending>three");
        check_stream(".", Chunked, "0\r\n\r\n");
        check_stream(".", UntilClose, "");
        check_stream("one !", Chunked, "3\r\none\r\n<other error>");
        check_stream("one panic", Chunked, "3\r\none\r\n<the application's code panicked>");
        check_stream(" ", Chunked, "<Chunk::Data without data>");
    }

    #[test]
    fn a_stream_of_known_length_never_sends_more() {
        use BodyLength::Exact;
        check_stream("one three .", Exact(8), "onethree");
        check_stream("one? ? three. ", Exact(8), "one<pending>three");
        check_stream(".", Exact(0), "");
        check_stream("a.", Exact(0), "<the body is longer than its stated length>");
        check_stream("one three .", Exact(7), "one<the body is longer than its stated length>");
        check_stream("one a .", Exact(3), "one<the body is longer than its stated length>");
        check_stream("one three .", Exact(10), "onethree<the body ends 2 bytes before its stated length>");
        check_stream("one three.", Exact(9), "one<the body ends 1 bytes before its stated length>");
    }

    #[test]
    fn a_stream_sends_parts_of_files_between_chunks() {
        use BodyLength::{Chunked, Exact, UntilClose};
        let alternating = "one /5+3 ? two/8+12 /0+1 ? .";
        let chunks = [
            "3\r\none\r\n3\r\n567\r\n<pending>3\r\ntwo\r\nc\r\n890123456789\r\n",
            "1\r\n0\r\n<pending>0\r\n\r\n",
        ];
        check_stream(alternating, Chunked, &chunks.concat());
        for length in [UntilClose, Exact(22)] {
            check_stream(alternating, length, "one567<pending>two8901234567890<pending>");
        }
        check_stream("/5+3 !", Chunked, "3\r\n567\r\n<other error>");
        check_stream("/5+3 .", Exact(2), "<the body is longer than its stated length>");
        check_stream("one/5+3 .", Exact(5), "<the body is longer than its stated length>");
        check_stream("/5+3 one .", Exact(3), "567<the body is longer than its stated length>");
        check_stream("/5+3 .", Exact(4), "567<the body ends 1 bytes before its stated length>");
        check_stream("one/0+18446744073709551615 .", Exact(9), "<the body is longer than its stated length>");
        for length in [Chunked, UntilClose, Exact(0), Exact(3)] {
            check_stream("/5+0 .", length, "<Chunk::File without data>");
            check_stream("one/5+0 .", length, "<Chunk::File without data>");
        }
    }

    #[test]
    fn trailers_follow_a_chunked_body() {
        use BodyLength::{Chunked, Exact, UntilClose};
        check_stream("a.#X-Sum", Chunked, "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n");
        check_stream(".#Server-Timing", Chunked, "0\r\nServer-Timing: 1\r\n\r\n");
        check_stream("a.#X-Sum", Exact(1), "a");
        check_stream("a.#X-Sum", UntilClose, "a");
        for name in ["Host", "content-type", "Authorization", "te", "IF-MATCH", "Set-Cookie"] {
            let script: &'static str = String::leak(format!("a .#{name}"));
            for step in [1, usize::MAX] {
                let mut queue = SendQueue::default();
                let _failures = push_stream(&mut queue, script, Chunked);
                let sent = drain(&mut queue, step);
                assert!(sent.starts_with("1\r\na\r\n<the header "), "{sent}");
                assert!(sent.ends_with(" is not allowed in trailers>"), "{sent}");
            }
        }
    }
}
