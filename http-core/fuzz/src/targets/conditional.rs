//! Preconditions never make a response wrong, however they are written.
//!
//! Property: for any headers, `evaluate` and `range_applies` do not panic. Only a GET or a HEAD gets 304. Without
//! headers, every precondition passes. What fails for a GET fails for all methods, and what passes for a GET passes for
//! all. The order of the headers and the case of their names do not matter. An entity tag matches only if a header
//! contains it byte for byte, and a part is sent only where `If-Match` or `If-Unmodified-Since` would pass.
//!
//! Input: the validators: an entity tag's opaque part with or without `W/` before it, a space, seconds since 1970 or
//! nothing, line feed; then header lines `Name: value`, each with a line feed.

use http_core::conditional::{self, Precondition, Validators};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999, and of HTTP-dates.
const LATEST: u64 = 253_402_300_799;

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut words = lines.next().unwrap_or_default().splitn(2, |&byte| byte == b' ');
    let etag = words.next().and_then(entity_tag);
    let seconds = str::from_utf8(words.next().unwrap_or_default()).ok().and_then(|text| text.parse().ok());
    // Half a second more, which must be ignored.
    let since_epoch = seconds.map(|seconds: u64| Duration::from_millis(seconds.min(LATEST) * 1_000 + 500));
    let last_modified = since_epoch.map(|since| UNIX_EPOCH + since);
    let validators = Validators { etag: etag.as_deref(), last_modified };

    let headers: Vec<(&str, &[u8])> = lines.filter_map(header).collect();
    check_results(&headers, &validators);
    let if_range =
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("if-range")).map(|header| header.1);
    for value in if_range.into_iter().chain(headers.iter().map(|header| header.1)) {
        check_if_range(value, &validators);
    }
    assert!(conditional::range_applies(None, &validators, now()));
}

/// A current time at which `94` means 1994, as in the seeds.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Creates a well-formed entity tag: a malformed one would be a bug of the server.
fn entity_tag(text: &[u8]) -> Option<String> {
    let (weak, opaque) = text.strip_prefix(b"W/").map_or(("", text), |rest| ("W/", rest));
    let legal = |c: &char| matches!(c, '!' | '#'..='~' | '\u{80}'..);
    let opaque: String = String::from_utf8_lossy(opaque).chars().filter(legal).collect();
    (!text.is_empty()).then(|| format!("{weak}\"{opaque}\""))
}

fn header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii_start()))
}

/// Returns the results for GET and for another method.
fn results(headers: &[(&str, &[u8])], validators: &Validators<'_>) -> (Precondition, Precondition) {
    let evaluate = |get_or_head| conditional::evaluate(get_or_head, headers.iter().copied(), validators, now);
    (evaluate(true), evaluate(false))
}

fn check_results(headers: &[(&str, &[u8])], validators: &Validators<'_>) {
    use Precondition::{Failed, NotModified, Passed};
    let (get, other) = results(headers, validators);
    assert!(
        matches!((get, other), (Passed, Passed) | (Failed, Failed) | (NotModified, Passed | Failed)),
        "GET {get:?}, others {other:?}"
    );

    let reversed: Vec<_> = headers.iter().rev().copied().collect();
    assert_eq!(
        results(&reversed, validators),
        (get, other),
        "the result depends on the order of the headers"
    );
    let names: Vec<_> = headers.iter().map(|header| header.0.to_ascii_uppercase()).collect();
    let uppercase: Vec<_> = names.iter().zip(headers).map(|(name, header)| (&name[..], header.1)).collect();
    assert_eq!(results(&uppercase, validators), (get, other), "the result depends on the case of the names");

    let sent = |name: &str| headers.iter().any(|header| header.0.eq_ignore_ascii_case(name));
    let may_match = |name: &str, strongly| {
        let mut values =
            headers.iter().filter(|header| header.0.eq_ignore_ascii_case(name)).map(|header| header.1);
        values.any(|value| value.trim_ascii() == b"*" || lists(value, validators, strongly))
    };
    let unmodified = sent("if-unmodified-since") && validators.last_modified.is_some();
    if other == Failed {
        let by_tag = sent("if-match") || may_match("if-none-match", false);
        assert!(by_tag || unmodified, "failed without a header that asks for it");
    }
    if get == NotModified {
        let by_date =
            !sent("if-none-match") && sent("if-modified-since") && validators.last_modified.is_some();
        assert!(may_match("if-none-match", false) || by_date, "not modified without a header that says so");
        assert_eq!(other == Passed, by_date, "a date matters only for GET");
    }
    if sent("if-match") && !may_match("if-match", true) {
        assert_eq!((get, other), (Failed, Failed), "an entity tag matched that was not sent");
    }
}

/// Returns whether `value` contains the current entity tag with its quotes, where an element of a list can begin.
/// Otherwise it cannot match; in a strong comparison, a weak tag cannot match either (RFC 9110 §8.8.3.2).
fn lists(value: &[u8], validators: &Validators<'_>, strongly: bool) -> bool {
    let Some(etag) = validators.etag else { return false };
    let quoted = etag.trim_start_matches("W/").as_bytes();
    let matches = value.windows(quoted.len()).enumerate().filter(|(_, window)| *window == quoted);
    let begins = |before: &[u8]| matches!(before.last(), None | Some(b' ' | b'\t' | b','));
    let mut before = matches.map(|(at, _)| &value[..at]);
    if strongly {
        !etag.starts_with("W/") && before.any(begins)
    } else {
        before.any(|before| begins(before.strip_suffix(b"W/").unwrap_or(before)))
    }
}

fn check_if_range(value: &[u8], validators: &Validators<'_>) {
    let applies = |date| conditional::range_applies(Some(value), validators, date);
    let by_tag = lists(value.trim_ascii(), validators, true);
    // The end of the second in which the representation was modified.
    let same_second = validators.last_modified.unwrap_or(UNIX_EPOCH) + Duration::from_millis(499);
    assert!(by_tag || !applies(same_second), "a date of the same second is not strong");
    if !applies(now()) {
        return;
    }
    let result = |name| results(&[(name, value)], validators);
    if by_tag {
        assert_eq!(result("If-Match"), (Precondition::Passed, Precondition::Passed));
        assert_eq!(result("If-None-Match"), (Precondition::NotModified, Precondition::Failed));
    } else {
        let compared = validators.last_modified.is_some() && looks_like_date(value);
        assert!(compared, "a part of another representation");
        assert_eq!(result("If-Unmodified-Since"), (Precondition::Passed, Precondition::Passed));
        assert_eq!(result("If-Modified-Since"), (Precondition::NotModified, Precondition::Passed));
    }
}

/// Returns whether a value has the shape of one of the three HTTP-dates (RFC 9110 §5.6.7). Ignores white space around
/// it.
fn looks_like_date(value: &[u8]) -> bool {
    let value = str::from_utf8(value).unwrap_or_default().trim().as_bytes();
    let weekday = value.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let shape: Vec<u8> = value[weekday..]
        .iter()
        .map(|byte| match byte {
            b'0'..=b'9' => b'0',
            b'A'..=b'Z' | b'a'..=b'z' => b'a',
            other => *other,
        })
        .collect();
    match &shape[..] {
        b", 00 aaa 0000 00:00:00 aaa" => weekday == 3,
        b" aaa 00 00:00:00 0000" | b" aaa  0 00:00:00 0000" => weekday == 3,
        b", 00-aaa-00 00:00:00 aaa" => weekday >= 6,
        _ => false,
    }
}
