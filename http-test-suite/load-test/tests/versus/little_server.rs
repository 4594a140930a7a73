//! A server of files, or of the same 1,024 bytes for every request, with a thread for each connection; and the flaws
//! that it can have.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The number of requests over all connections, so that a flaw can affect some of them.
static SERVED: AtomicU64 = AtomicU64::new(0);

/// Serves until it is killed. Its arguments include `-p PORT`, `-w WORKERS`, and `-r ROOT` or `--size BYTES`.
pub fn serve(arguments: &[String]) -> ! {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let flaw = Path::new(&arguments[0]).file_name().unwrap().to_string_lossy().into_owned();
    if flaw == "does not start" {
        eprintln!("for a reason");
        exit(1);
    }
    let root = value("-r").map(PathBuf::from);
    let same = value("--size").map(|size| vec![b'x'; size.parse().unwrap()]);
    let listener = TcpListener::bind(("127.0.0.1", value("-p").unwrap().parse().unwrap())).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        let (flaw, root, same) = (flaw.clone(), root.clone(), same.clone());
        thread::spawn(move || {
            let content = |target: &str| match &root {
                Some(root) => fs::read(root.join(target.trim_start_matches('/'))).ok(),
                None => same.clone(),
            };
            // A client may disconnect at any time.
            converse(stream, &flaw, content).unwrap_or_default();
        });
    }
}

fn converse(mut stream: TcpStream, flaw: &str, content: impl Fn(&str) -> Option<Vec<u8>>) -> io::Result<()> {
    let (mut received, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        received.extend_from_slice(&buffer[..count]);
        let mut answers = Vec::new();
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received.drain(..end + 4).collect::<Vec<_>>()).into_owned();
            let target = head.split(' ').nth(1).unwrap_or_default();
            answer(&mut answers, &head, flaw, content(target))?;
            if head.contains("Connection: close") {
                return stream.write_all(&answers);
            }
        }
        stream.write_all(&answers)?;
    }
}

fn answer(out: &mut Vec<u8>, head: &str, flaw: &str, content: Option<Vec<u8>>) -> io::Result<()> {
    let Some(mut content) = content else {
        return write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    };
    let tag = if flaw == "without tags" { "" } else { "eTag: \"1\"\r\n" };
    if head.contains("If-None-Match: \"1\"") {
        return write!(out, "HTTP/1.1 304 Not Modified\r\n{tag}\r\n");
    }
    let number = SERVED.fetch_add(1, Ordering::Relaxed);
    let wrong = flaw == "always wrong" || (flaw == "sometimes wrong" && number % 100 == 99);
    if let Some(last) = content.last_mut().filter(|_| wrong) {
        *last ^= 1;
    }
    write!(out, "HTTP/1.1 200 OK\r\n{tag}Content-Length: {}\r\n\r\n", content.len())?;
    if head.starts_with("HEAD ") { Ok(()) } else { out.write_all(&content) }
}
