//! The cookies that a server sets: the value of a `Set-Cookie` header (RFC 6265 §4.1, and its successor draft "6265bis"
//! for SameSite, Partitioned and the prefixes of names).

use crate::types::{error::HeaderError, grammar, http_date};
use std::time::{Duration, SystemTime};

/// The maximum number of bytes of name and value together. Browsers ignore larger cookies (6265bis §5.6).
const MAX_COOKIE_BYTES: usize = 4096;

/// The maximum number of bytes of a path or a domain. Browsers ignore longer ones (6265bis §5.6).
const MAX_ATTRIBUTE_BYTES: usize = 1024;

/// A cookie for the client to store. [`Response::with_cookie`](crate::Response::with_cookie) sets it.
///
/// ```
/// use http_core::{Response, SameSite, SetCookie};
/// use std::time::Duration;
///
/// let cookie = SetCookie::new("__Host-session", "31d4d96e407aad42")
///     .with_path("/")
///     .with_max_age(Duration::from_secs(3600))
///     .with_same_site(SameSite::Lax)
///     .with_secure()
///     .with_http_only();
/// let response = Response::text("Welcome").with_cookie(cookie);
/// assert_eq!(
///     response.header("Set-Cookie"),
///     Some(&b"__Host-session=31d4d96e407aad42; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax"[..]),
/// );
/// ```
///
/// A value may contain visible ASCII characters without quotes, commas, semicolons and backslashes. Encode any other
/// text, for example in percent-escapes or Base64.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "a cookie is set only by a response"]
pub struct SetCookie {
    name: String,
    value: String,
    path: Option<String>,
    domain: Option<String>,
    max_age: Option<Duration>,
    expires: Option<SystemTime>,
    same_site: Option<SameSite>,
    is_secure: bool,
    is_http_only: bool,
    is_partitioned: bool,
}

/// Which requests of other sites carry a cookie (6265bis §4.1.2.7).
///
/// ```
/// use http_core::{SameSite, SetCookie};
///
/// let cookie = SetCookie::new("a", "1").with_same_site(SameSite::Strict);
/// assert_eq!(cookie.to_value()?, "a=1; SameSite=Strict");
/// // Browsers ignore such a cookie without Secure.
/// assert!(SetCookie::new("a", "1").with_same_site(SameSite::None).to_value().is_err());
/// # Ok::<(), http_core::HeaderError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// No request of another site carries it.
    Strict,
    /// The request carries it when the user follows a link from another site. No other request of another site does.
    Lax,
    /// All requests carry it. The cookie must be [secure](SetCookie::with_secure).
    None,
}

