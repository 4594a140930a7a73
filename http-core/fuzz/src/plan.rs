//! How the first line of an input directs its run. The fuzzer thus learns where to cut as it learns what to write.
//!
//! A plan is a line of letters, so that a seed can be written by hand. For a size, `a` to `z` are 1 to 26 octets,
//! `A` to `Z` are 32 to 832 in steps of 32, and anything else is all that is left. For limits, `s` are small ones,
//! `h` huge ones, `q` the usual ones with next to no room for answers, and anything else the usual ones. For moods see
//! [`Mood`].

use http_core::Limits;

/// The size that a letter stands for.
pub fn size(letter: u8) -> usize {
    match letter {
        b'a'..=b'z' => usize::from(letter - b'a') + 1,
        b'A'..=b'Z' => (usize::from(letter - b'A') + 1) * 32,
        _ => usize::MAX,
    }
}

/// Where pieces of these sizes, over and over, end in `len` octets. The last end is `len`; an empty input has none.
pub fn ends(letters: &[u8], len: usize) -> impl Iterator<Item = usize> {
    let mut end = 0;
    letters.iter().cycle().map_while(move |&letter| {
        let unfinished = end < len;
        end = size(letter).min(len - end) + end;
        unfinished.then_some(end)
    })
}

/// The limits that a letter stands for.
pub fn limits(letter: u8) -> Limits {
    match letter {
        b's' => Limits {
            target_bytes: 40,
            head_bytes: 160,
            headers: 5,
            body_bytes: 60,
            chunk_overhead_bytes: 20,
            queued_bytes: 500,
        },
        b'h' => Limits {
            target_bytes: usize::MAX,
            head_bytes: usize::MAX,
            headers: usize::MAX,
            body_bytes: usize::MAX,
            chunk_overhead_bytes: usize::MAX,
            queued_bytes: u64::MAX,
        },
        b'q' => Limits { queued_bytes: 1, ..Limits::default() },
        _ => Limits::default(),
    }
}

/// What happens to a connection besides bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// The peer sends, takes all answers, and ends its side.
    Peaceful,
    /// The same, but the engine hears of the end at once and not when it next wants to receive.
    HangsUp,
    /// The peer falls silent instead of ending.
    Silent,
    /// The peer sends the same again and again, until it has filled a buffer and more.
    Floods,
    /// A second passes before each piece.
    Slow,
    /// The peer takes only some octets of the output, as many as the second write would have.
    Stalls,
    /// Later answers never come.
    Unanswered,
    /// The handler fails in the place of a later answer.
    Fails,
    /// The server goes down with the first request.
    GoesDown,
    /// The server has no room for this connection.
    Refused,
}

/// How the run of a connection is directed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the server allows.
    pub limits: Limits,
    /// In what pieces the input comes.
    pub pieces: [u8; 3],
    /// In what writes the output goes.
    pub writes: [u8; 2],
    /// What else happens.
    pub mood: Mood,
}

impl Plan {
    /// Reads a first line: limits, three pieces, two writes, mood, line feed.
    pub fn of(line: [u8; 8]) -> Plan {
        let [limits, a, b, c, x, y, mood, _] = line;
        let mood = match mood {
            b'h' => Mood::HangsUp,
            b's' => Mood::Silent,
            b'm' => Mood::Floods,
            b't' => Mood::Slow,
            b'w' => Mood::Stalls,
            b'u' => Mood::Unanswered,
            b'f' => Mood::Fails,
            b'g' => Mood::GoesDown,
            b'r' => Mood::Refused,
            _ => Mood::Peaceful,
        };
        Plan { limits: self::limits(limits), pieces: [a, b, c], writes: [x, y], mood }
    }

    /// The same with everything in one piece.
    pub fn uncut(&self) -> Plan {
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
