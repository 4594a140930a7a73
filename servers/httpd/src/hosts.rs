//! The hosts of the sites: which site a request is for.

use std::{collections::HashMap, fmt, str::FromStr};

/// The longest host name that can match, in bytes (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;

/// A host that a site serves: a name or an IP address, or `*.` and a name for all names below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(
    /// In lower case. A pattern for names below another begins with the dot before this name.
    String,
);

/// Finds the site of a host, which serves or redirects it. Compares without case, port, and a dot at the end.
#[derive(Debug, Default)]
pub struct HostTable(HashMap<String, usize>);

impl HostTable {
    /// Adds a host of the site with this index. Returns false if a site has it already.
    pub fn insert(&mut self, HostPattern(host): HostPattern, site: usize) -> bool {
        self.0.insert(host, site).is_none()
    }

    /// Adds a host that the site with this index redirects, unless a site has it already.
    pub fn insert_redirected(&mut self, HostPattern(host): HostPattern, site: usize) {
        self.0.entry(host).or_insert(site);
    }

    /// Returns the index of the site that serves or redirects `host`, which may have a port: that with the same name,
    /// or else with the longest pattern.
    pub fn find(&self, host: &str) -> Option<usize> {
        let name = without_port(host);
        let mut buffer = [0; MAX_NAME];
        let buffer = buffer.get_mut(..name.len())?;
        buffer.copy_from_slice(name.as_bytes());
        buffer.make_ascii_lowercase();
        let name = std::str::from_utf8(buffer).ok().filter(|name| !name.starts_with('.'))?;
        let below = name.match_indices('.').map(|(dot, _)| &name[dot..]);
        std::iter::once(name).chain(below).find_map(|name| self.0.get(name).copied())
    }
}

impl HostPattern {
    /// Returns a host that matches.
    pub fn example(&self) -> String {
        format!("{}{}", if self.0.starts_with('.') { "x" } else { "" }, self.0)
    }

    /// Whether this is the name of `host`, which may have a port, or a pattern for it.
    pub fn matches(&self, host: &str) -> bool {
        let (name, pattern) = (without_port(host), &self.0);
        let end = if pattern.starts_with('.') { name.len().saturating_sub(pattern.len()) } else { 0 };
        name.get(end..).is_some_and(|name| name.eq_ignore_ascii_case(pattern))
    }
}

/// Whether a host has a port.
pub fn has_port(host: &str) -> bool {
    host[without_port(host).len()..].contains(':')
}

/// Removes the port from a host, and the dot at the end of a name.
fn without_port(host: &str) -> &str {
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let name = &host[..end];
    name.strip_suffix('.').unwrap_or(name)
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.0.starts_with('.') { "*" } else { "" }, self.0)
    }
}

impl FromStr for HostPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<HostPattern, &'static str> {
        let name = text.strip_prefix('*').unwrap_or(text);
        let is_below = name.len() < text.len();
        let is_address =
            || name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).is_some_and(is_ipv6);
        let labels = name.strip_prefix('.').filter(|_| is_below).unwrap_or(name);
        let is_name = |text: &str| {
            let is_label = |label: &str| {
                !label.is_empty()
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            };
            text.len() < MAX_NAME && text.split('.').all(is_label)
        };
        if !(is_name(labels) && is_below == (labels.len() < name.len()) || !is_below && is_address()) {
            return Err(
                "must be a name or an address without a port, as in example.org, *.example.org, [::1]",
            );
        }
        Ok(HostPattern(name.to_ascii_lowercase()))
    }
}

/// Whether `text` is an IPv6 address.
fn is_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_most_precise_host() {
        let mut table = HostTable::default();
        let patterns = ["a.example", "*.example", "*.b.Example", "[::1]", "127.0.0.1", "x.b.example"];
        for (index, pattern) in patterns.into_iter().enumerate() {
            assert!(table.insert(pattern.parse().expect(pattern), index), "{pattern}");
        }
        assert!(!table.insert("A.example".parse().expect("a name"), 9));
        let check = |host: &str, expected: Option<&str>| {
            assert_eq!(
                table.find(host).map(|index| if index == 9 { "a.example" } else { patterns[index] }),
                expected,
                "{host}"
            );
        };
        check("a.example", Some("a.example"));
        check("A.EXAMPLE.:8080", Some("a.example"));
        check("c.example", Some("*.example"));
        check("c.d.example", Some("*.example"));
        check("b.example", Some("*.example"));
        check("c.b.example", Some("*.b.Example"));
        check("d.c.b.example:80", Some("*.b.Example"));
        check("x.b.example", Some("x.b.example"));
        check("y.x.b.example", Some("*.b.Example"));
        check("[::1]:80", Some("[::1]"));
        check("127.0.0.1:80", Some("127.0.0.1"));
        for host in ["", ".", "example", ".example", "aexample", "127.0.0.2", "[::2]", &"a".repeat(300)] {
            check(host, None);
        }
    }

    #[test]
    fn a_pattern_matches_as_in_a_table() {
        let check = |pattern: &str, host: &str, expected: bool| {
            assert_eq!(
                pattern.parse::<HostPattern>().expect(pattern).matches(host),
                expected,
                "{pattern} {host}"
            );
        };
        check("a.example", "A.example.:80", true);
        check("a.example", "b.a.example", false);
        check("*.example", "b.A.example:80", true);
        check("*.example", "example", false);
        check("[::1]", "[::1]:80", true);
        check("*.example", "", false);
    }

    #[test]
    fn rejects_what_is_no_host() {
        for text in [
            "",
            "*",
            "*.",
            "*a.example",
            "a.*.example",
            "a..b",
            ".a",
            "a.",
            "a:80",
            "[::1",
            "::1",
            "*[::1]",
            "a b",
            "é",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
