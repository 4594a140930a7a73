//! Reads bytes with a parser in another language: a script that gets the messages on its standard input, and prints a
//! line for each.

use crate::reading::{End, Reading, Request};
use serde::Deserialize;
use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
};

/// A running script. It ends when its standard input does.
pub struct Pipe {
    /// The name and the version of the parser: the first line that the script prints.
    pub name: String,
    child: Child,
    output: BufReader<ChildStdout>,
}

/// A line that a script prints: what it reads from one message. All strings are Latin-1.
#[derive(Deserialize)]
struct Line {
    /// Method, target and content of each request.
    requests: Vec<(String, String, String)>,
    /// `idle`, `closed`, `unfinished` or `rejected`.
    end: String,
    /// After `closed`, the number of bytes that follow, if it is known; after `rejected`, the reason.
    detail: String,
}

impl Pipe {
    /// Starts a script.
    ///
    /// # Errors
    ///
    /// If it cannot be executed, or prints no name.
    pub fn start(command: &mut Command) -> io::Result<Pipe> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or_else(|| io::Error::other("no output"))?);
        let mut name = String::new();
        output.read_line(&mut name)?;
        match name.trim_end() {
            "" => Err(io::Error::other("it prints no name")),
            name => Ok(Pipe { name: name.to_owned(), child, output }),
        }
    }

    /// Reads the bytes of each connection.
    ///
    /// # Errors
    ///
    /// If the script ends, or prints a line that is not one of its readings.
    pub fn read_all(&mut self, messages: &[Vec<u8>]) -> io::Result<Vec<Reading>> {
        let mut input = self.child.stdin.take().ok_or_else(|| io::Error::other("no input"))?;
        let (input, readings) = thread::scope(|scope| {
            let writer = scope.spawn(move || -> io::Result<_> {
                for message in messages {
                    input.write_all(&(message.len() as u32).to_be_bytes())?;
                    input.write_all(message)?;
                }
                // The script ends its output with this message.
                input.flush()?;
                Ok(input)
            });
            let output = &mut self.output;
            let readings: io::Result<Vec<_>> = messages.iter().map(|_| read_line(output)).collect();
            (writer.join(), readings)
        });
        self.child.stdin = Some(input.map_err(|_| io::Error::other("the writer panicked"))??);
        readings
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_line(output: &mut impl BufRead) -> io::Result<Reading> {
    let mut text = String::new();
    output.read_line(&mut text)?;
    let line: Line = serde_json::from_str(&text)?;
    let requests = line.requests.into_iter().map(|(method, target, body)| {
        let body = body.chars().map(|char| char as u8).collect();
        Request { method, target, body }
    });
    let end = match line.end.as_str() {
        "idle" => End::Idle,
        "closed" => End::Closed(line.detail.parse().unwrap_or(0)),
        "unfinished" => End::Unfinished,
        _ => End::Rejected(line.detail),
    };
    Ok(Reading { requests: requests.collect(), end })
}
