//! Media types by file extension.

/// Types that browsers and other servers use today in place of those of `mime_guess` (RFC 9239, RFC 8081,
/// convention).
const OVERRIDES: [(&str, &str); 10] = [
    ("js", "text/javascript"),
    ("mjs", "text/javascript"),
    ("swf", "application/x-shockwave-flash"),
    ("ico", "image/x-icon"),
    ("webmanifest", "application/manifest+json"),
    ("wasm", "application/wasm"),
    ("avif", "image/avif"),
    ("map", "application/json"),
    ("md", "text/markdown"),
    ("gz", "application/gzip"),
];

/// The type of a file with no extension or an unknown one (RFC 9110 §8.3).
const UNKNOWN: &str = "application/octet-stream";

/// The media type of a file with this name.
///
/// Text types have no `charset` parameter: only the author knows the encoding, and HTML files declare it themselves.
pub(super) fn media_type(name: &[u8]) -> &'static str {
    let dot = name.iter().rposition(|&byte| byte == b'.').unwrap_or(name.len());
    let Some(extension) = name.get(dot + 1..).and_then(|extension| std::str::from_utf8(extension).ok())
    else {
        return UNKNOWN;
    };
    let overridden = OVERRIDES.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension));
    match overridden {
        Some((_, media_type)) => media_type,
        None => mime_guess::from_ext(extension).first_raw().unwrap_or(UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_the_type() {
        for (name, expected) in [
            ("a.html", "text/html"),
            ("a.htm", "text/html"),
            ("a.css", "text/css"),
            ("a.js", "text/javascript"),
            ("a.jpg", "image/jpeg"),
            ("A.JPEG", "image/jpeg"),
            ("a.png", "image/png"),
            ("a.gif", "image/gif"),
            ("a.svg", "image/svg+xml"),
            ("a.swf", "application/x-shockwave-flash"),
            ("a.txt", "text/plain"),
            ("text..txt", "text/plain"),
            ("a.json", "application/json"),
            ("a.woff2", "font/woff2"),
            ("a.pdf", "application/pdf"),
            ("a.tar.gz", "application/gzip"),
            ("a.unheard-of", UNKNOWN),
            ("html", UNKNOWN),
            ("a.", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(media_type(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(media_type(b"a.\xff"), UNKNOWN);
    }
}
