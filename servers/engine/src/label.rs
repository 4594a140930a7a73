//! How log messages name the request that they are about.

use std::{fmt, net::SocketAddr};

/// The maximum length of a request target in a log message, in bytes.
const MAX_TARGET: usize = 200;

/// Names a request in a log message: its target, if it is known, and the client's address, or `unix:` for a Unix
/// socket.
#[derive(Clone, Debug)]
pub(crate) struct RequestLabel {
    target: Option<Box<str>>,
    client: Option<SocketAddr>,
}

impl RequestLabel {
    pub(crate) fn new(target: Option<&str>, client: Option<SocketAddr>) -> RequestLabel {
        let shorten = |target: &str| target.get(..MAX_TARGET).unwrap_or(target).into();
        RequestLabel { target: target.map(shorten), client }
    }
}

impl fmt::Display for RequestLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.target.as_deref().unwrap_or("a request"))?;
        match self.client {
            Some(client) => write!(f, " from {client}"),
            None => f.write_str(" from unix:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_target_and_client() {
        let client = "127.0.0.1:4711".parse().ok();
        let long = "/".repeat(300);
        for (target, client, expected) in [
            (Some("/a?b"), client, "/a?b from 127.0.0.1:4711"),
            (None, client, "a request from 127.0.0.1:4711"),
            (Some(&*long), None, &(long[..200].to_owned() + " from unix:")),
        ] {
            assert_eq!(RequestLabel::new(target, client).to_string(), expected);
        }
    }
}
