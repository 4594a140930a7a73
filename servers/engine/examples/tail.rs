//! Follows a file over HTTP, as `tail -f` does: its last lines, and then each line that is appended.
//!
//! ```sh
//! echo one >/tmp/log
//! cargo run --example tail -- /tmp/log 127.0.0.1:8080 &
//! #> tail at [127.0.0.1:8080]
//! curl -sN localhost:8080/ &
//! #> one
//! echo two >>/tmp/log     # curl prints it too
//! ```

use http_engine::{Body, IntoResponse, Response, Server, Status};
use std::{
    env,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    thread,
    time::Duration,
};

/// How many bytes of the file are sent at first.
const LAST_BYTES: u64 = 4 * 1024;

/// How often the file is read again after its end, and how many times before a space is sent.
const INTERVAL: Duration = Duration::from_millis(250);
const READS: u32 = 60;

/// Reads a file, and at its end waits for more. The engine reads it on a thread of its own, which may wait.
struct Follow(File);

impl Follow {
    fn open(path: &Path) -> io::Result<Follow> {
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(LAST_BYTES);
        file.seek(SeekFrom::Start(start))?;
        Ok(Follow(file))
    }
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..READS {
            let count = self.0.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            thread::sleep(INTERVAL);
        }
        // The engine notices only when it sends that the client has left.
        (&b" "[..]).read(buffer)
    }
}

/// Responds with the file. Up to [`Settings::streaming_threads`](http_engine::Settings::streaming_threads) clients can
/// follow it at once.
pub fn follow(path: &Path) -> Response {
    match Follow::open(path) {
        Ok(follow) => Response::text(Body::reader(follow, None)),
        Err(error) => {
            eprintln!("tail: cannot open {}: {error}", path.display());
            Status::NOT_FOUND.into_response()
        }
    }
}

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or_else(|| io::Error::other("usage: tail FILE [ADDRESS:PORT]"))?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let running = Server::bind(address)?.serve(move |_| follow(Path::new(&path)))?;
    println!("tail at {:?}", running.addresses());
    running.wait()
}
