//! A normalised path stays below the root, and has one encoding.
//!
//! Property: `path::normalize` does not panic, and its result has no empty segment, no `.`, no `..` and no NUL; the
//! standard library finds only names in it as well. The result is that of decoding the path once and then following its
//! segments one by one. `encode` returns a path on this host without characters that are special in HTML or in a header
//! line, and normalising it returns the same path. `reference_from` returns a reference without a scheme and an
//! authority.
//!
//! Input: a request target.

use http_core::path::{self, PathError, RelativePath};
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
        let mut normal = Vec::new();
        let result = path::normalize(raw.as_bytes(), &mut normal);
        assert_eq!(result.is_ok(), walk(raw).is_some(), "{result:?} of {raw:?}");
        let Some(path) = RelativePath::new(&normal) else {
            assert!(
                matches!(result, Err(PathError::Nul | PathError::BadEscape)),
                "not normalised: {normal:?}"
            );
            continue;
        };
        check_safe(&path);
        if let Some(expected) = walk(raw) {
            assert_eq!(segments(&path), expected.segments);
            assert_eq!(path.is_directory(), expected.directory);
            check_encoded(&path, raw);
        }
    }
}

fn segments<'p>(path: &RelativePath<'p>) -> Vec<&'p [u8]> {
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

/// `raw` is a path as sent that normalises to `path`.
fn check_encoded(path: &RelativePath<'_>, raw: &str) {
    let encoded = path.encode();
    let is_special = |byte: u8| !byte.is_ascii_graphic() || b"\\\"'<>&?#`{}|^[]".contains(&byte);
    assert!(encoded.starts_with('/') && !encoded.starts_with("//"), "{encoded} may name another host");
    assert!(!encoded.bytes().any(is_special), "{encoded} contains special characters");
    assert_eq!(encoded.ends_with('/'), path.is_directory());
    let mut again = Vec::new();
    assert_eq!(path::normalize(encoded.as_bytes(), &mut again), Ok(()));
    assert_eq!(RelativePath::new(&again).as_ref(), Some(path));

    let reference = path.reference_from(raw);
    let first = reference.split('/').next().unwrap_or_default();
    assert!(!reference.is_empty() && !reference.starts_with('/') && !first.contains(':'), "{reference}");
    assert!(!reference.bytes().any(is_special), "{reference} contains special characters");
}

#[derive(Debug)]
struct Walked {
    segments: Vec<Vec<u8>>,
    directory: bool,
}

/// An oracle: decodes a path, and follows it from the root down. `None` if it is malformed or leads out of the root.
fn walk(raw: &str) -> Option<Walked> {
    let mut walked = Walked { segments: Vec::new(), directory: true };
    for segment in unescape(raw)?.split(|&byte| byte == b'/') {
        walked.directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(walked.segments.pop()?),
            _ => walked.segments.push(segment.to_vec()),
        }
    }
    Some(walked)
}

/// Decodes each `%XX` once; `None` if the result contains a NUL, or a `%` begins no escape.
fn unescape(raw: &str) -> Option<Vec<u8>> {
    let mut parts = raw.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.as_bytes().split_at_checked(2)?;
        let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        decoded.push(u8::from_str_radix(digits, 16).ok()?);
        decoded.extend_from_slice(rest);
    }
    (!decoded.contains(&0)).then_some(decoded)
}