impl SetCookie {
    /// Creates a cookie that the client stores until it ends its session, and sends to this host only, for paths below
    /// that of the request.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> SetCookie {
        SetCookie {
            name: name.into(),
            value: value.into(),
            path: None,
            domain: None,
            max_age: None,
            expires: None,
            same_site: None,
            is_secure: false,
            is_http_only: false,
            is_partitioned: false,
        }
    }

    /// Creates a cookie that makes the client remove the one with this name. It needs the path and the domain that the
    /// cookie was set with, and Secure if the name has a prefix.
    ///
    /// ```
    /// use http_core::SetCookie;
    ///
    /// let removal = SetCookie::removal("session").with_path("/");
    /// assert_eq!(removal.to_value()?, "session=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
    /// # Ok::<(), http_core::HeaderError>(())
    /// ```
    pub fn removal(name: impl Into<String>) -> SetCookie {
        SetCookie::new(name, "").with_max_age(Duration::ZERO).with_expires(SystemTime::UNIX_EPOCH)
    }

    /// Sends the cookie only for this path and those below it.
    pub fn with_path(self, path: impl Into<String>) -> SetCookie {
        SetCookie { path: Some(path.into()), ..self }
    }

    /// Sends the cookie to this host and its subdomains. Without it, only to the host that has set it.
    pub fn with_domain(self, domain: impl Into<String>) -> SetCookie {
        SetCookie { domain: Some(domain.into()), ..self }
    }

    /// Limits the life of the cookie, in whole seconds. Clients ignore [`with_expires`](SetCookie::with_expires) then.
    pub fn with_max_age(self, max_age: Duration) -> SetCookie {
        SetCookie { max_age: Some(max_age), ..self }
    }

    /// Sets the moment when the client removes the cookie. A moment before 1970 or after the year 9999 becomes the
    /// nearest one between.
    pub fn with_expires(self, expires: SystemTime) -> SetCookie {
        SetCookie { expires: Some(expires), ..self }
    }

    /// Chooses which requests of other sites carry the cookie.
    pub fn with_same_site(self, same_site: SameSite) -> SetCookie {
        SetCookie { same_site: Some(same_site), ..self }
    }

    /// Sends the cookie over secure connections only.
    pub fn with_secure(self) -> SetCookie {
        SetCookie { is_secure: true, ..self }
    }

    /// Hides the cookie from scripts.
    pub fn with_http_only(self) -> SetCookie {
        SetCookie { is_http_only: true, ..self }
    }

    /// Stores the cookie separately for each site that embeds this one. The cookie must be
    /// [secure](SetCookie::with_secure).
    pub fn with_partitioned(self) -> SetCookie {
        SetCookie { is_partitioned: true, ..self }
    }

    /// Returns the value of the Set-Cookie header.
    ///
    /// # Errors
    ///
    /// If browsers would ignore the cookie or misread it: the name is not a token, or the value, the path or the domain
    /// contains a character that it must not contain or is too long; or the cookie is not secure, though SameSite=None,
    /// Partitioned or the prefix `__Secure-` or `__Host-` of its name requires it; or a cookie with the prefix
    /// `__Host-` has a domain, or another path than `/`.
    pub fn to_value(&self) -> Result<String, HeaderError> {
        self.check()?;
        let mut text = format!("{}={}", self.name, self.value);
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                text.extend(["; ", name, value]);
            }
        };
        add("Path=", self.path.as_deref());
        add("Domain=", self.domain.as_deref());
        add("Max-Age=", self.max_age.map(|age| age.as_secs().to_string()).as_deref());
        add("Expires=", self.expires.map(http_date::format).as_deref());
        add("Secure", self.is_secure.then_some(""));
        add("HttpOnly", self.is_http_only.then_some(""));
        add("SameSite=", self.same_site.map(SameSite::as_str));
        add("Partitioned", self.is_partitioned.then_some(""));
        Ok(text)
    }

    /// Checks the cookie, as [`to_value`](SetCookie::to_value) describes it.
    fn check(&self) -> Result<(), HeaderError> {
        let has_prefix = |prefix: &str| {
            // 6265bis §5.4: browsers ignore case.
            self.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let is_attribute = |text: &Option<String>, allowed: fn(u8) -> bool| {
            text.iter().all(|text| text.len() <= MAX_ATTRIBUTE_BYTES && text.bytes().all(allowed))
        };
        let is_host = has_prefix("__Host-");
        let needs_secure = is_host
            || has_prefix("__Secure-")
            || self.is_partitioned
            || self.same_site == Some(SameSite::None);
        // RFC 6265 §4.1.1: the value may be quoted.
        let value = self.value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        if !grammar::is_token(self.name.as_bytes()) {
            Err(HeaderError::CookieName)
        } else if !value.unwrap_or(&self.value).bytes().all(is_cookie_octet)
            || self.name.len() + self.value.len() > MAX_COOKIE_BYTES
        {
            Err(HeaderError::CookieValue)
        } else if !is_attribute(&self.path, |byte| byte != b';' && matches!(byte, b' '..=b'~'))
            || !is_attribute(&self.domain, |byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
            || self.path.as_ref().is_some_and(|path| !path.starts_with('/'))
            || self.domain.as_ref().is_some_and(String::is_empty)
        {
            Err(HeaderError::CookieAttribute)
        } else if needs_secure && !self.is_secure {
            Err(HeaderError::CookieNotSecure)
        } else if is_host && (self.domain.is_some() || self.path.as_deref() != Some("/")) {
            Err(HeaderError::CookieHost)
        } else {
            Ok(())
        }
    }
}

impl SameSite {
    /// Returns the value of the attribute.
    fn as_str(self) -> &'static str {
        match self {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        }
    }
}

