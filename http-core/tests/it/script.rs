//! What a peer, an application and a clock do to a connection, act by act.

use crate::{app::echo, drive::Drive, reply::Reply};
use http_core::{Config, Rejection};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// The peer sends this.
    Send(&'a str),
    /// The peer ends its sending side.
    End,
    /// The same, but the engine hears of it at once, as some ways to wait tell it.
    HangUp,
    /// The peer takes this many more bytes, and then none.
    Take(usize),
    TakeAll,
    /// The application makes its later answers wait.
    Hold,
    Release,
    /// The application fails the request that it holds.
    Fail(Rejection),
    /// The server is going down.
    DisableKeepAlive,
    /// Time passes, in milliseconds.
    Pass(u64),
}

/// Plays the acts against the echo application; the connection does what it can after each.
pub fn play(config: Config, acts: &[Act<'_>]) -> Drive {
    let mut drive = Drive::new(config, echo);
    for act in acts {
        match *act {
            Act::Send(text) => drive.send(text.as_bytes()),
            Act::End => drive.end(),
            Act::HangUp => drive.hang_up(),
            Act::Take(bytes) => drive.take(bytes),
            Act::TakeAll => drive.take(usize::MAX),
            Act::Hold => drive.hold = true,
            Act::Release => drive.hold = false,
            Act::Fail(why) => drive.fail(why),
            Act::DisableKeepAlive => drive.disable_keep_alive(),
            Act::Pass(millis) => {
                drive.pass(Duration::from_millis(millis));
                continue;
            }
        }
        drive.run();
    }
    drive
}

/// Plays the acts, and compares the steps that they led to and the answers in short words.
pub fn check(acts: &[Act<'_>], steps: &str, replies: &[&str]) {
    let drive = play(Config::default(), acts);
    assert_eq!(drive.steps.join(" "), steps, "{acts:?}");
    let words: Vec<_> = drive.replies().iter().map(Reply::words).collect();
    assert_eq!(words, replies, "{acts:?}");
}
