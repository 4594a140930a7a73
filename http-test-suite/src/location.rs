//! Where a Location leads: a URI reference, resolved against the target of the request (RFC 3986 §5.2).

use crate::request::HOST;

/// Resolves `location`, the value of a Location header, against `target`, the target of the request. Returns the path,
/// query and fragment; `None` if it leads to another host, or would in a browser, which reads a backslash as a slash.
pub fn resolve(target: &str, location: &str) -> Option<String> {
    let (base, reference) = match location.strip_prefix("http://") {
        // The server may have added its port, which the Host header did not name.
        Some(rest) => {
            let rest = rest.strip_prefix(HOST)?.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit());
            ("/", Some(rest).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))?)
        }
        None if is_absolute(location) => return None,
        None => (target.split('?').next()?, location),
    };
    let (path, query) = reference.split_at(reference.find(['?', '#']).unwrap_or(reference.len()));
    if path.starts_with('\\')
        || path.strip_prefix('/').is_some_and(|rest| rest.starts_with(['/', '\\', '\t', ' ']))
    {
        return None;
    }
    let path = match path {
        "" => base.to_owned(),
        _ if path.starts_with('/') => without_dot_segments(path),
        _ => without_dot_segments(&format!("{}{path}", &base[..=base.rfind('/')?])),
    };
    Some(path + query)
}

/// Whether `text` consists of the characters of a URI reference: unreserved, reserved, or a percent sign with two
/// hexadecimal digits (RFC 3986 §2).
pub fn is_reference(text: &str) -> bool {
    let encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    !text.is_empty()
        && text.split('%').skip(1).all(encoded)
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c))
}

/// Whether the reference begins with a scheme: a colon comes before the first slash, question mark or hash.
fn is_absolute(reference: &str) -> bool {
    reference.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'))
}

/// Removes the dot segments of a path that begins with a slash (RFC 3986 §5.2.4). `%2e` counts as a dot, as in
/// browsers.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<_> = path.split('/').skip(1).collect();
    for (index, &segment) in segments.iter().enumerate() {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        if dots == ".." {
            kept.pop();
        }
        match dots.as_str() {
            "." | ".." if index + 1 == segments.len() => kept.push(""),
            "." | ".." => {}
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_leads_to_a_path_here_or_elsewhere() {
        for (target, location, expected) in [
            ("/", "/dir/?q", Some("/dir/?q")),
            ("/a?b/c", "http://test/dir/", Some("/dir/")),
            ("/", "http://test:80/dir/", Some("/dir/")),
            ("/a", "http://test", Some("/")),
            ("/dir", "dir/", Some("/dir/")),
            ("/a/b?c/d", "b/?c/d", Some("/a/b/?c/d")),
            ("/a/b", "../c/./d", Some("/c/d")),
            ("/a/%2e%2E/b", "b/", Some("/b/")),
            ("/a/b", "..", Some("/")),
            ("/a/b/", ".", Some("/a/b/")),
            ("/a/b", "?q", Some("/a/b?q")),
            ("/a:b", "./a:b/", Some("/a:b/")),
            ("/a:b", "a:b/", None),
            ("/", "//dir/", None),
            ("/", "/\\dir/", None),
            ("/", "\\dir/", None),
            ("/", "https://test/dir/", None),
            ("/", "http://tester/dir/", None),
            ("/", "http://test@example.org/", None),
            ("/", "http://test//dir/", None),
        ] {
            assert_eq!(resolve(target, location).as_deref(), expected, "{location} from {target}");
        }
    }

    #[test]
    fn knows_references() {
        assert!(is_reference("/dir/?a=%2F") && is_reference("http://[::1]:80/"));
        for bad in ["", "/a b", "/%4", "/%zz", "/\u{e9}", "/|"] {
            assert!(!is_reference(bad), "{bad}");
        }
    }
}
