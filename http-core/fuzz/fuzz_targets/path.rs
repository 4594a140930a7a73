//! A path stays beneath the root that it is joined to, and has one spelling.
//!
//! Property: `RelativePath::parse` does not panic, and what it yields has no empty segment, no `.`, no `..` and no NUL;
//! the standard library too sees nothing but names in it. It is what comes out of decoding each segment once and then
//! walking them one by one. `encode` yields a path on this host, without anything that means something to HTML or to a
//! header line, and parses back to the same path.
//!
//! Input: a request target.

#![no_main]

use http_core::path::{self, PathError, RelativePath};
use libfuzzer_sys::fuzz_target;
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path},
};

fuzz_target!(|target: &str| {
    let (raw, query) = path::split(target);
    assert!(!raw.contains(['?', '#']) && query.is_none_or(|query| !query.contains('#')));
    assert!(target.starts_with(raw) && query.is_none_or(|query| target[raw.len() + 1..].starts_with(query)));
    // Nobody is bound to split first.
    for raw in [raw, target] {
        let parsed = RelativePath::parse(raw);
        match (&parsed, walk(raw)) {
            (Ok(path), Some(expected)) => {
                assert_eq!(segments(path), expected.segments);
                assert_eq!(path.is_directory(), expected.directory);
                check_safe(path);
                check_encoded(path);
            }
            (Err(fault), None) => assert_eq!(*fault == PathError::NotAbsolute, !raw.starts_with('/')),
            (parsed, walked) => panic!("{parsed:?} is not {walked:?}"),
        }
    }
});

fn segments<'p>(path: &'p RelativePath<'_>) -> Vec<&'p [u8]> {
    match path.as_bytes() {
        b"" => Vec::new(),
        bytes => bytes.split(|&byte| byte == b'/').collect(),
    }
}

fn check_safe(path: &RelativePath<'_>) {
    let segments = segments(path);
    assert!(!segments.iter().any(|segment| matches!(*segment, b"" | b"." | b"..") || segment.contains(&0)));
    let names: Option<Vec<_>> = Path::new(OsStr::from_bytes(path.as_bytes()))
        .components()
        .map(|component| if let Component::Normal(name) = component { Some(name.as_bytes()) } else { None })
        .collect();
    assert_eq!(names.as_deref(), Some(&segments[..]), "not what the standard library makes of it");

    let mut dotted = segments.iter().enumerate().filter(|(_, segment)| segment.starts_with(b"."));
    assert_eq!(path.is_hidden(), dotted.any(|segment| segment != (0, &&b".well-known"[..])));
}

fn check_encoded(path: &RelativePath<'_>) {
    let encoded = path.encode();
    let meaningful = |byte: u8| !byte.is_ascii_graphic() || b"\\\"'<>&?#`{}|^[]".contains(&byte);
    assert!(encoded.starts_with('/') && !encoded.starts_with("//"), "{encoded} may name another host");
    assert!(!encoded.bytes().any(meaningful), "{encoded} has more than one meaning");
    assert_eq!(encoded.ends_with('/'), path.is_directory());
    assert_eq!(path::split(&encoded), (&encoded[..], None));
    let again = RelativePath::parse(&encoded);
    assert_eq!(again.as_ref(), Ok(path));
    assert_eq!(again.map(|again| again.encode()), Ok(encoded));
}

#[derive(Debug)]
struct Walked {
    segments: Vec<Vec<u8>>,
    directory: bool,
}

/// A judge: walks an escaped path from the root down. `None` if it is malformed or leads out of the root.
fn walk(raw: &str) -> Option<Walked> {
    let mut walked = Walked { segments: Vec::new(), directory: true };
    for segment in raw.strip_prefix('/')?.split('/') {
        let segment = unescape(segment)?;
        walked.directory = matches!(&segment[..], b"" | b"." | b"..");
        match &segment[..] {
            b"" | b"." => {}
            b".." => drop(walked.segments.pop()?),
            _ => walked.segments.push(segment),
        }
    }
    Some(walked)
}

/// A segment with each `%XX` decoded once; `None` if it holds a NUL, a slash, or a `%` that is no escape.
fn unescape(segment: &str) -> Option<Vec<u8>> {
    let mut parts = segment.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.as_bytes().split_at_checked(2)?;
        let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        decoded.push(u8::from_str_radix(digits, 16).ok()?);
        decoded.extend_from_slice(rest);
    }
    (!decoded.contains(&0) && !decoded.contains(&b'/')).then_some(decoded)
}
