//! Preconditions: whether a request applies to the current representation of a resource (RFC 9110 §13).
//!
//! A client that has a copy of a representation sends the copy's validators (§8.8) with its next request. A server
//! compares them with the current validators: it responds as usual, or with 304 because the copy is current, or with
//! 412 because the representation has changed. In this module, malformed input never matches: a malformed entity tag
//! matches nothing, and a malformed date is ignored.
//!
//! ```
//! use http_core::conditional::{self, Precondition, Validators};
//! use std::time::SystemTime;
//!
//! let current = Validators { etag: Some("\"v2\""), last_modified: None };
//! let headers = [("Host", &b"a"[..]), ("if-none-match", b"\"v1\", W/\"v2\"")];
//! assert_eq!(conditional::evaluate(true, headers, &current, SystemTime::now), Precondition::NotModified);
//! assert_eq!(conditional::evaluate(false, headers, &current, SystemTime::now), Precondition::Failed);
//! assert!(!conditional::range_applies(Some(b"\"v1\""), &current, SystemTime::now()));
//! ```

use crate::types::http_date;
use std::time::{SystemTime, UNIX_EPOCH};

/// The validators of the current representation: two values that change when the representation does (RFC 9110 §8.8).
///
/// ```
/// use http_core::conditional::{Precondition, Validators, evaluate};
/// use std::time::{Duration, SystemTime};
///
/// // A file without an entity tag, which was modified on 6 November 1994.
/// let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
/// let validators = Validators { etag: None, last_modified: Some(modified) };
/// let headers = [("If-Modified-Since", &b"Sun, 06 Nov 1994 08:49:37 GMT"[..])];
/// assert_eq!(evaluate(true, headers, &validators, SystemTime::now), Precondition::NotModified);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    /// The value of the `ETag` header of the representation, including the quotes and any `W/`; `None` if there is
    /// none. A malformed value is a bug of the server: it matches nothing but itself, and a debug build may panic.
    pub etag: Option<&'a str>,
    /// The time in the `Last-Modified` header of the representation; `None` if there is none. Fractions of a second are
    /// ignored. A time before 1970 counts as `None`.
    pub last_modified: Option<SystemTime>,
}

/// The result of evaluating the preconditions of a request.
///
/// ```
/// use http_core::{Response, Status, conditional::Precondition};
///
/// fn respond(precondition: Precondition) -> Response {
///     match precondition {
///         Precondition::Passed => Response::text("the representation").with_header("ETag", "\"v2\""),
///         Precondition::NotModified => Response::new(Status::NOT_MODIFIED).with_header("ETag", "\"v2\""),
///         Precondition::Failed => Response::error(Status::PRECONDITION_FAILED),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it says how to respond"]
pub enum Precondition {
    /// The preconditions hold, or there are none. Respond as usual.
    Passed,
    /// The client has the current representation. Respond with 304. Returned only for GET and HEAD.
    NotModified,
    /// The current representation is not the one that the client expects. Respond with 412, and change nothing.
    Failed,
}

/// Evaluates the precondition headers of a request in the order of RFC 9110 §13.2.2. Returns what the server should
/// respond with.
///
/// `headers` are the names and values of all headers of the request, in any order. Their names are compared without
/// case. `get_or_head`: whether the method is GET or HEAD. `now` returns the current time, and is called only for a
/// date whose year has two digits. Call this only if the response without preconditions would be a success (RFC 9110
/// §13.2.1). Allocates nothing, except for a date whose year has two digits.
pub fn evaluate<'a>(
    get_or_head: bool,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    validators: &Validators<'_>,
    now: impl Fn() -> SystemTime,
) -> Precondition {
    // Whether an entity tag in the header matches; `None` if the header was not sent.
    let (mut if_match, mut if_none_match) = (None, None);
    // The dates as sent. They are parsed only if no entity tag takes precedence.
    let (mut if_modified_since, mut if_unmodified_since) = (None, None);
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("if-none-match") {
            *if_none_match.get_or_insert(false) |= validators.is_etag(value)
                || list_contains(value, validators.entity_tag(), EntityTag::weakly_equals);
        } else if name.eq_ignore_ascii_case("if-modified-since") {
            add_date(&mut if_modified_since, value);
        } else if name.eq_ignore_ascii_case("if-match") {
            let tag = validators.entity_tag();
            *if_match.get_or_insert(false) |= list_contains(value, tag, EntityTag::strongly_equals);
        } else if name.eq_ignore_ascii_case("if-unmodified-since") {
            add_date(&mut if_unmodified_since, value);
        }
    }
    let modified_since = |date| Some(validators.modified_seconds()? > http_date::parse(date?, &now)?);

    // Steps 1 and 2. §13.1.4: a date is ignored if it is invalid, or there is none to compare it with.
    let unchanged = if_match.unwrap_or_else(|| modified_since(if_unmodified_since) != Some(true));
    // Steps 3 and 4. §13.1.3: If-Modified-Since applies only to GET and HEAD.
    let current =
        if_none_match.unwrap_or_else(|| get_or_head && modified_since(if_modified_since) == Some(false));

    match (unchanged, current) {
        (true, false) => Precondition::Passed,
        (true, true) if get_or_head => Precondition::NotModified,
        _ => Precondition::Failed,
    }
}

