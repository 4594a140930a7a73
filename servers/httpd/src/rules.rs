//! Redirects and rewrites of a site.
//!
//! They compare the path in its normalised form, so that no other spelling of a path avoids a rule.

use crate::hosts::{HostPattern, has_port};
use http_engine::{Admit, Handler, Rejected, Reply, Request, Response, Status, path::RelativePath, uri};
use http_files::{Denied, Options, RewrittenPath, is_preflight};
use std::{str::FromStr, sync::Arc};

/// The most redirects that may follow each other. Browsers follow 20.
const MAX_CHAIN: usize = 10;

/// The rules of a site. The first rule that matches applies: redirects of the host, redirects of the path, rewrites.
#[derive(Debug, Default)]
pub struct Rules {
    pub hosts: Vec<HostRedirect>,
    pub redirects: Vec<Redirect>,
    pub rewrites: Vec<Rewrite>,
}

/// Redirects all requests for a host to another one.
#[derive(Clone, Debug)]
pub struct HostRedirect {
    pub from: HostPattern,
    /// A host, which may have a port.
    to: String,
}

/// Redirects the requests for the paths that match a template.
#[derive(Clone, Debug)]
pub struct Redirect {
    pub from: Template,
    pub to: Destination,
    pub status: RedirectStatus,
}

/// Serves the paths that match a template as if another path had been requested.
#[derive(Clone, Debug)]
pub struct Rewrite {
    pub from: Template,
    pub to: Template,
}

/// A path with parameters: `{name}` is a segment, and `{*name}` at the end is all that follows, also nothing.
#[derive(Clone, Debug)]
pub struct Template(Vec<Token>);

/// Where a redirect leads: to a path of the same host, or to a URL.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The scheme and the authority of a URL.
    origin: Option<String>,
    path: Template,
}

/// The status of a redirect.
#[derive(Clone, Copy, Debug)]
pub struct RedirectStatus(Status);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(String),
    /// A segment with this name.
    Segment(String),
    /// All that follows, with this name.
    Rest(String),
}

/// The values of the parameters in a path.
type Values<'t, 'p> = Vec<(&'t str, &'p [u8])>;

impl Rules {
    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.redirects.is_empty() && self.rewrites.is_empty()
    }

    /// Finds redirects that lead to each other, or that more than ten others follow, also on other sites: `rules_of`
    /// returns the rules of the site with a host. Tries each with example paths, because a template can match
    /// infinitely many.
    ///
    /// # Errors
    ///
    /// If there are such redirects. The message names them.
    pub fn check<'r>(&'r self, rules_of: impl Fn(&str) -> Option<&'r Rules>) -> Result<(), String> {
        for HostRedirect { from, to } in &self.hosts {
            if self.hosts.iter().any(|other| other.from.matches(to)) {
                return Err(format!("redirect-host: {from} leads to {to}, which is redirected too"));
            }
        }
        let of_hosts = self.hosts.iter().map(|redirect| (redirect.from.example(), b"/x".to_vec()));
        let examples = |redirect: &Redirect| ["", "x", "x/y"].map(|rest| redirect.from.example(rest));
        let of_paths = self.redirects.iter().flat_map(examples).map(|path| (String::new(), path));
        for (host, path) in of_hosts.chain(of_paths) {
            let first = Location { rules: self, host, path };
            let mut chain = std::iter::successors(Some(first.clone()), |location| location.next(&rules_of));
            if chain.nth(MAX_CHAIN).is_some() {
                let Location { host, path, .. } = first;
                let path = String::from_utf8_lossy(&path);
                return Err(format!(
                    "redirect: {host}{path} leads to a loop, or to more than {MAX_CHAIN} redirects"
                ));
            }
        }
        Ok(())
    }

    /// Whether a request may be redirected.
    pub fn has_redirects(&self) -> bool {
        !self.hosts.is_empty() || !self.redirects.is_empty()
    }

    /// Returns the redirect that applies to a path.
    fn redirected<'r, 'p>(&'r self, path: &'p [u8]) -> Option<(&'r Redirect, Values<'r, 'p>)> {
        self.redirects.iter().find_map(|redirect| Some((redirect, redirect.from.values(path)?)))
    }

    /// Returns the redirect of a request, if one applies.
    fn redirect(&self, request: &Request<'_>) -> Option<Redirection> {
        let host =
            request.host().and_then(|host| self.hosts.iter().find(|redirect| redirect.from.matches(host)));
        if let Some(HostRedirect { to, .. }) = host {
            let path = RelativePath::new(request.path_bytes())?;
            // Without TLS also without a scheme: a proxy may have received the request over TLS.
            let scheme = if request.is_secure() { "https:" } else { "" };
            let location = with_query(format!("{scheme}//{to}{}", path.encode()), request);
            return Some(Redirection { status: Status::PERMANENT_REDIRECT, location });
        }
        let (redirect, values) = self.redirected(request.path_bytes())?;
        let location = redirect.to.location(&values, request)?;
        Some(Redirection { status: redirect.status.0, location })
    }

    /// Returns the path to serve in place of `path`, if a rewrite applies.
    fn rewrite(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.rewrites.iter().find_map(|rewrite| Some(rewrite.to.expand(&rewrite.from.values(path)?)))
    }
}

