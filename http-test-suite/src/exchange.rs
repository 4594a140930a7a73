//! A conversation with the server, from the first byte to the end of the connection, as requests and replies.
//!
//! [`hold`] runs a script and returns an [`Exchange`]. It does not judge: [`always`](crate::always) and
//! [`expect`](crate::expect) do that, by looking at the exchange.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::reply::{self, Asked, Reply};
use crate::request;
use crate::wire::{End, Patience, Wire};

/// A pause long enough for a server on this machine to read the earlier bytes before the next arrive.
const PAUSE: Duration = Duration::from_millis(15);

/// Like [`PAUSE`], between single bytes.
const BYTE_PAUSE: Duration = Duration::from_millis(1);

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes with one write.
    Send(Vec<u8>),
    /// Sends these bytes one by one.
    SendBytewise(Vec<u8>),
    /// Waits a moment, so that the server reads the bytes sent so far.
    Pause,
    /// Waits until this many final replies have arrived, counted from the start.
    AwaitReplies(usize),
    /// Waits for an interim or a final reply.
    AwaitContinue,
    /// Closes the client's side of the connection.
    HalfClose,
}

/// What to do after the due replies have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Send one more request with `Connection: close`: its reply proves that the connection is open, and stray bytes
    /// show.
    Farewell,
    /// Wait for the server to close.
    Close,
    /// Wait a moment for further bytes; if none come, send the farewell.
    Quiet,
    /// Close at once.
    Leave,
}

/// What happened in a conversation. `Default` is a conversation without any events.
#[derive(Debug, Default)]
pub struct Exchange {
    /// All bytes that could be sent, the farewell included.
    pub sent: Vec<u8>,
    /// All bytes received.
    pub received: Vec<u8>,
    /// Final replies, without the reply to the farewell.
    pub replies: Vec<Reply>,
    /// The number of final replies that the case expects.
    pub due: usize,
    /// The reply to the farewell, if one came.
    pub farewell: Option<Reply>,
    /// Why the strict reader rejected the received bytes, if it did.
    pub broken: Option<String>,
    /// Whether the script waited for a reply that did not come in time.
    pub in_vain: bool,
    /// Interim replies without their final reply.
    pub interim: Vec<Reply>,
    /// How the server's side ended.
    pub end: End,
    /// Whether the client closed without waiting for the server's end.
    pub left: bool,
    /// The reply to the request that the case sent first, on a connection of its own.
    pub prior: Option<Reply>,
}

impl Exchange {
    fn take(&mut self, mut reply: Reply) {
        // 101 counts as final: the bytes behind it are not HTTP/1.1.
        if reply.status < 200 && reply.status != 101 {
            self.interim.push(reply);
        } else {
            reply.interim = std::mem::take(&mut self.interim);
            self.replies.push(reply);
        }
    }

    /// Describes the lack of final reply number `index`, as the end of a sentence.
    pub fn absence(&self, index: usize) -> String {
        let end = match self.end {
            End::Open => "within the timeout",
            End::Closed => "before the connection closed",
            End::Reset => "before the connection was reset",
        };
        match (index, self.replies.as_slice()) {
            (0, _) => format!("no reply {end}"),
            (_, []) => format!("no reply at all {end}"),
            (_, replies) => format!("only {} of {} replies {end}", replies.len(), index + 1),
        }
    }
}

/// Connects, runs `script`, waits for `due` final replies, and ends as `ending` says.
///
/// # Errors
///
/// If the connection cannot be made.
pub fn hold(
    server: SocketAddr,
    patience: Patience,
    script: &[Step],
    due: usize,
    ending: Ending,
) -> io::Result<Exchange> {
    let mut talk = Talk {
        wire: Wire::dial(server, patience)?,
        patience,
        read: 0,
        answered: 0,
        heard: Exchange::default(),
    };
    talk.heard.due = due;
    for step in script {
        talk.perform(step);
    }
    talk.listen(patience.timeout, |heard| heard.replies.len() >= due);
    talk.finish(ending);
    Ok(talk.exchange())
}

