//! A file server that does what the soak's clients ask for and no more, a thread for each connection; and the flaws
//! that it can have.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::thread;

const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT";
const VALIDATORS: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"1\"";

/// The longest accepted head, and the memory that each connection leaks with the flaw "keeps everything"; in bytes.
const HEAD_MAX: usize = 100_000;
const KEPT: usize = 64 * 1024;

/// Contents by target. They are read once, so that only a flaw can change the memory.
type Files = HashMap<String, Vec<u8>>;

/// Serves with the arguments `--port 0 FLAW DIR`. A shell runs around the server, because safe code cannot handle a
/// signal.
pub fn serve(arguments: &[String]) -> ! {
    let [_, _, flaw, dir, inner @ ..] = arguments else { panic!("{arguments:?}") };
    if inner.is_empty() {
        let code = if flaw == "stops badly" { 3 } else { 0 };
        let script = format!("trap 'kill $!; exit {code}' TERM; \"$0\" \"$@\" inner & wait");
        let own = std::env::current_exe().unwrap();
        panic!("{}", Command::new("sh").arg("-c").arg(script).arg(own).args(arguments).exec());
    }
    let files = Arc::new(read(dir, flaw).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("at http://{}/", listener.local_addr().unwrap());
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        let (flaw, files) = (flaw.clone(), files.clone());
        // A client may disconnect at any time.
        thread::spawn(move || converse(stream, &flaw, &files).unwrap_or_default());
    }
}

fn read(dir: &str, flaw: &str) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let mut content = fs::read(entry.path())?;
        if let Some(last) = content.last_mut().filter(|_| flaw == "the last octet") {
            *last ^= 1;
        }
        files.insert(format!("/{}", entry.file_name().to_string_lossy()), content);
    }
    Ok(files)
}

fn converse(mut stream: TcpStream, flaw: &str, files: &Files) -> io::Result<()> {
    if flaw == "keeps everything" {
        mem::forget(File::open("/dev/null")?);
        Vec::leak(vec![1; KEPT]);
        thread::spawn(|| {
            loop {
                thread::park();
            }
        });
    }
    let (mut received, mut buffer) = (Vec::new(), vec![0; KEPT]);
    loop {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        let is_text = received.first().is_none_or(u8::is_ascii_uppercase);
        match end {
            Some(end) if is_text => {
                let head: Vec<u8> = received.drain(..end).collect();
                if !answer(&mut stream, &String::from_utf8_lossy(&head), flaw, files)? {
                    break;
                }
            }
            None if is_text => match stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => received.extend(&buffer[..count]),
            },
            _ => {
                refuse(&mut stream, flaw)?;
                break;
            }
        }
    }
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// Answers one request. Returns whether the connection stays open.
fn answer(stream: &mut TcpStream, head: &str, flaw: &str, files: &Files) -> io::Result<bool> {
    if head.len() > HEAD_MAX || head.starts_with("POST ") {
        refuse(stream, flaw)?;
        return Ok(false);
    }
    let target = head.split(' ').nth(1).unwrap_or_default();
    let mut content = files.get(target).map(Vec::as_slice).ok_or(io::ErrorKind::NotFound)?;
    let length = content.len();
    let mut status = "200 OK".to_owned();
    if let Some((first, last)) = head.split_once("Range: bytes=").and_then(|(_, rest)| range(rest, length)) {
        content = &content[first..=last];
        status = format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{length}");
    }
    let unchanged = head.contains("If-None-Match: \"1\"") || head.contains("If-Modified-Since: ");
    if unchanged {
        status = "304 Not Modified".to_owned();
    }
    let length = content.len();
    write!(stream, "HTTP/1.1 {status}\r\n{DATE}\r\n{VALIDATORS}\r\nContent-Length: {length}\r\n\r\n")?;
    if !unchanged && !head.starts_with("HEAD ") {
        stream.write_all(content)?;
    }
    Ok(!head.contains("Connection: close"))
}

fn refuse(stream: &mut TcpStream, flaw: &str) -> io::Result<()> {
    let status = if flaw == "refuses nothing" { "200 OK" } else { "400 Bad Request" };
    write!(stream, "HTTP/1.1 {status}\r\n{DATE}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// The first and the last offset of a range such as `2-5` or `-4`.
fn range(spec: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = spec.lines().next()?.split_once('-')?;
    match first.parse() {
        Ok(first) => Some((first, last.parse().ok()?)),
        Err(_) => Some((length - last.parse::<usize>().ok()?, length - 1)),
    }
}