/// Appends the query of the request.
fn with_query(location: String, request: &Request<'_>) -> String {
    match request.raw_query() {
        Some(query) => format!("{location}?{}", uri::normalize_query(query)),
        None => location,
    }
}

/// Where redirects have led, for [`Rules::check`].
#[derive(Clone)]
struct Location<'r> {
    rules: &'r Rules,
    /// Empty if any host of the site.
    host: String,
    path: Vec<u8>,
}

impl<'r> Location<'r> {
    /// Returns where a redirect leads from here, unless that is another server.
    fn next(&self, rules_of: impl Fn(&str) -> Option<&'r Rules>) -> Option<Location<'r>> {
        let Location { rules, host, path } = self;
        let to_host =
            |host: &str, path| Some(Location { rules: rules_of(host)?, host: host.to_owned(), path });
        if let Some(HostRedirect { to, .. }) = rules.hosts.iter().find(|redirect| redirect.from.matches(host))
        {
            return to_host(to, path.clone());
        }
        let (Redirect { to, .. }, values) = rules.redirected(path)?;
        let next = to.path.expand(&values);
        let Some(origin) = &to.origin else { return Some(Location { path: next, ..self.clone() }) };
        let (scheme, authority) = origin.split_once("://")?;
        // Another server may listen on the port of HTTPS, or on a port that is named.
        let is_elsewhere = scheme == "https" && next == *path || has_port(authority);
        if is_elsewhere { None } else { to_host(authority, next) }
    }
}

impl Template {
    /// Returns the values of the parameters in `path`, or `None` if it does not match.
    fn values<'t, 'p>(&'t self, path: &'p [u8]) -> Option<Values<'t, 'p>> {
        let (mut left, mut values) = (path, Vec::new());
        for token in &self.0 {
            let length = match token {
                Token::Literal(text) => text.len(),
                Token::Segment(_) => left.iter().position(|byte| *byte == b'/').unwrap_or(left.len()),
                Token::Rest(_) => left.len(),
            };
            let (value, rest) = left.split_at_checked(length)?;
            match token {
                Token::Literal(text) if text.as_bytes() != value => return None,
                Token::Segment(_) if value.is_empty() => return None,
                Token::Literal(_) => {}
                Token::Segment(name) | Token::Rest(name) => values.push((&**name, value)),
            }
            left = rest;
        }
        left.is_empty().then_some(values)
    }

    /// Returns the path with these values. They are those of a template that has all parameters of this one.
    fn expand(&self, values: &Values<'_, '_>) -> Vec<u8> {
        let value =
            |name: &str| values.iter().find(|(other, _)| *other == name).map_or(&b""[..], |(_, value)| value);
        let parts = self.0.iter().map(|token| match token {
            Token::Literal(text) => text.as_bytes(),
            Token::Segment(name) | Token::Rest(name) => value(name),
        });
        parts.flatten().copied().collect()
    }

    /// Returns a path that matches. What follows at its end is `rest`.
    fn example(&self, rest: &str) -> Vec<u8> {
        let parts = self.0.iter().map(|token| match token {
            Token::Literal(text) => text.as_str(),
            Token::Segment(_) => "x",
            Token::Rest(_) => rest,
        });
        parts.collect::<String>().into_bytes()
    }