/// A conversation in progress.
struct Talk {
    wire: Wire,
    patience: Patience,
    /// How much of `wire.received` has been read into replies.
    read: usize,
    /// The length of `wire.sent` up to the end of the last request line that has its final reply.
    answered: usize,
    /// The result; `sent`, `received` and `end` are filled in last.
    heard: Exchange,
}

impl Talk {
    fn perform(&mut self, step: &Step) {
        match step {
            Step::Send(bytes) => self.wire.send(bytes),
            Step::SendBytewise(bytes) => {
                for byte in bytes {
                    self.wire.send(&[*byte]);
                    thread::sleep(BYTE_PAUSE);
                }
            }
            Step::Pause => thread::sleep(PAUSE),
            Step::AwaitReplies(count) => self.await_that(|heard| heard.replies.len() >= *count),
            Step::AwaitContinue => {
                let before = self.heard.replies.len();
                self.await_that(|heard| !heard.interim.is_empty() || heard.replies.len() > before);
            }
            Step::HalfClose => self.wire.half_close(),
        }
    }

    fn await_that(&mut self, came: impl Fn(&Exchange) -> bool) {
        self.listen(self.patience.timeout, &came);
        self.heard.in_vain |= !came(&self.heard);
    }

    fn finish(&mut self, ending: Ending) {
        let due = self.heard.due;
        let says_close = self.heard.replies.last().is_some_and(|reply| reply.lists("Connection", "close"));
        match ending {
            Ending::Leave => self.heard.left = true,
            // A server that has not sent the due replies in time will not answer a farewell either.
            _ if self.heard.replies.len() < due => {}
            _ if says_close || self.wire.mute => self.listen_to_end(self.patience.timeout),
            Ending::Close => self.listen_to_end(self.patience.timeout),
            Ending::Quiet => {
                self.listen_to_end(self.patience.quiet);
                if self.wire.end == End::Open && self.heard.replies.len() == due {
                    self.say_farewell();
                }
            }
            Ending::Farewell => self.say_farewell(),
        }
    }

    fn say_farewell(&mut self) {
        let due = self.heard.due;
        self.wire.send(request::FAREWELL.as_bytes());
        self.listen(self.patience.timeout, |heard| heard.replies.len() > due);
        self.listen_to_end(self.patience.quiet);
        if self.heard.replies.len() > due {
            self.heard.farewell = self.heard.replies.pop();
        }
    }

    fn listen_to_end(&mut self, patience: Duration) {
        self.listen(patience, |_| false);
    }

    /// Receives until `enough` is true, the connection ends, the reader rejects a reply, or the timeout `patience`
    /// expires.
    fn listen(&mut self, patience: Duration, enough: impl Fn(&Exchange) -> bool) {
        let deadline = Instant::now() + patience;
        while !enough(&self.heard) && self.heard.broken.is_none() && self.wire.receive(deadline) {
            self.read_replies();
        }
    }

    fn read_replies(&mut self) {
        let ended = self.wire.end != End::Open;
        while self.read < self.wire.received.len() {
            let (asked, line_len) = asked(&self.wire.sent[self.answered..]);
            match reply::read(&self.wire.received[self.read..], asked, ended) {
                Ok(Some((reply, length))) => {
                    self.read += length;
                    let before = self.heard.replies.len();
                    self.heard.take(reply);
                    if self.heard.replies.len() > before {
                        self.answered += line_len;
                    }
                }
                Ok(None) => return,
                Err(why) => {
                    self.heard.broken = Some(why);
                    return;
                }
            }
        }
    }

    fn exchange(mut self) -> Exchange {
        if self.heard.broken.is_none() && self.read < self.wire.received.len() {
            self.heard.broken = Some("a reply that had not come to its end when time was up".into());
        }
        self.heard.sent = std::mem::take(&mut self.wire.sent);
        self.heard.received = std::mem::take(&mut self.wire.received);
        // The server's kernel answers unread bytes with a reset, even if the end of the stream was read before.
        self.heard.end = if self.wire.abandoned { End::Reset } else { self.wire.end };
        self.heard
    }
}