/// Returns whether the value of a cookie may contain this byte: `cookie-octet` of RFC 6265 §4.1.1.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cookie: &SetCookie, expected: Result<&str, HeaderError>) {
        assert_eq!(cookie.to_value(), expected.map(str::to_owned), "{cookie:?}");
    }

    #[test]
    fn writes_all_attributes() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_900);
        check(&SetCookie::new("a", ""), Ok("a="));
        check(&SetCookie::new("a", "\"b=c\""), Ok("a=\"b=c\""));
        check(
            &SetCookie::new("a", "b")
                .with_partitioned()
                .with_secure()
                .with_http_only()
                .with_same_site(SameSite::None)
                .with_expires(moment)
                .with_max_age(Duration::from_millis(61_900))
                .with_domain("example.org")
                .with_path("/a b"),
            Ok(
                "a=b; Path=/a b; Domain=example.org; Max-Age=61; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Secure; \
                HttpOnly; SameSite=None; Partitioned",
            ),
        );
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(400_000_000_000);
        check(&SetCookie::new("a", "").with_expires(far), Ok("a=; Expires=Fri, 31 Dec 9999 23:59:59 GMT"));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        check(&SetCookie::new("a", "").with_expires(before), Ok("a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
    }

    #[test]
    fn rejects_what_breaks_the_header() {
        for name in ["", "a b", "a=", "a;b", "\u{e9}", "a\r\nb"] {
            check(&SetCookie::new(name, ""), Err(HeaderError::CookieName));
        }
        for value in ["a;b", "a b", "a,b", "\"", "\"a", "a\"b\"", "a\\", "\u{e9}", "a\r\nX: y"] {
            check(&SetCookie::new("a", value), Err(HeaderError::CookieValue));
        }
        for path in ["", "a", "/a;b", "/\r\n", "/\u{e9}"] {
            check(&SetCookie::new("a", "b").with_path(path), Err(HeaderError::CookieAttribute));
        }
        for domain in ["", "a;b", "a b", "a\n"] {
            check(&SetCookie::new("a", "b").with_domain(domain), Err(HeaderError::CookieAttribute));
        }
    }

    #[test]
    fn rejects_what_browsers_ignore() {
        let longest = "x".repeat(MAX_COOKIE_BYTES - 1);
        check(&SetCookie::new("a", &*longest), Ok(&format!("a={longest}")));
        check(&SetCookie::new("a", format!("{longest}x")), Err(HeaderError::CookieValue));
        check(&SetCookie::new("ab", longest), Err(HeaderError::CookieValue));
        let path = "/".repeat(MAX_ATTRIBUTE_BYTES + 1);
        check(&SetCookie::new("a", "").with_path(path), Err(HeaderError::CookieAttribute));
        for insecure in [
            SetCookie::new("__secure-a", ""),
            SetCookie::new("__Host-a", "").with_path("/"),
            SetCookie::new("a", "").with_same_site(SameSite::None),
            SetCookie::new("a", "").with_partitioned(),
        ] {
            check(&insecure, Err(HeaderError::CookieNotSecure));
            assert!(insecure.with_secure().to_value().is_ok());
        }
        let host = SetCookie::new("__HOST-a", "").with_secure();
        check(&host, Err(HeaderError::CookieHost));
        check(&host.clone().with_path("/a"), Err(HeaderError::CookieHost));
        check(&host.with_path("/").with_domain("a"), Err(HeaderError::CookieHost));
    }
}
