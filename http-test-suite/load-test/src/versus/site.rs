//! The files that the servers serve, and the requests for them, each with its right answer.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::rivals::{ANSWER_LEN, Skill};
use super::works::{Question, Work};
use crate::load::Exchange;
use http_test_suite::request::{Request, get, head};

/// Bytes of a page, and of each file of a directory: as many as the answer of servers that always send the same bytes.
const PAGE_LEN: usize = ANSWER_LEN;
/// Bytes of the large file.
const LARGE_LEN: usize = 954_824;

/// The timeout for the first answer, which is requested before the load.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The document root.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) root: PathBuf,
}

impl Site {
    /// Creates a directory, and writes the files that these works need into it.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub(super) fn write(root: &Path, works: &[&'static Work]) -> io::Result<Site> {
        fs::create_dir_all(root)?;
        // Every work needs the page: it is the first request to a new server, which shows that the server is ready.
        fs::write(root.join("page.html"), content("page", PAGE_LEN))?;
        for question in works.iter().flat_map(|work| work.points).map(|point| point.question) {
            match question {
                Question::Large => fs::write(root.join("large.html"), content("large", LARGE_LEN))?,
                Question::FilesOf { files, .. } => write_directory(root, files)?,
                _ => {}
            }
        }
        Ok(Site { root: root.to_owned() })
    }
}

impl Question {
    /// The requests to send in turn, each with its right answer; `None` if the work needs entity tags and the server
    /// sends none.
    ///
    /// # Errors
    ///
    /// If the work needs an entity tag, and the server does not answer.
    pub(super) fn asks(
        self,
        address: SocketAddr,
        skill: Skill,
        keep_alive: bool,
    ) -> io::Result<Option<Vec<Exchange>>> {
        let ask = |request: Request| Exchange::new(if keep_alive { request } else { request.closing() });
        let page = || ask(get(PAGE)).expect_status(200);
        let asks = match self {
            Question::Page if skill < Skill::Files => vec![page().expect_length(ANSWER_LEN)],
            Question::Page => vec![page().expect_body(content("page", PAGE_LEN))],
            Question::PageHead => vec![ask(head(PAGE)).expect_status(200).expect_length(0)],
            Question::PageIfChanged => {
                let Some(tag) = tag_of(address)? else { return Ok(None) };
                let request = get(PAGE).with(format!("If-None-Match: {tag}"));
                vec![ask(request).expect_status(304).expect_length(0)]
            }
            Question::Large => {
                let large = content("large", LARGE_LEN);
                vec![ask(get("/large.html")).expect_status(200).expect_body(large)]
            }
            // The content of the 404 page differs between servers.
            Question::Nothing => vec![ask(get("/nothing.html")).expect_status(404)],
            Question::FilesOf { files, asked } => {
                let numbers = (0..asked).map(|number| number * files / asked.max(1));
                let file = |number| {
                    let request = ask(get(&format!("/{files}/{}", file_name(number)))).expect_status(200);
                    request.expect_body(content(&file_name(number), PAGE_LEN))
                };
                numbers.map(file).collect()
            }
        };
        Ok(Some(asks))
    }
}

/// The target that all servers have, and that is requested first.
const PAGE: &str = "/page.html";

/// Whether a server answers, with status 200.
pub(super) fn answers(address: SocketAddr) -> bool {
    head_of(address).is_ok_and(|head| head.starts_with("HTTP/1.1 200 "))
}

/// The entity tag of the page, if the server sends one.
fn tag_of(address: SocketAddr) -> io::Result<Option<String>> {
    let head = head_of(address)?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut tags = fields.filter(|(name, _)| name.eq_ignore_ascii_case("etag"));
    Ok(tags.next().map(|(_, tag)| tag.trim().to_owned()))
}

/// Requests the page on a connection of its own, and returns the head of the answer.
fn head_of(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&Vec::from(get(PAGE)))?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            answer.truncate(end);
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
}

fn write_directory(root: &Path, files: usize) -> io::Result<()> {
    let dir = root.join(files.to_string());
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir(&dir)?;
    let mut names = (0..files).map(file_name);
    names.try_for_each(|name| fs::write(dir.join(&name), content(&name, PAGE_LEN)))
}

fn file_name(number: usize) -> String {
    format!("file-{number}.html")
}

/// The content of a file: its name, so that all files differ, and the alphabet.
fn content(name: &str, len: usize) -> Vec<u8> {
    let name = format!("<!-- {name} -->\n");
    name.bytes().chain((b'a'..=b'z').cycle()).take(len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_directory_are_asked_for_from_end_to_end() {
        let check = |files, asked, expected: &[&str]| {
            let asks =
                Question::FilesOf { files, asked }.asks(([127, 0, 0, 1], 1).into(), Skill::Files, true);
            let targets = asks.unwrap().unwrap().into_iter().map(|ask| {
                let text = String::from_utf8(ask.request).unwrap();
                text.split(' ').nth(1).unwrap().to_owned()
            });
            assert_eq!(targets.collect::<Vec<_>>(), expected);
        };
        check(2, 2, &["/2/file-0.html", "/2/file-1.html"]);
        check(100_000, 2, &["/100000/file-0.html", "/100000/file-50000.html"]);
        check(5, 1, &["/5/file-0.html"]);
    }

    #[test]
    fn no_two_files_are_alike() {
        assert_eq!(content("a", 20), b"<!-- a -->\nabcdefghi");
        assert_ne!(content(&file_name(1), 64), content(&file_name(10), 64));
        assert_eq!(content("page", PAGE_LEN).len(), PAGE_LEN);
    }

    #[test]
    fn only_what_is_asked_for_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let check = |works: &[&str], expected: &[&str]| {
            let works: Vec<_> = works.iter().map(|id| Work::named(id).unwrap()).collect();
            let site = Site::write(&dir.path().join(works[0].id), &works).unwrap();
            let entries = fs::read_dir(site.root).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            assert_eq!(names, expected);
        };
        check(&["keep-alive", "start"], &["page.html"]);
        check(&["large", "many", "head"], &["5000", "large.html", "page.html"]);
    }
}
