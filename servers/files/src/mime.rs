//! Media types by file extension. The content of a file never decides its type.

/// Extensions whose media types replace those of `mime_guess`: JavaScript modules (RFC 9239) and source maps,
/// which are JSON.
const OVERRIDES: [(&str, &str); 2] = [("mjs", "text/javascript"), ("map", "application/json")];

/// The media type of a file that has no extension or an unknown one (RFC 9110 §8.3).
const UNKNOWN: &str = "application/octet-stream";

/// Returns the media type for the extension of `name`, which is the name or the path of a file.
///
/// Upper and lower case make no difference: `a.JPG` is `image/jpeg`. If there is no extension, or an unknown one, this
/// is `application/octet-stream` ([`UNKNOWN`]).
///
/// Text types have no `charset` parameter: only the author knows the encoding, and HTML files declare it themselves.
pub(super) fn media_type(name: &[u8]) -> &'static str {
    let dot = name.iter().rposition(|&byte| byte == b'.').unwrap_or(name.len());
    let Some(extension) = name.get(dot + 1..).and_then(|extension| std::str::from_utf8(extension).ok())
    else {
        return UNKNOWN;
    };
    match OVERRIDES.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)) {
        Some((_, media_type)) => media_type,
        None => mime_guess::from_ext(extension).first_raw().unwrap_or(UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_the_type() {
        for (expected, names) in [
            ("text/html", &["a.html", "a.htm"][..]),
            ("text/css", &["a.css"]),
            ("text/javascript", &["a.js", "a.mjs"]),
            ("image/jpeg", &["a.jpg", "A.JPEG"]),
            ("image/png", &["a.png"]),
            ("image/gif", &["a.gif"]),
            ("image/svg+xml", &["a.svg"]),
            ("image/avif", &["a.avif"]),
            ("image/x-icon", &["a.ico"]),
            ("application/x-shockwave-flash", &["a.swf"]),
            ("text/plain", &["a.txt", "text..txt"]),
            ("text/markdown", &["a.md"]),
            ("application/json", &["a.json", "a.js.MAP"]),
            ("application/manifest+json", &["a.webmanifest"]),
            ("application/wasm", &["a.wasm"]),
            ("font/woff2", &["a.woff2"]),
            ("application/pdf", &["a.pdf"]),
            ("application/gzip", &["a.tar.gz"]),
            (UNKNOWN, &["a.unheard-of", "html", "a.", ""]),
        ] {
            names.iter().for_each(|name| assert_eq!(media_type(name.as_bytes()), expected, "{name}"));
        }
        assert_eq!(media_type(b"a.\xff"), UNKNOWN);
    }
}
