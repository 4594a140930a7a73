//! Follows a file over HTTP, as `tail -f` does: its last lines, and then each line that is appended.
//!
//! ```sh
//! cargo run --example tail -- /var/log/syslog 127.0.0.1:8080
//! curl -N localhost:8080
//! ```

use http_engine::{Body, IntoResponse, Response, Server, Status};
use std::{
    env,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    thread,
    time::Duration,
};

/// How many bytes of the file are sent at first.
const LAST_BYTES: u64 = 4 * 1024;

/// How often the file is read again after its end.
const INTERVAL: Duration = Duration::from_millis(250);

/// Reads a file, and at its end waits for more. It runs on a thread of the engine, and so may wait. While nothing is appended,
/// it sends a space now and then: a write is how a client that has left is noticed.
struct Follow {
    file: File,
    /// The number of reads since the last that returned bytes.
    empty_reads: u32,
}

impl Follow {
    fn open(path: &PathBuf) -> io::Result<Follow> {
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(LAST_BYTES);
        file.seek(SeekFrom::Start(start))?;
        Ok(Follow { file, empty_reads: 0 })
    }
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.file.read(buffer)?;
            self.empty_reads = if count > 0 { 0 } else { self.empty_reads + 1 };
            if count > 0 {
                return Ok(count);
            }
            if self.empty_reads.is_multiple_of(60) {
                return (&b" "[..]).read(buffer);
            }
            thread::sleep(INTERVAL);
        }
    }
}

/// Responds with the file. Up to [`Settings::streaming_threads`](http_engine::Settings::streaming_threads) clients can follow
/// it at once.
pub fn follow(path: &PathBuf) -> Response {
    match Follow::open(path) {
        Ok(follow) => Response::text(Body::reader(follow, None)),
        Err(error) => {
            eprintln!("cannot open {}: {error}", path.display());
            Status::NOT_FOUND.into_response()
        }
    }
}

fn main() -> io::Result<()> {
    let mut arguments = env::args_os().skip(1);
    let path =
        PathBuf::from(arguments.next().ok_or_else(|| io::Error::other("usage: tail FILE [ADDRESS:PORT]"))?);
    let address = arguments.next().and_then(|address| address.into_string().ok());
    let running =
        Server::bind(address.as_deref().unwrap_or("127.0.0.1:8080"))?.serve(move |_| follow(&path))?;
    println!("tail at {:?}", running.addresses());
    running.wait()
}