    /// Fails if `self` has a parameter that `from` does not have.
    fn check_against(&self, from: &Template) -> Result<(), String> {
        match self.0.iter().find(|token| !matches!(token, Token::Literal(_)) && !from.0.contains(token)) {
            Some(Token::Segment(name) | Token::Rest(name)) => {
                Err(format!("from has no parameter {name} of this kind"))
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Template {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Template, &'static str> {
        const FORM: &str =
            "must be a path whose parameters are whole segments, as in /old/{name}, /old/{*rest}";
        let mut tokens = Vec::new();
        let mut left = text;
        while let Some((literal, rest)) = left.split_once('{') {
            let (name, rest) = rest.split_once('}').ok_or(FORM)?;
            let is_rest = name.starts_with('*');
            let name = name.trim_start_matches('*');
            let is_name =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let is_whole = literal.ends_with('/') && (rest.is_empty() || rest.starts_with('/') && !is_rest);
            if !is_name || !is_whole || literal.contains('}') {
                return Err(FORM);
            }
            tokens.push(Token::Literal(literal.to_owned()));
            tokens.push(if is_rest { Token::Rest(name.to_owned()) } else { Token::Segment(name.to_owned()) });
            left = rest;
        }
        tokens.push(Token::Literal(left.to_owned()));
        let template = Template(tokens);
        let is_path = RelativePath::new(&template.example("x")).is_some();
        if is_path && !left.contains(['}', '?', '#']) { Ok(template) } else { Err(FORM) }
    }
}

impl Destination {
    /// Returns the location for a request.
    fn location(&self, values: &Values<'_, '_>, request: &Request<'_>) -> Option<String> {
        let path = self.path.expand(values);
        let path = RelativePath::new(&path)?;
        Some(match &self.origin {
            Some(origin) => with_query(format!("{origin}{}", path.encode()), request),
            None => request.reference_to(path),
        })
    }
}

impl FromStr for Destination {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Destination, &'static str> {
        const FORM: &str =
            "must be a path or a URL without a query, as in /new/{name}, https://example.org/{*rest}";
        let (origin, path) = match text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
            Some(rest) => {
                let (host, path) = rest.split_at(rest.find('/').ok_or(FORM)?);
                // A parameter in the host would let clients choose where they are sent.
                if host.is_empty() || !uri::is_valid(host) || host.contains(['?', '{', '@']) {
                    return Err(FORM);
                }
                (Some(text[..text.len() - path.len()].to_owned()), path)
            }
            None => (None, text),
        };
        Ok(Destination { origin, path: path.parse().map_err(|_| FORM)? })
    }
}

impl FromStr for RedirectStatus {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<RedirectStatus, &'static str> {
        let status = match text {
            "301" => Status::MOVED_PERMANENTLY,
            "302" => Status::FOUND,
            "303" => Status::SEE_OTHER,
            "307" => Status::TEMPORARY_REDIRECT,
            "308" => Status::PERMANENT_REDIRECT,
            _ => return Err("must be 301, 302, 303, 307 or 308"),
        };
        Ok(RedirectStatus(status))
    }
}

impl FromStr for HostRedirect {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<HostRedirect, &'static str> {
        const FORM: &str = "must be two hosts, as in www.example.org=example.org";
        let (from, to) = text.split_once('=').ok_or(FORM)?;
        let is_host = !to.is_empty() && uri::is_valid(to) && !to.contains(['/', '?', '@']);
        Ok(HostRedirect {
            from: from.parse().map_err(|_| FORM)?,
            to: is_host.then(|| to.to_owned()).ok_or(FORM)?,
        })
    }
}

impl Redirect {
    /// Creates a redirect.
    ///
    /// # Errors
    ///
    /// If `to` has a parameter that `from` does not have.
    pub fn new(from: Template, to: Destination, status: RedirectStatus) -> Result<Redirect, String> {
        to.path.check_against(&from)?;
        Ok(Redirect { from, to, status })
    }
}

impl Rewrite {
    /// Creates a rewrite.
    ///
    /// # Errors
    ///
    /// If `to` has a parameter that `from` does not have.
    pub fn new(from: Template, to: Template) -> Result<Rewrite, String> {
        to.check_against(&from)?;
        Ok(Rewrite { from, to })
    }
}

/// Where a request is redirected. [`Ruled`] attaches it to the request, and [`Redirecting`] responds.
struct Redirection {
    status: Status,
    location: String,
}

/// Applies the rules of a site to the requests for it. The redirects need a [`Redirecting`] in the handler of the site.
pub struct Ruled {
    pub rules: Arc<Rules>,
    pub site: Arc<dyn Handler>,
}

impl Handler for Ruled {
    fn admit(&self, head: &Request<'_>) -> Admit {
        if self.rules.redirect(head).is_some() { Admit::AtHead } else { self.site.admit(head) }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        if let Some(redirect) = self.rules.redirect(request) {
            // Shared: a copy of the request, which waits for a password to be verified, keeps it.
            let request = request.with_shared_extension(Arc::new(redirect));
            return self.site.handle(&request.as_request());
        }
        match self.rules.rewrite(request.path_bytes()) {
            Some(path) => {
                let request = request.with_shared_extension(Arc::new(RewrittenPath(path)));
                self.site.handle(&request.as_request())
            }
            None => self.site.handle(request),
        }
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.site.rejected(rejected, response)
    }
}