/// Returns whether the `Range` header of a request applies, given the value of its `If-Range` header (RFC 9110 §13.1.5,
/// step 5 of §13.2.2).
///
/// The `Range` header applies in three cases: there is no `If-Range`; or its entity tag strongly equals the current
/// one; or its date equals the current `last_modified`, ignoring fractions of a second, and is a strong validator.
/// Otherwise it does not apply: the part that the client has may belong to another representation. A malformed
/// `If-Range` never matches.
///
/// `date` is the time of the response, in its `Date` header. A date in `If-Range` is strong if it is at least one
/// second earlier (§8.8.2.2): the representation may still change in the second of `date`, and keep its date. `date`
/// also decides what a date with a two-digit year means.
pub fn range_applies(if_range: Option<&[u8]>, validators: &Validators<'_>, date: SystemTime) -> bool {
    let Some(value) = if_range else { return true };
    match EntityTag::parse(value) {
        Some(tag) => validators.entity_tag().is_some_and(|current| tag.strongly_equals(current)),
        None => http_date::parse(value, || date).is_some_and(|if_range| {
            validators.modified_seconds() == Some(if_range) && seconds_of(date) > Some(if_range)
        }),
    }
}

impl<'a> Validators<'a> {
    /// Returns whether `value` is exactly the entity tag, and so weakly equal: what a client with one copy sends. This
    /// needs no parsing.
    fn is_etag(&self, value: &[u8]) -> bool {
        self.etag.is_some_and(|etag| etag.as_bytes() == value)
    }

    /// Returns the parsed entity tag, or `None` if there is none or it is malformed.
    fn entity_tag(&self) -> Option<EntityTag<'a>> {
        let tag = EntityTag::parse(self.etag?.as_bytes());
        debug_assert!(tag.is_some(), "malformed entity tag of the server: {:?}", self.etag);
        tag
    }

    /// Returns the time of the last modification in seconds since 1970, or `None` if it is unknown or before 1970.
    fn modified_seconds(&self) -> Option<u64> {
        seconds_of(self.last_modified?)
    }
}

/// Returns a time in whole seconds since 1970, or `None` if it is before 1970.
fn seconds_of(time: SystemTime) -> Option<u64> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// Stores the value of a date header in `date`, which is `None` before the first header with this name. A repeated
/// header is invalid (RFC 9110 §13.1.3, §13.1.4): any later call stores an empty value, which is not a date.
fn add_date<'a>(date: &mut Option<&'a [u8]>, value: &'a [u8]) {
    *date = Some(if date.is_none() { value } else { b"" });
}

/// Returns whether `value` is `*` or a list that contains the tag `current`. `value` is that of an `If-Match` or
/// `If-None-Match` header. `same` compares two tags. If `current` is `None`, the representation has no tag, and only
/// `*` matches. Ignores everything after a malformed tag.
fn list_contains<'a>(
    value: &'a [u8],
    current: Option<EntityTag<'a>>,
    same: fn(EntityTag<'a>, EntityTag<'a>) -> bool,
) -> bool {
    let mut rest = value;
    let mut tags = std::iter::from_fn(|| {
        // §5.6.1.2: a recipient skips empty elements.
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (tag, after) = EntityTag::split_from(rest)?;
        rest = after.trim_ascii_start();
        (rest.is_empty() || rest.starts_with(b",")).then_some(tag)
    });
    value.trim_ascii() == b"*" || current.is_some_and(|current| tags.any(|tag| same(tag, current)))
}

