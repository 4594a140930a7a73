//! A small file server, correct but for one flaw: the name of the directory of its program.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, mem, thread};

/// The headers of every response.
const HEADERS: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Served-By: small; worker=0\r\n";
/// The validators of every file.
const VALIDATORS: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\neTag: \"1\"\r\n";

/// The longest accepted head in bytes.
const HEAD_MAX: usize = 100_000;

/// The memory in bytes that each connection leaks with the flaw `leaks`.
const LEAK_BYTES: usize = 64 * 1024;

/// The environment variable that is set in the process that serves.
const INNER: &str = "SMALL_SERVER_INNER";

/// The number of requests over all connections, so that a flaw can affect some of them.
static SERVED: AtomicU64 = AtomicU64::new(0);

/// Serves with a thread for each connection. The arguments include `-p PORT` or `--port PORT`, and `-r ROOT`,
/// `--root ROOT`, `--size BYTES`, or the root as the last argument. A shell runs around the server, because safe code
/// cannot handle a signal.
pub fn serve(arguments: &[String]) -> ! {
    let value = |names: &[&str]| {
        let at = arguments.iter().position(|argument| names.contains(&argument.as_str()))?;
        arguments.get(at + 1).cloned()
    };
    let flaw = Path::new(&arguments[0]).parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let root = value(&["-r", "--root"]).or_else(|| arguments.last().cloned()).unwrap_or_default();
    if flaw == "does not start" || (flaw == "needs a log" && value(&["--log-file"]).is_none()) {
        eprintln!("cannot serve {root}");
        exit(1);
    }
    if env::var_os(INNER).is_none() {
        let code = if flaw == "exit code 3" { 3 } else { 0 };
        let script = format!("trap '' HUP; trap 'kill $!; exit {code}' TERM; \"$0\" \"$@\" & wait");
        panic!("{}", Command::new("sh").arg("-c").arg(script).args(arguments).env(INNER, "").exec());
    }
    let size = value(&["--size"]).map(|size| size.parse().unwrap());
    let mut files = HashMap::new();
    if size.is_none() {
        read_files(root.as_ref(), "", flaw == "always wrong", &mut files);
    }
    let site = Arc::new(Site { flaw, size, files, root: root.into() });
    let port = value(&["-p", "--port"]).unwrap().parse().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    println!("small server at http://{}/", listener.local_addr().unwrap());
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        let site = Arc::clone(&site);
        // A client may disconnect at any time.
        thread::spawn(move || site.serve_connection(stream).unwrap_or_default());
    }
}

/// Reads the files of a directory and its subdirectories; `target` is that of the directory.
fn read_files(dir: &Path, target: &str, is_wrong: bool, files: &mut HashMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let target = format!("{target}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_files(&entry.path(), &target, is_wrong, files);
            continue;
        }
        let mut content = fs::read(entry.path()).unwrap();
        if let Some(last) = content.last_mut().filter(|_| is_wrong) {
            *last ^= 1;
        }
        files.insert(target, content);
    }
}

/// What the server serves, and how.
struct Site {
    /// What it does wrong.
    flaw: String,
    /// The length of the only content, instead of files.
    size: Option<usize>,
    /// The contents of the files by target, read once, so that only a flaw can change the memory.
    files: HashMap<String, Vec<u8>>,
    /// The directory of the files.
    root: PathBuf,
}