/// Redirects requests in place of a directory, behind its access rules: only clients that may request the path learn
/// where it leads.
pub struct Redirecting<H> {
    pub files: H,
    /// How the files are served.
    pub options: Arc<Options>,
}

impl<H: Handler> Handler for Redirecting<H> {
    fn admit(&self, head: &Request<'_>) -> Admit {
        self.files.admit(head)
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        match request.extension::<Redirection>() {
            // Browsers follow no redirect of a preflight request.
            Some(Redirection { status, location })
                if request.extension::<Denied>().is_none()
                    && (self.options.cors.is_none() || !is_preflight(request)) =>
            {
                let response = Response::error(*status).with_header("Location", location);
                self.options.complete(Some(request), response).into()
            }
            _ => self.files.handle(request),
        }
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.files.rejected(rejected, response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    /// Parses a value of the configuration.
    fn parse<T: FromStr<Err: Debug>>(text: &str) -> T {
        text.parse().expect(text)
    }

    /// Returns the redirects from the first path of each pair to the second one.
    fn redirects(pairs: &[(&str, &str)]) -> Rules {
        let redirect =
            |&(from, to): &(&str, &str)| Redirect::new(parse(from), parse(to), parse("308")).expect(to);
        Rules { redirects: pairs.iter().map(redirect).collect(), ..Rules::default() }
    }

    #[test]
    fn templates_match_whole_paths() {
        let check = |from: &str, to: &str, path: &str, expected: Option<&str>| {
            let (from, to): (Template, Template) = (parse(from), parse(to));
            let expanded = from.values(path.as_bytes()).map(|values| to.expand(&values));
            assert_eq!(expanded.as_deref(), expected.map(str::as_bytes), "{from:?} {path}");
        };
        check("/old", "/new", "/old", Some("/new"));
        check("/old", "/new", "/old/", None);
        check("/old", "/new", "/older", None);
        check("/old/{name}", "/new/{name}", "/old/a b", Some("/new/a b"));
        check("/old/{name}", "/new/{name}", "/old/a/", None);
        check("/old/{name}", "/new/{name}", "/old/", None);
        check("/{a}/x/{b}/", "/{b}/{a}", "/1/x/2/", Some("/2/1"));
        check("/old/{*rest}", "/new/{*rest}", "/old/a/b/", Some("/new/a/b/"));
        check("/old/{*rest}", "/new/{*rest}", "/old/", Some("/new/"));
        check("/old/{*rest}", "/new/{*rest}", "/old", None);
        check("/{*rest}", "/index.html", "/", Some("/index.html"));
        for text in [
            "", "old", "/a{b}", "/{a}b", "/{}", "/{*a}/b", "/{a", "/a}", "/a//b", "/../a", "/a?b", "/a#b",
            "/{a-b}",
        ] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
        for text in [
            "",
            "a",
            "//host/",
            "https://host",
            "https:///a",
            "https://{a}/",
            "https://a@b/",
            "ftp://a/",
            "https://a b/",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
        for text in ["a", "a=", "=a", "a=b/c", "a:1=b"] {
            assert!(text.parse::<HostRedirect>().is_err(), "{text}");
        }
        assert!(Rewrite::new(parse("/{a}"), parse("/{b}")).is_err());
        assert!(Rewrite::new(parse("/{*a}"), parse("/{a}")).is_err());
    }

    #[test]
    fn finds_redirects_that_do_not_end() {
        let check = |pairs: &[(&str, &str)], is_sound: bool| {
            assert_eq!(redirects(pairs).check(|_| None).is_ok(), is_sound, "{pairs:?}");
        };
        check(&[("/a", "/b"), ("/b", "/c")], true);
        check(&[("/a", "/a")], false);
        check(&[("/a", "/b"), ("/b", "/a")], false);
        check(&[("/a", "/b"), ("/b", "https://example.org/a")], true);
        check(&[("/{*rest}", "/new/{*rest}")], false);
        check(&[("/old/{*rest}", "/new/{*rest}")], true);
        check(&[("/old/{*rest}", "/old/new/{*rest}")], false);
        check(&[("/{a}/{b}", "/{b}/{a}")], false);
        let hosts = |pairs: &[&str]| Rules {
            hosts: pairs.iter().map(|pair| parse(pair)).collect(),
            ..Rules::default()
        };
        assert!(hosts(&["www.a=a", "www.b=b:8080"]).check(|_| None).is_ok());
        assert!(hosts(&["a=b", "b=a"]).check(|_| None).is_err());
        assert!(hosts(&["*.a=www.a"]).check(|_| None).is_err());
    }
}
