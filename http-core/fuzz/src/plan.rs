//! How the first line of an input controls the run. The fuzzer thereby learns where to split as well as what to send.
//!
//! A plan is a line of letters, so that a seed can be written by hand. For a size, `a` to `z` are 1 to 26 bytes, `A` to
//! `Z` are 32 to 832 in steps of 32, and any other letter is the rest. For limits, `s` are small, `h` huge, `q` the
//! default ones with almost no room for responses, and any other letter the default ones. For scenarios see
//! [`Scenario`].

use http_core::Limits;

/// Returns the size of a letter.
pub fn size(letter: u8) -> usize {
    match letter {
        b'a'..=b'z' => usize::from(letter - b'a') + 1,
        b'A'..=b'Z' => (usize::from(letter - b'A') + 1) * 32,
        _ => usize::MAX,
    }
}

/// Returns where pieces of these sizes, repeated, end in `len` bytes. The last end is `len`; an empty input has none.
pub fn ends(letters: &[u8], len: usize) -> impl Iterator<Item = usize> {
    let mut end = 0;
    letters.iter().cycle().map_while(move |&letter| {
        let unfinished = end < len;
        end = size(letter).min(len - end) + end;
        unfinished.then_some(end)
    })
}

/// Returns the limits of a letter.
pub fn limits(letter: u8) -> Limits {
    match letter {
        b's' => Limits {
            target_bytes: 40,
            head_bytes: 160,
            headers: 5,
            body_bytes: 60,
            streamed_bytes: 60,
            chunk_overhead_bytes: 20,
            queued_bytes: 500,
        },
        b'h' => Limits {
            target_bytes: usize::MAX,
            head_bytes: usize::MAX,
            headers: usize::MAX,
            body_bytes: usize::MAX,
            streamed_bytes: u64::MAX,
            chunk_overhead_bytes: usize::MAX,
            queued_bytes: u64::MAX,
        },
        b'q' => Limits { queued_bytes: 1, ..Limits::default() },
        _ => Limits::default(),
    }
}

/// What happens to a connection besides bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The client sends, reads all responses, and ends its side.
    Normal,
    /// The same, but the engine reports the end at once, not with the next receive.
    HangUp,
    /// The client stops sending without ending its side.
    Silence,
    /// The client repeats its input until it has filled more than one buffer.
    Flood,
    /// A second passes before each piece.
    SlowSend,
    /// The client reads only some bytes of the output, as many as the second write would have.
    WriteStall,
    /// Delayed responses never come.
    NoReply,
    /// The handler fails instead of giving a delayed response.
    HandlerFailure,
    /// The server shuts down with the first request.
    Shutdown,
    /// The server is over its limit of connections.
    OverLimit,
    /// A deadline passes: that of the wait whose number is the size of the second write.
    Expiry,
}

/// The plan of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The limits of the server.
    pub limits: Limits,
    /// The sizes of the pieces of the input.
    pub pieces: [u8; 3],
    /// The sizes of the writes of the output.
    pub writes: [u8; 2],
    /// What else happens.
    pub scenario: Scenario,
}

impl Plan {
    /// Parses a first line: limits, three pieces, two writes, scenario, line feed.
    pub fn of(line: [u8; 8]) -> Plan {
        let [limits, a, b, c, x, y, scenario, _] = line;
        let scenario = match scenario {
            b'h' => Scenario::HangUp,
            b's' => Scenario::Silence,
            b'm' => Scenario::Flood,
            b't' => Scenario::SlowSend,
            b'w' => Scenario::WriteStall,
            b'u' => Scenario::NoReply,
            b'f' => Scenario::HandlerFailure,
            b'g' => Scenario::Shutdown,
            b'r' => Scenario::OverLimit,
            b'e' => Scenario::Expiry,
            _ => Scenario::Normal,
        };
        Plan { limits: self::limits(limits), pieces: [a, b, c], writes: [x, y], scenario }
    }

    /// Returns the same plan with input and output in one piece.
    pub fn unsplit(&self) -> Plan {
        Plan { pieces: [b'@'; 3], writes: [b'@'; 2], ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_input() {
        let check = |letters: &[u8], len, expected: &[usize]| {
            assert_eq!(ends(letters, len).collect::<Vec<_>>(), expected);
        };
        check(b"a", 3, &[1, 2, 3]);
        check(b"bc", 9, &[2, 5, 7, 9]);
        check(b"@", 9, &[9]);
        check(b"A", 65, &[32, 64, 65]);
        check(b"ab@", 0, &[]);
    }
}