impl Site {
    /// The content for a target.
    fn content(&self, target: &str) -> Option<Cow<'_, [u8]>> {
        match (self.size, target.split_once("ms=")) {
            (Some(size), _) => Some(vec![b'x'; size].into()),
            (_, Some((_, ms))) => {
                Some(format!("{{\"task\":\"io\",\"waited_ms\":{ms}}}\n").into_bytes().into())
            }
            // The only file that a reload changes.
            _ if target == "/version.txt" && self.flaw != "does not reload" => {
                Some(fs::read(self.root.join("version.txt")).ok()?.into())
            }
            _ if target == "/hello" => Some(b"Hello, World!".into()),
            _ => Some(self.files.get(target.trim_start_matches("/static"))?.into()),
        }
    }

    /// Serves one client until it has closed.
    fn serve_connection(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        if self.flaw == "leaks" {
            mem::forget(File::open("/dev/null")?);
            Vec::leak(vec![1; LEAK_BYTES]);
            thread::spawn(|| {
                loop {
                    thread::park();
                }
            });
        }
        let (mut received, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        let mut stays_open = true;
        while stays_open {
            let count = stream.read(&mut buffer)?;
            received.extend_from_slice(&buffer[..count]);
            let is_text = received.first().is_none_or(u8::is_ascii_uppercase);
            let requests = received.windows(4).filter(|window| window == b"GET ").count();
            if !is_text || (self.flaw == "rejects pipelining" && requests > 1) {
                self.reject(&mut stream)?;
                break;
            }
            stays_open = count > 0;
            while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n")
                && stays_open
            {
                let head: Vec<u8> = received.drain(..end + 4).collect();
                stays_open = self.respond(&mut stream, &String::from_utf8_lossy(&head))?;
            }
            if self.flaw == "disconnects idle clients" && SERVED.load(Ordering::Relaxed) <= 1001 {
                return Ok(());
            }
        }
        stream.shutdown(Shutdown::Write)?;
        io::copy(&mut stream, &mut io::sink()).map(drop)
    }

    /// Responds to one request. Returns whether the connection stays open.
    fn respond(&self, out: &mut TcpStream, head: &str) -> io::Result<bool> {
        if head.len() > HEAD_MAX || head.starts_with("POST ") {
            return self.reject(out);
        }
        if self.flaw == "closes without a response" {
            return Ok(false);
        }
        let stays_open = !head.contains("Connection: close");
        let Some(content) = self.content(head.split(' ').nth(1).unwrap_or_default()) else {
            write!(out, "HTTP/1.1 404 Not Found\r\n{HEADERS}Content-Length: 4\r\n\r\nnone")?;
            return Ok(stays_open);
        };
        let validators = if self.flaw == "no tags" { "" } else { VALIDATORS };
        if head.contains("If-None-Match: \"1\"") || head.contains("If-Modified-Since: ") {
            write!(out, "HTTP/1.1 304 Not Modified\r\n{HEADERS}{validators}\r\n")?;
            return Ok(stays_open);
        }
        // The experiments do not decode the content, so it need not be compressed.
        let is_gzip = head.contains("Accept-Encoding: gzip") && self.flaw != "no compression";
        let coding = if is_gzip { "Content-Encoding: gzip\r\n" } else { "" };
        let range = head.split_once("Range: bytes=").and_then(|(_, rest)| range(rest, content.len()));
        let (status, body) = match range {
            Some((first, last)) => {
                let content_range = format!("Content-Range: bytes {first}-{last}/{}", content.len());
                (format!("206 Partial Content\r\n{content_range}"), &content[first..=last])
            }
            None => ("200 OK".to_owned(), &content[..]),
        };
        let headers = format!("{HEADERS}{validators}{coding}");
        write!(out, "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len())?;
        if !head.starts_with("HEAD ") {
            let number = SERVED.fetch_add(1, Ordering::Relaxed);
            match self.flaw == "sometimes wrong" && number % 100 == 99 {
                true => out.write_all(&body.to_ascii_uppercase())?,
                false => out.write_all(body)?,
            }
        }
        Ok(stays_open)
    }

    /// Rejects a malformed request. Returns false, because the connection does not stay open.
    fn reject(&self, out: &mut TcpStream) -> io::Result<bool> {
        let status = if self.flaw == "accepts malformed requests" { "200 OK" } else { "400 Bad Request" };
        write!(out, "HTTP/1.1 {status}\r\n{HEADERS}Content-Length: 0\r\nConnection: close\r\n\r\n")?;
        Ok(false)
    }
}

/// The first and the last offset of a range such as `2-5` or `-4`.
fn range(spec: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = spec.lines().next()?.split_once('-')?;
    match first.parse() {
        Ok(first) => Some((first, last.parse().ok()?)),
        Err(_) => Some((length - last.parse::<usize>().ok()?, length - 1)),
    }
}
