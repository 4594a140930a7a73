//! Preconditions never make an answer wrong, however they are written.
//!
//! Property: on any fields `evaluate` and `range_applies` do not panic. Only a GET or a HEAD is ever told that it has the
//! representation. No field, no objection. What is refused to a GET is refused to all, what a GET is granted is granted
//! to all. The order of the fields and the case of their names mean nothing. No entity tag matches unless it stands in a
//! field letter by letter, and a part may be sent only where `If-Match` or `If-Unmodified-Since` would let it be.
//!
//! Input: the validators, an entity tag's opaque part with `W/` or nothing before it, a blank, seconds since 1970 or
//! nothing, line feed; then field lines `Name: value`, each with a line feed.

#![no_main]

use http_core::conditional::{self, Precondition, Validators};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, UNIX_EPOCH};

/// The last second of the year 9999: a later one no HTTP-date can say.
const LATEST: u64 = 253_402_300_799;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut words = lines.next().unwrap_or_default().splitn(2, |&byte| byte == b' ');
    let etag = words.next().and_then(entity_tag);
    let seconds = str::from_utf8(words.next().unwrap_or_default()).ok().and_then(|text| text.parse().ok());
    // Half a second more, which must not count.
    let since_epoch = seconds.map(|seconds: u64| Duration::from_millis(seconds.min(LATEST) * 1_000 + 500));
    let last_modified = since_epoch.map(|since| UNIX_EPOCH + since);
    let validators = Validators { etag: etag.as_deref(), last_modified };

    let fields: Vec<(&str, &[u8])> = lines.filter_map(field).collect();
    check_verdicts(&fields, &validators);
    let if_range = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("if-range")).map(|field| field.1);
    for value in if_range.into_iter().chain(fields.iter().map(|field| field.1)) {
        check_if_range(value, &validators);
    }
    assert!(conditional::range_applies(None, &validators));
});

/// A well-formed entity tag made of what is given: a malformed one would be the server's own fault.
fn entity_tag(text: &[u8]) -> Option<String> {
    let (weak, opaque) = text.strip_prefix(b"W/").map_or(("", text), |rest| ("W/", rest));
    let legal = |c: &char| matches!(c, '!' | '#'..='~' | '\u{80}'..);
    let opaque: String = String::from_utf8_lossy(opaque).chars().filter(legal).collect();
    (!text.is_empty()).then(|| format!("{weak}\"{opaque}\""))
}

fn field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii_start()))
}

/// What a GET and what another method are told.
fn verdicts(fields: &[(&str, &[u8])], validators: &Validators<'_>) -> (Precondition, Precondition) {
    let tell = |get_or_head| conditional::evaluate(get_or_head, fields.iter().copied(), validators);
    (tell(true), tell(false))
}

fn check_verdicts(fields: &[(&str, &[u8])], validators: &Validators<'_>) {
    use Precondition::{Failed, NotModified, Passed};
    let (get, other) = verdicts(fields, validators);
    assert!(
        matches!((get, other), (Passed, Passed) | (Failed, Failed) | (NotModified, Passed | Failed)),
        "GET {get:?}, others {other:?}"
    );

    let reversed: Vec<_> = fields.iter().rev().copied().collect();
    assert_eq!(verdicts(&reversed, validators), (get, other), "the order of the fields means something");
    let names: Vec<_> = fields.iter().map(|field| field.0.to_ascii_uppercase()).collect();
    let shouted: Vec<_> = names.iter().zip(fields).map(|(name, field)| (&name[..], field.1)).collect();
    assert_eq!(verdicts(&shouted, validators), (get, other), "the case of the names means something");

    let sent = |name: &str| fields.iter().any(|field| field.0.eq_ignore_ascii_case(name));
    let may_match = |name: &str, strongly| {
        let mut values =
            fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1);
        values.any(|value| value.trim_ascii() == b"*" || lists(value, validators, strongly))
    };
    let unmodified = sent("if-unmodified-since") && validators.last_modified.is_some();
    if other == Failed {
        let by_tag = sent("if-match") || may_match("if-none-match", false);
        assert!(by_tag || unmodified, "refused, and no field asks for that");
    }
    if get == NotModified {
        let by_date =
            !sent("if-none-match") && sent("if-modified-since") && validators.last_modified.is_some();
        assert!(may_match("if-none-match", false) || by_date, "not modified, and no field says so");
        assert_eq!(other == Passed, by_date, "a date makes no difference but to a GET");
    }
    if sent("if-match") && !may_match("if-match", true) {
        assert_eq!((get, other), (Failed, Failed), "an entity tag matched that was not sent");
    }
}

/// Whether the current entity tag stands in `value`, quotes and all, where an element of a list can begin. Without that
/// it cannot match; strongly, it cannot if either is weak (RFC 9110 §8.8.3.2).
fn lists(value: &[u8], validators: &Validators<'_>, strongly: bool) -> bool {
    let Some(etag) = validators.etag else { return false };
    let quoted = etag.trim_start_matches("W/").as_bytes();
    let places = value.windows(quoted.len()).enumerate().filter(|(_, window)| *window == quoted);
    let begins = |before: &[u8]| matches!(before.last(), None | Some(b' ' | b'\t' | b','));
    let mut before = places.map(|(place, _)| &value[..place]);
    if strongly {
        !etag.starts_with("W/") && before.any(begins)
    } else {
        before.any(|before| begins(before.strip_suffix(b"W/").unwrap_or(before)))
    }
}

fn check_if_range(value: &[u8], validators: &Validators<'_>) {
    if !conditional::range_applies(Some(value), validators) {
        return;
    }
    let told = |name| verdicts(&[(name, value)], validators);
    if lists(value.trim_ascii(), validators, true) {
        assert_eq!(told("If-Match"), (Precondition::Passed, Precondition::Passed));
        assert_eq!(told("If-None-Match"), (Precondition::NotModified, Precondition::Failed));
    } else {
        let compared = validators.last_modified.is_some() && looks_like_date(value);
        assert!(compared, "a part of another representation");
        assert_eq!(told("If-Unmodified-Since"), (Precondition::Passed, Precondition::Passed));
        assert_eq!(told("If-Modified-Since"), (Precondition::NotModified, Precondition::Passed));
    }
}

/// Whether a value has the shape of one of the three HTTP-dates (RFC 9110 §5.6.7), but for white space around it.
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