/// An entity tag without its quotes (RFC 9110 §8.8.3).
#[derive(Clone, Copy)]
struct EntityTag<'a> {
    /// Whether `W/` precedes the tag.
    weak: bool,
    /// The characters between the quotes.
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Parses `text` as exactly one tag. Returns `None` if the tag is malformed or other text follows it.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::split_from(text.trim_ascii())?;
        rest.is_empty().then_some(tag)
    }

    /// Parses the tag at the beginning of `text`. Returns the tag and the text after it, or `None` if `text` does not
    /// begin with a well-formed tag. A comma inside the quotes is part of the tag.
    fn split_from(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, text) = text.strip_prefix(b"W/").map_or((false, text), |rest| (true, rest));
        let text = text.strip_prefix(b"\"")?;
        let end = text.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7E | 0x80..=0xFF))?;
        let (opaque, rest) = text.split_at(end);
        Some((Self { weak, opaque }, rest.strip_prefix(b"\"")?))
    }

    /// Returns whether the tags are the same, and neither is weak: the strong comparison (RFC 9110 §8.8.3.2).
    fn strongly_equals(self, other: Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Returns whether the tags are the same, weak or not: the weak comparison (RFC 9110 §8.8.3.2).
    fn weakly_equals(self, other: Self) -> bool {
        self.opaque == other.opaque
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Precondition::{Failed, NotModified, Passed};
    use std::time::Duration;

    /// A representation without validators.
    const NONE: Validators<'_> = Validators { etag: None, last_modified: None };
    /// A representation whose only validator is the weak entity tag `W/"a"`.
    const WEAK: Validators<'_> = Validators { etag: Some("W/\"a\""), last_modified: None };

    /// The current time: two days after that of [`current`].
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(784_300_000)
    }

    /// Returns the validators of a representation with the entity tag `"a"`, last modified within the second SAME.
    fn current() -> Validators<'static> {
        let last_modified = UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        Validators { etag: Some("\"a\""), last_modified: Some(last_modified) }
    }

    /// Expands the shorthand of the tables below: `'` is a double quote, and three words are dates.
    fn expand(text: &str) -> String {
        text.replace('\'', "\"")
            .replace("EARLIER", "Sun, 06 Nov 1994 08:49:36 GMT")
            .replace("SAME", "Sun, 06 Nov 1994 08:49:37 GMT")
            .replace("LATER", "Sun, 06 Nov 1994 08:49:38 GMT")
    }

    /// Evaluates several heads, separated by ` | `. `get` and `put` are the expected results for these two methods.
    fn check_with(validators: Validators<'_>, heads: &str, get: Precondition, put: Precondition) {
        for head in expand(heads).split(" | ") {
            let lines = head.lines().map(|line| line.split_once(": ").unwrap());
            let headers = lines.map(|(name, value)| (name, value.as_bytes()));
            assert_eq!(evaluate(true, headers.clone(), &validators, now), get, "GET {head}");
            assert_eq!(evaluate(false, headers, &validators, now), put, "PUT {head}");
        }
    }

    /// Evaluates several heads against the validators of [`current`].
    fn check(heads: &str, get: Precondition, put: Precondition) {
        check_with(current(), heads, get, put);
    }

    #[test]
    fn step_1_if_match() {
        check("If-Match: 'a' | If-Match: *", Passed, Passed);
        check("If-Match: 'b' | If-Match: W/'a'", Failed, Failed);
        // Takes precedence over If-Unmodified-Since, both ways.
        check("If-Unmodified-Since: EARLIER\nIf-Match: 'a'", Passed, Passed);
        check("If-Match: 'b'\nIf-Unmodified-Since: LATER", Failed, Failed);
    }

    #[test]
    fn step_2_if_unmodified_since() {
        check("If-Unmodified-Since: EARLIER", Failed, Failed);
        check("If-Unmodified-Since: SAME | If-Unmodified-Since: LATER", Passed, Passed);
    }

    #[test]
    fn step_3_if_none_match() {
        check("If-None-Match: 'b'", Passed, Passed);
        check("If-None-Match: 'a' | If-None-Match: W/'a' | If-None-Match: *", NotModified, Failed);
        // Evaluated after steps 1 and 2.
        check("If-None-Match: 'a'\nIf-Match: 'a'", NotModified, Failed);
        check("If-None-Match: 'a'\nIf-Match: 'b'", Failed, Failed);
        check("If-None-Match: 'a'\nIf-Unmodified-Since: SAME", NotModified, Failed);
        check("If-None-Match: 'a'\nIf-Unmodified-Since: EARLIER", Failed, Failed);
        // Takes precedence over If-Modified-Since, both ways.
        check("If-Modified-Since: LATER\nIf-None-Match: 'b'", Passed, Passed);
        check("If-None-Match: 'a'\nIf-Modified-Since: EARLIER", NotModified, Failed);
    }

    #[test]
    fn step_4_if_modified_since() {
        check("If-Modified-Since: EARLIER", Passed, Passed);
        check("If-Modified-Since: SAME | If-Modified-Since: LATER", NotModified, Passed);
        // Evaluated after steps 1 and 2.
        check("If-Modified-Since: SAME\nIf-Match: 'a'", NotModified, Passed);
        check("If-Modified-Since: SAME\nIf-Match: 'b'", Failed, Failed);
        check("If-Modified-Since: SAME\nIf-Unmodified-Since: SAME", NotModified, Passed);
        check("If-Modified-Since: SAME\nIf-Unmodified-Since: EARLIER", Failed, Failed);
    }

    #[test]
    fn step_5_if_range() {
        /// `applies`: whether a Range header with this If-Range applies.
        fn check(if_range: &str, validators: Validators<'_>, applies: bool) {
            let value = expand(if_range);
            assert_eq!(
                range_applies(Some(value.as_bytes()), &validators, now()),
                applies,
                "{value} {validators:?}"
            );
        }
        assert!(range_applies(None, &NONE, now()));
        for same in ["'a'", "SAME", "Sunday, 06-Nov-94 08:49:37 GMT"] {
            check(same, current(), true);
            check(same, NONE, false);
        }
        for other in ["'b'", "W/'a'", "a", "'a", "'a', 'a'", "*", "", "soon", "EARLIER", "LATER"] {
            check(other, current(), false);
            check(other, NONE, false);
        }
        check("'a'", WEAK, false);
        check("W/'a'", WEAK, false);
    }

    /// RFC 9110 §8.8.2.2.
    #[test]
    fn a_date_in_if_range_is_strong_one_second_later() {
        let value = expand("SAME");
        for (millis, is_strong) in [
            (784_111_776_999, false),
            (784_111_777_500, false),
            (784_111_777_999, false),
            (784_111_778_000, true),
            (784_111_900_000, true),
        ] {
            let date = UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(range_applies(Some(value.as_bytes()), &current(), date), is_strong, "{millis}");
        }
        assert!(!range_applies(Some(value.as_bytes()), &current(), UNIX_EPOCH - Duration::from_secs(1)));
    }

    #[test]
    fn step_6_no_precondition() {
        check(" | Host: a\nIf-Range: 'b'\nRange: bytes=0-1", Passed, Passed);
    }

    #[test]
    fn parses_lists_by_their_quotes() {
        for list in ["'b', 'a'", " ,\t,'b' ,,'a' ,", "W/'b', W/'a'", "'','a'", "'a' \t"] {
            check(&format!("If-None-Match: {list}"), NotModified, Failed);
        }
        check("If-None-Match: 'b'\niF-nONE-mATCH: 'a'\nIf-None-Match: 'c'", NotModified, Failed);
        check("If-Match: 'b'\niF-mATCH: 'a'\nIf-Match: 'c'", Passed, Passed);
        let with_commas = Validators { etag: Some("\"a,,é!~\""), ..NONE };
        check_with(with_commas, "If-None-Match: 'b', 'a,,é!~'", NotModified, Failed);
    }

    #[test]
    fn malformed_tags_match_nothing() {
        for list in ["", "a", "a'", "'a", "w/'a'", "'b,a'", "'a''a'", "'a' 'b'", "'b c','a'", "'b',*"] {
            check(&format!("If-None-Match: {list}"), Passed, Passed);
            check(&format!("If-Match: {list}"), Failed, Failed);
        }
    }

    #[test]
    fn ignores_all_but_three_date_formats() {
        for date in ["SAME", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            check(&format!("If-Modified-Since: {date}"), NotModified, Passed);
        }
        // httpdate accepts an `x` in place of the space before the time.
        let no_space = "Sunday, 06-Nov-94x08:49:37 GMT";
        for date in
            ["", "784111777", "Mon, 06 Nov 1994 08:49:37 GMT", "EARLIER, EARLIER", "LATER é", no_space]
        {
            check(&format!("If-Modified-Since: {date} | If-Unmodified-Since: {date}"), Passed, Passed);
        }
        // The current time is in 1994: one date means 1945, the other 2043.
        check("If-Modified-Since: Monday, 06-Nov-45 08:49:37 GMT", Passed, Passed);
        check("If-Modified-Since: Friday, 06-Nov-43 08:49:37 GMT", NotModified, Passed);
        check(&"If-Modified-Since: LATER\n".repeat(3), Passed, Passed);
        check(&"If-Unmodified-Since: EARLIER\n".repeat(3), Passed, Passed);
    }

    #[test]
    fn handles_missing_and_weak_validators() {
        check_with(NONE, "If-Match: * | If-None-Match: 'a'", Passed, Passed);
        check_with(NONE, "If-Match: 'a'", Failed, Failed);
        check_with(NONE, "If-None-Match: *", NotModified, Failed);
        check_with(NONE, "If-Modified-Since: LATER | If-Unmodified-Since: EARLIER", Passed, Passed);
        check_with(WEAK, "If-None-Match: 'a'", NotModified, Failed);
        check_with(WEAK, "If-Match: 'a', W/'a'", Failed, Failed);
        let before_1970 = UNIX_EPOCH.checked_sub(Duration::from_secs(1));
        let ancient = Validators { last_modified: before_1970, ..NONE };
        check_with(ancient, "If-Modified-Since: LATER", Passed, Passed);
    }
}
