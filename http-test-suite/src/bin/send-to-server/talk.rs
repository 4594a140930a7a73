//! One conversation: sends the request, receives the replies with their times, and explains them.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use http_test_suite::escape;
use http_test_suite::reply::{self, Asked, Framing, Reply};
use http_test_suite::wire::{End, Wire};

use http_test_suite::duration::show;

/// How long to wait after the last reply for further bytes or the close.
pub(crate) const QUIET: Duration = Duration::from_millis(100);

/// A connection, and the replies on it.
pub(crate) struct Talk {
    wire: Wire,
    /// Whether to print received bytes at once.
    raw: bool,
    /// For each expected reply, what it depends on.
    asked: Vec<Asked>,
    /// When the last piece was sent.
    sent: Instant,
    /// Replies in order, interim replies included, each with its length in bytes and its time.
    replies: Vec<(Reply, usize, Instant)>,
    /// How many of the received bytes belong to `replies`.
    read: usize,
    /// Why the strict reader rejected the received bytes, if it did.
    broken: Option<String>,
    first_byte: Option<Instant>,
}

impl Talk {
    /// Makes a conversation. `asked` says for each expected reply what it depends on; `raw` prints received bytes at
    /// once.
    pub(crate) fn new(wire: Wire, asked: Vec<Asked>, raw: bool) -> Talk {
        let (replies, read, broken, first_byte) = (Vec::new(), 0, None, None);
        Talk { wire, raw, asked, sent: Instant::now(), replies, read, broken, first_byte }
    }

    /// Sends the pieces, and receives during the pauses.
    pub(crate) fn say(&mut self, pieces: &[&[u8]], pause: Duration) -> io::Result<()> {
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                self.listen(pause)?;
            }
            self.wire.send(piece);
        }
        self.sent = Instant::now();
        Ok(())
    }

    /// Waits for the replies, with a new timeout after each receive, and then a moment for the end of the connection.
    /// Returns whether all replies came and are well-formed.
    pub(crate) fn hear(&mut self, timeout: Duration) -> io::Result<bool> {
        while self.answered() < self.asked.len() && self.broken.is_none() {
            if !self.receive(Instant::now() + timeout)? {
                break;
            }
        }
        self.listen(QUIET)?;
        Ok(self.answered() >= self.asked.len() && self.broken.is_none())
    }

    /// How many bytes could be sent.
    pub(crate) fn sent_len(&self) -> usize {
        self.wire.sent.len()
    }

    /// The number of final replies received. 101 counts as final: the bytes behind it are not HTTP/1.1.
    fn answered(&self) -> usize {
        self.replies.iter().filter(|(reply, ..)| reply.status >= 200 || reply.status == 101).count()
    }

    /// Receives for that time, or until the connection has ended.
    fn listen(&mut self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        while self.receive(until)? {}
        Ok(())
    }

    /// Receives once. Returns false if nothing came.
    fn receive(&mut self, deadline: Instant) -> io::Result<bool> {
        let before = self.wire.received.len();
        if !self.wire.receive(deadline) {
            return Ok(false);
        }
        let now = Instant::now();
        let new = &self.wire.received[before..];
        if !new.is_empty() {
            self.first_byte.get_or_insert(now);
        }
        if self.raw {
            io::stdout().write_all(new)?;
            io::stdout().flush()?;
        }
        self.read(now);
        Ok(true)
    }

    /// Reads all complete replies.
    fn read(&mut self, now: Instant) {
        let ended = self.wire.end != End::Open;
        while self.broken.is_none() && self.read < self.wire.received.len() {
            let asked = self.asked.get(self.answered()).copied().unwrap_or_default();
            match reply::read(&self.wire.received[self.read..], asked, ended) {
                Ok(Some((reply, len))) => {
                    self.replies.push((reply, len, now));
                    self.read += len;
                }
                Ok(None) => return,
                Err(why) => self.broken = Some(why),
            }
        }
    }

    /// Explains the parts of the replies. Times count from when the last piece was sent.
    pub(crate) fn explain(&self, out: &mut impl Write) -> io::Result<()> {
        for arrival in &self.replies {
            self.explain_one(arrival, out)?;
        }
        let unread = &self.wire.received[self.read..];
        if !unread.is_empty() {
            writeln!(out, "{} bytes more: {}\n", unread.len(), escape::line(unread, 200))?;
        }
        let first = self.first_byte.map_or("none".to_owned(), |at| format!("after {}", self.since_sent(at)));
        writeln!(out, "first byte  {first}\nconnection  {}", self.end())
    }

    fn explain_one(
        &self,
        (reply, len, at): &(Reply, usize, Instant),
        out: &mut impl Write,
    ) -> io::Result<()> {
        let (major, minor) = reply.version;
        writeln!(out, "{}, complete after {}", reply.describe(), self.since_sent(*at))?;
        writeln!(out, "  version   HTTP/{major}.{minor}")?;
        for (name, value) in &reply.fields {
            writeln!(out, "  field     {name}: {value}")?;
        }
        let delimited = match reply.framing {
            Framing::None => "because such a reply has no content",
            Framing::Length => "delimited by Content-Length",
            Framing::Chunked => "delimited by its chunks",
            Framing::UntilClose => "delimited by the end of the connection",
        };
        writeln!(out, "  content   {} bytes, {delimited}", reply.body.len())?;
        if !reply.body.is_empty() {
            writeln!(out, "            {}", escape::line(&reply.body, 60))?;
        }
        for (name, value) in &reply.trailers {
            writeln!(out, "  trailer   {name}: {value}")?;
        }
        writeln!(out, "  in all    {len} bytes\n")
    }

    /// The time since the last piece was sent; zero for what came before that.
    fn since_sent(&self, at: Instant) -> String {
        show(at.saturating_duration_since(self.sent))
    }

    fn end(&self) -> &'static str {
        match self.wire.end {
            End::Open => "left open by the server",
            End::Closed => "closed by the server",
            End::Reset => "reset by the server",
        }
    }

    /// Describes what is wrong with the replies.
    pub(crate) fn complaint(&self) -> String {
        let (answered, due) = (self.answered(), self.asked.len());
        let missing = || format!("{answered} of {due} replies came; the connection was {}", self.end());
        self.broken.clone().unwrap_or_else(missing)
    }
}
