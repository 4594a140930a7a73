//! The messages that all parsers and servers get: the suite's cases, http-core's fuzz seeds, and mutations of both. The
//! mutations are the same in every run.

use http_test_suite::{cases, exchange::Step};
use std::{fs, io, path::Path};

/// The longest message in bytes: with longer ones, only the limits would differ.
const LEN_MAX: usize = 4096;

/// The most mutations of a message.
const MUTATIONS_MAX: u64 = 3;

/// The first requests of connections on which the end of the content decides what follows.
const REQUESTS: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: test\r\n\r\n",
    "HEAD /a HTTP/1.1\r\nHost: test\r\n\r\n",
    "GET /a HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
    "GET http://test/a?b HTTP/1.1\r\nHost: test\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
    "POST /a HTTP/1.0\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 45\r\n\r\nGET /smuggled.txt HTTP/1.1\r\nHost: smuggled\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: test\r\nContent-Length: 45\r\n\r\nGET /smuggled.txt HTTP/1.1\r\nHost: smuggled\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
     3;a=b\r\nabc\r\n2;c=\"d\"\r\nde\r\n0\r\nX: y\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2d\r\n\
     GET /smuggled.txt HTTP/1.1\r\nHost: smuggled\r\n\r\n\r\n0\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
     GET /smuggled.txt HTTP/1.1\r\nHost: smuggled\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
];

/// Octets that a mutation inserts, or puts in place of others.
const OCTETS: &[&str] = &[
    "\r\n", "\n", "\r", "\r\r\n", "\n\n", "\r\n\r\n", "\r\n ", "\r\n\t", " ", "\t", "\0", "\x0b", "\x0c",
    "\x7f", "\u{80}", "\u{ff}", ",", ";", ":", " :", ": ", ", ", "\"", "\\", "+", "-", "_", "0", "#", "%",
    "|", "@",
];

/// Words that a mutation inserts, or puts in place of others. A bar separates them.
const WORDS: &str = "\
    0x|GET |POST | HTTP/1.1| HTTP/1.0| HTTP/0.9| HTTP/1.2| HTTP/2.0| http/1.1|HTTP/1.1|http://|https://test/|\
    chunked|identity|gzip|gzip, |xchunked|close|keep-alive|\
    100-continue|;a|;a=\"| ;a|\";\r\n|0\r\n|0\r\n\r\n|1\r\nZ\r\n|\
    00000000000000000|5|5, 5|GET /smuggled.txt HTTP/1.1\r\nHost: smuggled\r\n\r\n";

/// Header lines that a mutation inserts. A bar separates them.
const LINES: &str = "Content-Length: 0|Content-Length: 5|Content-Length: 6|Content-Length: 45|Content-Length: +5|\
    Content-Length: 0x5|Content-Length: 5 |Content-Length:5|Content-Length : 5|Content-Length: 05|Content-Length: 5,5|\
    Content-Length: |Content-Length|Content_Length: 5|content-length: 5| Content-Length: 5|\
    Content-Length: 18446744073709551621|Transfer-Encoding: chunked|Transfer-Encoding: Chunked|\
    Transfer-Encoding:chunked|\
    Transfer-Encoding : chunked|Transfer-Encoding: chunked |Transfer-Encoding:\tchunked|Transfer-Encoding: \x0bchunked|\
    Transfer-Encoding: identity|Transfer-Encoding: identity, chunked|Transfer-Encoding: gzip, chunked|\
    Transfer-Encoding: chunked, gzip|Transfer-Encoding: chunked, chunked|Transfer-Encoding: ,chunked|\
    Transfer-Encoding: xchunked|Transfer-Encoding: \"chunked\"|Transfer-Encoding: chunked;a=b|\
    Transfer-Encoding:\r\n chunked|Transfer-Encoding: |Transfer_Encoding: chunked| Transfer-Encoding: chunked|\
    X: y\rTransfer-Encoding: chunked|X: y\nTransfer-Encoding: chunked|TE: trailers|Trailer: X|Connection: close|\
    Connection: keep-alive|Connection: Content-Length|Connection: Transfer-Encoding|\
    Connection: upgrade\r\nUpgrade: chat|Expect: 100-continue|Expect: x|Host: other|Host:|Host: a b|X: \r\n y|X|: y|\
    X Y: z|X:\0y|X: \u{e4}";

/// Numbers that a mutation puts in place of others. A bar separates them.
const NUMBERS: &str = "\
    0|1|4|5|6|05|+5|-5|0x5|5 |5,5|5, 6||a|A|1e0|5.0|50|100|2147483648|4294967301|9223372036854775808|\
    18446744073709551621|99999999999999999999999|fffffffffffffffff";

/// How a mutation ends a line. A bar separates them.
const LINE_ENDS: &str = "\n|\r|\r\r\n| \r\n|\t\r\n|\r\n |\n\r\n|\n\n|";

/// Messages without end: first the seeds, each as it is, then mutations of them. Each has a valid request behind it,
/// the probe.
pub struct Messages {
    seeds: Vec<Vec<u8>>,
    next: usize,
    random: Random,
}

