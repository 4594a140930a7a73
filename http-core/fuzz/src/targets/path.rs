//! A path stays below the root that it is joined to, and has one encoding.
//!
//! Property: `RelativePath::parse` does not panic, and its result has no empty segment, no `.`, no `..` and no NUL; the
//! standard library finds only names in it as well. The result is that of decoding each segment once and then following
//! them one by one. `encode` returns a path on this host without characters that are special in HTML or in a header line,
//! and parsing it returns the same path.
//!
//! Input: a request target.

use http_core::path::{PathError, RelativePath};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path},
};

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let Ok(target) = str::from_utf8(data) else { return };
    // The path of a target, and the whole of it.
    for raw in [target.split(['?', '#']).next().unwrap_or_default(), target] {
        let parsed = RelativePath::parse(raw);
        match (&parsed, walk(raw)) {
            (Ok(path), Some(expected)) => {
                assert_eq!(segments(path), expected.segments);
                assert_eq!(path.is_directory(), expected.directory);
                check_safe(path);
                check_encoded(path);
            }
            (Err(error), None) => assert_eq!(*error == PathError::NotAbsolute, !raw.starts_with('/')),
            (parsed, walked) => panic!("{parsed:?} is not {walked:?}"),
        }
    }
}

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
    assert_eq!(names.as_deref(), Some(&segments[..]), "the standard library finds other names");

    let mut dotted = segments.iter().enumerate().filter(|(_, segment)| segment.starts_with(b"."));
    assert_eq!(path.is_hidden(), dotted.any(|segment| segment != (0, &&b".well-known"[..])));
}

fn check_encoded(path: &RelativePath<'_>) {
    let encoded = path.encode();
    let is_special = |byte: u8| !byte.is_ascii_graphic() || b"\\\"'<>&?#`{}|^[]".contains(&byte);
    assert!(encoded.starts_with('/') && !encoded.starts_with("//"), "{encoded} may name another host");
    assert!(!encoded.bytes().any(is_special), "{encoded} contains special characters");
    assert_eq!(encoded.ends_with('/'), path.is_directory());
    let again = RelativePath::parse(&encoded);
    assert_eq!(again.as_ref(), Ok(path));
    assert_eq!(again.map(|again| again.encode()), Ok(encoded));
}

#[derive(Debug)]
struct Walked {
    segments: Vec<Vec<u8>>,
    directory: bool,
}

/// A judge: follows an escaped path from the root down. `None` if it is malformed or leads out of the root.
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

/// Decodes each `%XX` of a segment once; `None` if it contains a NUL, a slash, or a `%` that begins no escape.
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
