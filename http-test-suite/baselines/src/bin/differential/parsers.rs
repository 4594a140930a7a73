//! The parsers that are compared with http-core without a socket.

use crate::{http_core, httparse, hyper, pipe::Pipe, reading::Reading};
use std::{io, path::Path, process::Command, thread};

/// The scripts for parsers in other languages.
const SCRIPTS: &[&str] = &["read-with-h11", "read-with-aiohttp", "read-with-node"];

/// A parser, and how it reads messages.
pub struct Parser {
    /// The name and the version.
    pub name: String,
    method: ReadMethod,
}

enum ReadMethod {
    InProcess(fn(&[u8]) -> Reading),
    Script(Pipe),
}

impl Parser {
    /// All parsers but http-core: those of Rust, then those whose scripts, in the directory `scripts`, can be executed
    /// here. Prints why it leaves out a script.
    pub fn all(scripts: &Path) -> Vec<Parser> {
        let rust = [("httparse", httparse::read as fn(&[u8]) -> Reading), ("hyper", hyper::read)];
        let rust = rust.map(|(name, read)| Parser {
            name: format!("{name} {}", locked_version(name)),
            method: ReadMethod::InProcess(read),
        });
        let scripts =
            SCRIPTS.iter().filter_map(|script| match Pipe::start(&mut Command::new(scripts.join(script))) {
                Ok(pipe) => Some(Parser { name: pipe.name.clone(), method: ReadMethod::Script(pipe) }),
                Err(error) => {
                    eprintln!("skipped {script}: {error}");
                    None
                }
            });
        rust.into_iter().chain(scripts).collect()
    }

    /// Whether `parsers` are all that there are.
    pub fn are_all(parsers: &[Parser]) -> bool {
        parsers.len() == SCRIPTS.len() + 2
    }

    /// Reads the bytes of each connection.
    ///
    /// # Errors
    ///
    /// If a script fails.
    pub fn read_all(&mut self, messages: &[Vec<u8>]) -> io::Result<Vec<Reading>> {
        match &mut self.method {
            ReadMethod::InProcess(read) => Ok(messages.iter().map(|message| read(message)).collect()),
            ReadMethod::Script(pipe) => pipe.read_all(messages),
        }
    }
}

/// What http-core and each of `parsers` read from each message.
///
/// # Errors
///
/// If a script fails.
pub fn read_with_all(
    parsers: &mut [Parser],
    messages: &[Vec<u8>],
) -> io::Result<(Vec<Reading>, Vec<Vec<Reading>>)> {
    thread::scope(|scope| {
        let readers: Vec<_> =
            parsers.iter_mut().map(|parser| scope.spawn(|| parser.read_all(messages))).collect();
        let ours = messages.iter().map(|message| http_core::read(message)).collect();
        let join = |reader: thread::ScopedJoinHandle<'_, _>| {
            reader.join().unwrap_or_else(|_| Err(io::Error::other("a reader panicked")))
        };
        Ok((ours, readers.into_iter().map(join).collect::<io::Result<_>>()?))
    })
}

/// The version of a crate in this workspace's `Cargo.lock`.
fn locked_version(name: &str) -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let package =
        lock.split("[[package]]").find(|package| package.contains(&format!("\nname = \"{name}\"\n")));
    package.and_then(|package| package.split('"').nth(3)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        messages::Messages,
        reading::{Difference, Verdict},
    };

    #[test]
    fn parsers_of_rust_find_the_same_requests() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../http-core/fuzz/seeds");
        let messages = Messages::new(&seeds).expect("seeds").take(5000);
        let (mut same, mut stricter) = (0, 0);
        for message in messages {
            let ours = http_core::read(&message);
            for read in [httparse::read, hyper::read] {
                match ours.compare(&read(&message)) {
                    Verdict::Same => same += 1,
                    Verdict::Stricter(_) => stricter += 1,
                    Verdict::Differ(Difference::Framing) => {
                        panic!("a smuggling pair: {}", message.escape_ascii())
                    }
                    Verdict::Laxer(_) | Verdict::Differ(_) => {}
                }
            }
        }
        // The messages reach both: what all accept, and what only we reject.
        assert!(same > 5000 && stricter > 500, "{same} {stricter}");
    }
}