impl Messages {
    /// Reads the seeds: [`REQUESTS`], the cases, and the files in the subdirectories of `fuzz_seeds`.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn new(fuzz_seeds: &Path) -> io::Result<Messages> {
        let mut seeds: Vec<_> = REQUESTS.iter().map(|request| request.as_bytes().to_vec()).collect();
        let cases = cases::all().iter().flat_map(|section| &section.cases);
        seeds.extend(cases.filter_map(|case| case.script(None)).map(|script| {
            let sent = |step| match step {
                Step::Send(bytes) | Step::SendBytewise(bytes) => bytes,
                _ => Vec::new(),
            };
            script.into_iter().flat_map(sent).collect()
        }));
        const CHUNKED: &[u8] = b"POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (target, head) in [("head", &[][..]), ("connection", &[]), ("chunked", CHUNKED)] {
            let mut files: Vec<_> = fs::read_dir(fuzz_seeds.join(target))?.collect::<Result<_, _>>()?;
            files.sort_by_key(fs::DirEntry::file_name);
            for file in files {
                let input = fs::read(file.path())?;
                // The first line says how to split the bytes after it.
                let plan_len = input.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                seeds.push([head, &input[plan_len..]].concat());
            }
        }
        seeds.retain(|seed| !seed.is_empty() && seed.len() <= LEN_MAX);
        seeds.sort();
        seeds.dedup();
        Ok(Messages { seeds, next: 0, random: Random(0x9E37_79B9_7F4A_7C15) })
    }

    /// Returns a seed with one to three mutations. Half of the seeds are from [`REQUESTS`].
    fn mutated(&mut self) -> Vec<u8> {
        let mut message = match self.random.below(2) {
            0 => self.random.of(REQUESTS).as_bytes().to_vec(),
            _ => self.seed(),
        };
        for _ in 0..=self.random.below(MUTATIONS_MAX) {
            self.mutate(&mut message);
        }
        message.truncate(LEN_MAX);
        message
    }

    fn seed(&mut self) -> Vec<u8> {
        let index = self.random.index(self.seeds.len());
        self.seeds[index].clone()
    }

    /// Changes a message in one of ten ways.
    fn mutate(&mut self, message: &mut Vec<u8>) {
        let at = self.random.index(message.len() + 1);
        let lines = line_starts(message);
        let line = lines[self.random.index(lines.len())];
        match self.random.below(10) {
            0 => replace(message, at, self.random.index(2), self.random.of(OCTETS)),
            1 => replace(message, at, self.random.index(2), self.random.one_of(WORDS)),
            2 => replace(message, at, self.random.index(4), ""),
            3 => replace(message, line, 0, self.random.of(OCTETS)),
            4 => replace(message, line, 0, self.random.one_of(WORDS)),
            5 => {
                // Before the first header line.
                let header = lines.get(1).copied().unwrap_or(0);
                replace(message, header, 0, &format!("{}\r\n", self.random.one_of(LINES)));
            }
            6 => {
                let len = message[line..].iter().position(|byte| *byte == b'\n').map_or(0, |len| len + 1);
                message.extend_from_within(line..line + len);
                message[line..].rotate_right(len);
            }
            7 => {
                let end = find(message, line, |byte| byte == b'\r');
                replace(message, end, 2, self.random.one_of(LINE_ENDS));
            }
            8 => {
                let digits = find(message, at, |byte| byte.is_ascii_digit());
                let end = find(message, digits, |byte| !byte.is_ascii_digit());
                replace(message, digits, end - digits, self.random.one_of(NUMBERS));
            }
            _ => {
                let other = self.seed();
                message.truncate(at);
                message.extend_from_slice(&other[self.random.index(other.len())..]);
            }
        }
    }
}

impl Iterator for Messages {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let index = self.next;
        self.next += 1;
        let mut message = self.seeds.get(index).cloned().unwrap_or_else(|| self.mutated());
        let probe = format!("GET {} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n", probe(index));
        message.extend_from_slice(probe.as_bytes());
        Some(message)
    }
}

/// The target of the request behind message number `index`: whether it is served shows where the message has ended.
pub fn probe(index: usize) -> String {
    format!("/probe/{index}")
}

/// Where the lines of a message begin; at least one.
fn line_starts(message: &[u8]) -> Vec<usize> {
    let after_lines = message.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    [0].into_iter().chain(after_lines).collect()
}

/// Where the first byte at or after `start` is that meets the condition; the end of the message if there is none.
fn find(message: &[u8], start: usize, is_met: impl Fn(u8) -> bool) -> usize {
    message[start..].iter().position(|byte| is_met(*byte)).map_or(message.len(), |len| start + len)
}

/// Replaces up to `len` bytes by a token in Latin-1, so that a token can have any byte.
fn replace(message: &mut Vec<u8>, at: usize, len: usize, token: &str) {
    let end = (at + len).min(message.len());
    message.splice(at..end, token.chars().map(|char| char as u8));
}

/// Numbers that look random (`xorshift64*`), the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }

    fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    fn of<'t>(&mut self, tokens: &[&'t str]) -> &'t str {
        tokens[self.index(tokens.len())]
    }

    /// One of the tokens that bars separate.
    fn one_of<'t>(&mut self, tokens: &'t str) -> &'t str {
        self.of(&tokens.split('|').collect::<Vec<_>>())
    }
}
