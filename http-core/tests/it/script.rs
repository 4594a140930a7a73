//! Scripts: what a client, an application and a clock do to a connection, one action after the other.

use crate::{app::echo, drive::Drive, received::ReceivedResponse};
use http_core::{Config, Rejection};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// The client sends this.
    Send(&'a str),
    /// The client ends its sending side. The engine notices when it receives next.
    End,
    /// The same, but the engine notices at once, as epoll reports it.
    HangUp,
    /// The client reads this many more bytes, and then none.
    Read(usize),
    /// The client reads everything from now on.
    ReadAll,
    /// The application takes this many more bytes of content, and then none.
    Take(usize),
    /// The application delays the responses that come later.
    Hold,
    /// The application delays them no more.
    Release,
    /// The engine rejects the request that the application holds.
    Reject(Rejection),
    /// The source of a stream has more.
    Wake,
    /// The server shuts down.
    DisableKeepAlive,
    /// The server shuts down, and waits for a last request.
    Drain,
    /// Time passes, in milliseconds.
    Pass(u64),
}

/// Runs the script with the echo application. After each action, the connection does what it can.
pub fn run(config: Config, acts: &[Act<'_>]) -> Drive {
    let mut drive = Drive::new(config, echo);
    drive.act(acts);
    drive
}

impl Drive {
    /// Runs the script. After each action, the connection does what it can.
    pub fn act(&mut self, acts: &[Act<'_>]) {
        for act in acts {
            match *act {
                Act::Send(text) => self.send(text.as_bytes()),
                Act::End => self.end(),
                Act::HangUp => self.hang_up(),
                Act::Read(bytes) => self.read(bytes),
                Act::ReadAll => self.read(usize::MAX),
                Act::Take(bytes) => self.take(bytes),
                Act::Hold => self.hold = true,
                Act::Release => self.hold = false,
                Act::Reject(reason) => self.reject_held(reason),
                Act::Wake => self.wake(),
                Act::DisableKeepAlive => self.disable_keep_alive(),
                Act::Drain => self.drain(),
                Act::Pass(millis) => {
                    self.pass(Duration::from_millis(millis));
                    continue;
                }
            }
            self.run();
        }
    }

    /// Compares the steps and the summaries of the responses, after these actions.
    pub fn check(&self, acts: &[Act<'_>], steps: &str, responses: &[&str]) {
        assert_eq!(self.steps.join(" "), steps, "{acts:?}");
        assert_eq!(self.summaries(), responses, "{acts:?}");
    }

    /// Returns a summary of each response.
    pub fn summaries(&self) -> Vec<String> {
        self.responses().iter().map(ReceivedResponse::summary).collect()
    }
}

/// Runs the script, and compares the steps and the summaries of the responses.
pub fn check(acts: &[Act<'_>], steps: &str, responses: &[&str]) {
    run(Config::default(), acts).check(acts, steps, responses);
}