/// What the next final reply answers, found by the first line in `sent` that looks like a request line, and the offset
/// in `sent` behind that line. A reply to anything else is read like a reply to GET.
fn asked(sent: &[u8]) -> (Asked, usize) {
    let mut reach = 0;
    for line in sent.split_inclusive(|&byte| byte == b'\n') {
        reach += line.len();
        let line = line.trim_ascii_end();
        let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
        if version.len() == 8 && version.starts_with(b"HTTP/") && line.len() > version.len() {
            let asked = Asked { head: line.starts_with(b"HEAD "), http10: line.ends_with(b" HTTP/1.0") };
            return (asked, reach);
        }
    }
    (Asked::default(), 0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const BYE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

    /// Runs a conversation with a server that sends one of `answers` after each read, and then closes.
    fn with(answers: &[&str], script: &[Step], due: usize, ending: Ending) -> Exchange {
        let patience = Patience { timeout: Duration::from_secs(5), quiet: Duration::from_millis(50) };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                for answer in answers {
                    drop(stream.read(&mut [0; 4096]));
                    drop(stream.write_all(answer.as_bytes()));
                }
            });
            hold(server, patience, script, due, ending).unwrap()
        })
    }

    fn send(text: &str) -> Step {
        Step::Send(text.into())
    }

    #[test]
    fn sends_a_farewell_on_an_open_connection() {
        let exchange = with(&[OK, BYE], &[send("GET / HTTP/1.1\r\n\r\n")], 1, Ending::Farewell);
        assert_eq!(
            (exchange.replies.len(), exchange.farewell.is_some(), exchange.end),
            (1, true, End::Closed)
        );
        assert_eq!(exchange.broken, None);
    }

    #[test]
    fn tells_a_stray_reply_from_the_reply_to_the_farewell() {
        let exchange =
            with(&[&format!("{OK}{OK}"), BYE], &[send("GET / HTTP/1.1\r\n\r\n")], 1, Ending::Farewell);
        assert_eq!((exchange.replies.len(), exchange.farewell.is_some()), (2, true));
    }

    #[test]
    fn reads_each_reply_by_its_own_request() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        let script = [send("HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n")];
        let exchange = with(&[&format!("{head}{BYE}")], &script, 2, Ending::Close);
        let asked: Vec<_> =
            exchange.replies.iter().map(|reply| (reply.asked.head, reply.asked.http10)).collect();
        assert_eq!(asked, [(true, false), (false, true)]);
    }

    #[test]
    fn attaches_interim_replies_to_the_final_reply() {
        let script = [send("POST / HTTP/1.1\r\n\r\n"), Step::AwaitContinue, send("x")];
        let exchange = with(&["HTTP/1.1 100 Continue\r\n\r\n", BYE], &script, 1, Ending::Close);
        assert_eq!(exchange.replies[0].interim[0].status, 100);
    }

    #[test]
    fn notes_an_awaited_reply_that_did_not_come() {
        let script = [send("POST / HTTP/1.1\r\n\r\n"), Step::AwaitContinue];
        assert!(!with(&["HTTP/1.1 100 Continue\r\n\r\n", BYE], &script, 0, Ending::Leave).in_vain);
        assert!(!with(&[BYE], &script, 1, Ending::Close).in_vain);
        assert!(with(&[""], &script, 1, Ending::Close).in_vain);
    }

    #[test]
    fn rejects_content_behind_a_reply_to_head() {
        let reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let exchange = with(&[reply], &[send("HEAD / HTTP/1.1\r\n\r\n")], 1, Ending::Close);
        assert!(exchange.broken.unwrap().contains("hello"));
    }

    #[test]
    fn describes_a_missing_reply() {
        let exchange = with(&[OK], &[send("GET / HTTP/1.1\r\n\r\n")], 2, Ending::Close);
        assert_eq!(exchange.absence(1), "only 1 of 2 replies before the connection closed");
    }
}
