//! RFC 9110 §13: requests that depend on a condition, each alone, and which of them comes first.
//!
//! In the lines below, `TAG` stands for the file's strong entity tag, `DATE` for its modification date, `EARLIER` and
//! `LATER` for one second before and after. A case is skipped if the server sends no such validator.

use std::time::SystemTime;

use crate::fixtures::{DIGITS, MODIFIED};
use crate::response::Response;
use crate::rules::parse_date;

use super::prelude::*;

/// The target of most cases here.
const FILE: &str = "/digits.txt";

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        if_match(),
        if_none_match(),
        lists_that_match(),
        tags_that_differ(),
        tags_that_are_none(),
        if_modified_since(),
        dates_that_are_none(),
        if_unmodified_since(),
        two_digit_years(),
        if_range(),
        preconditions_of_errors(),
        precedence(),
        not_modified(),
    ];
    Section::new("9110/13", "Conditional Requests", cases).on(Needs::Fixtures)
}

/// Cases for §13.1.1: tags are compared strongly. If the condition is false, the method is not performed.
fn if_match() -> Vec<Case> {
    vec![
        must("9110/13.1.1/1", "If-Match with the file's tag is met")
            .after(get(FILE))
            .send_from(get_with(["If-Match: TAG"]))
            .expect([status(200), body(DIGITS)]),
        must("9110/13.1.1/2", "If-Match with another tag is answered with 412")
            .after(get(FILE))
            .send_from(get_with(["If-Match: \"other\""]))
            .expect(status(412)),
        must("9110/13.1.1/3", "If-Match does not match the strong tag with a weak tag")
            .after(get(FILE))
            .send_from(get_with(["If-Match: W/TAG"]))
            .expect(status(412)),
        must("9110/13.1.1/4", "If-Match is met by one of several tags")
            .after(get(FILE))
            .send_from(get_with(["If-Match: \"other\", TAG"]))
            .expect([status(200), body(DIGITS)]),
        must("9110/13.1.1/5", "If-Match is met by a tag in its second line")
            .after(get(FILE))
            .send_from(get_with(["If-Match: \"other\"", "If-Match: TAG"]))
            .expect([status(200), body(DIGITS)]),
        must("9110/13.1.1/6", "If-Match with an asterisk is met by any file")
            .send(get(FILE).with("If-Match: *"))
            .expect([status(200), body(DIGITS)]),
        must("9110/13.1.1/7", "If-Match holds for HEAD, too")
            .after(get(FILE))
            .send_from(|prior| get_with(["If-Match: \"other\""])(prior).map(into_head))
            .expect(status(412)),
    ]
}

/// Cases for §13.1.2: tags are compared weakly. If the condition is false, GET and HEAD are answered with 304.
fn if_none_match() -> Vec<Case> {
    vec![
        must("9110/13.1.2/1", "If-None-Match with the file's tag is answered with 304")
            .after(get(FILE))
            .send_from(get_with(["If-None-Match: TAG"]))
            .expect(status(304)),
        must("9110/13.1.2/2", "If-None-Match with another tag is met")
            .send(get(FILE).with("If-None-Match: \"other\""))
            .expect([status(200), body(DIGITS)]),
        must("9110/13.1.2/3", "If-None-Match matches the strong tag with a weak tag")
            .after(get(FILE))
            .send_from(get_with(["If-None-Match: W/TAG"]))
            .expect(status(304)),
        must("9110/13.1.2/4", "If-None-Match with an asterisk is not met by any file")
            .send(get(FILE).with("If-None-Match: *"))
            .expect(status(304)),
        must("9110/13.1.2/5", "If-None-Match holds for HEAD, too")
            .after(get(FILE))
            .send_from(|prior| get_with(["If-None-Match: TAG"])(prior).map(into_head))
            .expect(status(304)),
        must("9110/13.1.2/6", "If-None-Match finds the tag in its second line")
            .after(get(FILE))
            .send_from(get_with(["If-None-Match: \"other\"", "If-None-Match: TAG"]))
            .expect(status(304)),
    ]
}

/// Cases for §8.8.3: a tag may hold commas and obs-text. §5.6.1.2: empty members of a list are ignored.
fn lists_that_match() -> Vec<Case> {
    let lists = [
        "\"other\", TAG",
        "\"other\",TAG,\"another\"",
        "W/\"other\" \t,\t W/TAG",
        "\"a,b\", TAG",
        "\"\u{e9}\", TAG",
        "\"back\\\", TAG",
        ", ,TAG,",
    ];
    let case = |(list, number)| {
        must(format!("9110/13.1.2/{number}"), format!("If-None-Match finds the tag in the list {list:?}"))
            .after(get(FILE))
            .send_from(move |prior| {
                Some(get(FILE).with(insert_validators(&format!("If-None-Match: {list}"), prior)?))
            })
            .expect(status(304))
    };
    lists.into_iter().zip(20..).map(case).collect()
}

/// Cases for §8.8.3.2: tags are equal if they are equal character by character.
fn tags_that_differ() -> Vec<Case> {
    /// Makes another entity tag from the opaque part of a tag.
    type Change = fn(&str) -> String;
    let changes: [(&str, Change); 4] = [
        ("without its last character", |tag| format!("\"{}\"", &tag[..tag.len() - 1])),
        ("with one character more", |tag| format!("\"{tag}0\"")),
        ("with a space in front", |tag| format!("\" {tag}\"")),
        ("of an asterisk in quotes", |_| "\"*\"".into()),
    ];
    let case = |((what, change), number): ((&str, Change), u32)| {
        must(format!("9110/13.1.2/{number}"), format!("A tag {what} is another tag"))
            .after(get(FILE))
            .send_from(move |prior| {
                let tag = change(strong_tag(prior)?.trim_matches('"'));
                Some(get(FILE).with(format!("If-None-Match: {tag}")))
            })
            .expect([status(200), body(DIGITS)])
    };
    changes.into_iter().zip(40..).map(case).collect()
}

/// Cases for §8.8.3: `entity-tag = [ %s"W/" ] DQUOTE *etagc DQUOTE`. The RFC leaves open how to treat any other value;
/// but a 304 would be a guess, and the client might have no copy of the file.
fn tags_that_are_none() -> Vec<Case> {
    let values = ["OPAQUE", "\"OPAQUE", "'OPAQUE'", "w/TAG", ""];
    let case = |(value, number)| {
        robust(
            format!("9110/13.1.2/{number}"),
            format!("If-None-Match with {value:?}, which is not a tag, is met or rejected"),
        )
        .after(get(FILE))
        .send_from(move |prior| {
            Some(get(FILE).with(insert_validators(&format!("If-None-Match: {value}"), prior)?))
        })
        .expect(either(body(DIGITS), status(400)))
    };
    values.into_iter().zip(60..).map(case).collect()
}

/// Cases for §13.1.3: the condition is false if the file is as old or older; then GET and HEAD SHOULD be answered with
/// 304.
fn if_modified_since() -> Vec<Case> {
    vec![
        should("9110/13.1.3/1", "If-Modified-Since with the file's date is answered with 304")
            .after(get(FILE))
            .send_from(get_with(["If-Modified-Since: DATE"]))
            .expect(status(304)),
        should("9110/13.1.3/2", "If-Modified-Since with the date in the format of RFC 850 is understood")
            .after(get(FILE))
            .send_from(get_with(["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"]))
            .expect(status(304)),
        should("9110/13.1.3/3", "If-Modified-Since with the date in the format of asctime is understood")
            .after(get(FILE))
            .send_from(get_with(["If-Modified-Since: Sun Nov  6 08:49:37 1994"]))
            .expect(status(304)),
        should("9110/13.1.3/4", "If-Modified-Since with a later date is answered with 304")
            .after(get(FILE))
            .send_from(get_with(["If-Modified-Since: LATER"]))
            .expect(status(304)),
        must("9110/13.1.3/5", "If-Modified-Since with an earlier date is met")
            .after(get(FILE))
            .send_from(get_with(["If-Modified-Since: EARLIER"]))
            .expect([status(200), body(DIGITS)]),
        should("9110/13.1.3/6", "If-Modified-Since holds for HEAD, too")
            .after(get(FILE))
            .send_from(|prior| get_with(["If-Modified-Since: DATE"])(prior).map(into_head))
            .expect(status(304)),
        must("9110/13.1.3/7", "Two lines of If-Modified-Since are not a date, and ignored")
            .after(get(FILE))
            .send_from(get_with(["If-Modified-Since: DATE", "If-Modified-Since: DATE"]))
            .expect(either(body(DIGITS), status(400))),
    ]
}

/// Cases for §13.1.3: a value that is not a valid HTTP-date MUST be ignored, although §5.6.7 encourages lenient parsing
/// elsewhere. A lenient parser would read each of these as the file's date or a later date.
fn dates_that_are_none() -> Vec<Case> {
    let values = [
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 PST",
        "Sun, 06 Nov 1994 08:49:37 GMT; length=10",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "1994-11-06T08:49:37Z",
        "784111777",
    ];
    let case = |(value, number)| {
        must(
            format!("9110/13.1.3/{number}"),
            format!("If-Modified-Since {value:?} is not a date, and ignored"),
        )
        .send(get(FILE).with(format!("If-Modified-Since: {value}")))
        .expect([status(200), body(DIGITS)])
    };
    values.into_iter().zip(20..).map(case).collect()
}

/// Cases for §13.1.4: the condition is false if the file is newer; then the method is not performed.
fn if_unmodified_since() -> Vec<Case> {
    vec![
        must("9110/13.1.4/1", "If-Unmodified-Since with an earlier date is answered with 412")
            .after(get(FILE))
            .send_from(get_with(["If-Unmodified-Since: EARLIER"]))
            .expect(status(412)),
        must("9110/13.1.4/2", "If-Unmodified-Since with the file's date is met")
            .after(get(FILE))
            .send_from(get_with(["If-Unmodified-Since: DATE"]))
            .expect([status(200), body(DIGITS)]),
        must("9110/13.1.4/3", "If-Unmodified-Since with a later date is met")
            .after(get(FILE))
            .send_from(get_with(["If-Unmodified-Since: LATER"]))
            .expect([status(200), body(DIGITS)]),
        // §5.6.7: all three formats MUST be accepted, and a two-digit year more than 50 years ahead is in the past.
        must("9110/13.1.4/4", "If-Unmodified-Since with a date in the format of RFC 850 is understood")
            .after(get(FILE))
            .send_from(get_with(["If-Unmodified-Since: Sunday, 06-Nov-94 08:49:36 GMT"]))
            .expect(status(412)),
        must("9110/13.1.4/5", "If-Unmodified-Since with a date in the format of asctime is understood")
            .after(get(FILE))
            .send_from(get_with(["If-Unmodified-Since: Sun Nov  6 08:49:36 1994"]))
            .expect(status(412)),
        must("9110/13.1.4/6", "If-Unmodified-Since with an invalid date is ignored")
            .send(get(FILE).with("If-Unmodified-Since: yesterday"))
            .expect([status(200), body(DIGITS)]),
        must("9110/13.1.4/7", "If-Unmodified-Since with a date in another time zone is ignored")
            .send(get(FILE).with("If-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 PST"))
            .expect([status(200), body(DIGITS)]),
    ]
}

/// Cases for §5.6.7: a two-digit year that appears to be more than 50 years ahead MUST be read as one in the past.
fn two_digit_years() -> Vec<Case> {
    /// The mean length of a year of the Gregorian calendar.
    const SECONDS_OF_A_YEAR: u64 = 31_556_952;
    let since_1970 =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let this_year = 1970 + since_1970 / SECONDS_OF_A_YEAR;
    // The file was modified in 1994, which is later than (this year + 51 - 100), as long as this year is below 2043.
    let case = |case: Case, ahead| {
        let line = rfc850_date(this_year + ahead).map(|date| format!("If-Unmodified-Since: {date}"));
        case.after(get(FILE))
            .send_from(move |prior| Some(get(FILE).with(insert_validators(line.as_ref()?, prior)?)))
    };
    vec![
        case(should("9110/13.1.4/8", "A date of a two-digit year 49 years ahead is in the future"), 49)
            .expect([status(200), body(DIGITS)]),
        case(must("9110/13.1.4/9", "A date of a two-digit year 51 years ahead is in the past"), 51)
            .expect(status(412)),
    ]
}

/// 6 November of a year, with the day of the week that it has in that year.
fn rfc850_date(year: u64) -> Option<String> {
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
        .into_iter()
        .find(|day| parse_date(&format!("{}, 06 Nov {year} 08:49:37 GMT", &day[..3])).is_some())
        .map(|day| format!("{day}, 06-Nov-{:02} 08:49:37 GMT", year % 100))
}

/// Cases for §13.1.5: if the condition is false, Range MUST be ignored; else the server SHOULD apply it. Skipped if the
/// server serves no ranges.
fn if_range() -> Vec<Case> {
    let part = || [status(206), header("Content-Range", "bytes 2-5/10"), body("2345")];
    let whole = || [status(200), body(DIGITS)];
    let case = |case: Case, line: &'static str| {
        case.after(get(FILE).with("Range: bytes=2-5")).send_from(move |prior| {
            let serves_ranges = prior.status == 206;
            get_with([line, "Range: bytes=2-5"])(prior).filter(|_| serves_ranges)
        })
    };
    vec![
        case(should("9110/13.1.5/1", "Range applies beside If-Range with the file's tag"), "If-Range: TAG")
            .expect(part()),
        case(
            must("9110/13.1.5/2", "Range is ignored beside If-Range with another tag"),
            "If-Range: \"other\"",
        )
        .expect(whole()),
        case(must("9110/13.1.5/3", "Range is ignored beside If-Range with a weak tag"), "If-Range: W/TAG")
            .expect(whole()),
        case(should("9110/13.1.5/4", "Range applies beside If-Range with the file's date"), "If-Range: DATE")
            .expect(part()),
        case(
            must("9110/13.1.5/5", "Range is ignored beside If-Range with an earlier date"),
            "If-Range: EARLIER",
        )
        .expect(whole()),
        // The dates must be equal: the date identifies the version that the client has a part of.
        case(must("9110/13.1.5/6", "Range is ignored beside If-Range with a later date"), "If-Range: LATER")
            .expect(whole()),
        case(
            robust("9110/13.1.5/7", "Range is ignored beside If-Range with neither a tag nor a date"),
            "If-Range: OPAQUE",
        )
        .expect(whole()),
        // §13.1.5, §8.8.2.2: a date is strong only if it is at least a second older than the response that it came
        // with.
        must("9110/13.1.5/10", "Range is ignored beside If-Range with a weak date")
            .after(get("/future.txt"))
            .send_from(|prior| {
                let line = format!("If-Range: {}", prior.header("Last-Modified")?);
                Some(get("/future.txt").with(line).with("Range: bytes=0-3"))
            })
            .expect(status(200)),
        must("9110/13.1.5/8", "If-Range without Range is ignored")
            .send(get(FILE).with("If-Range: \"other\""))
            .expect(whole()),
        must("9110/13.1.5/9", "A range beyond the end is ignored, too, beside If-Range that is not met")
            .send(get(FILE).with("Range: bytes=10-").with("If-Range: \"other\""))
            .expect(whole()),
    ]
}

/// Cases for §13.2.1: preconditions are ignored if the response without them would be neither a success nor 412.
fn preconditions_of_errors() -> Vec<Case> {
    vec![
        must("9110/13.2.1/1", "A missing file is answered with 404, not 304")
            .send(get("/no/such/thing").with("If-None-Match: *"))
            .expect(status(404)),
        must("9110/13.2.1/2", "A missing file is answered with 404, not 412")
            .send(get("/no/such/thing").with("If-Match: \"other\""))
            .expect(status(404)),
        must("9110/13.2.1/3", "A redirect comes before a precondition")
            .after(get("/dir"))
            .send(get("/dir").with("If-Match: \"other\"").with("If-None-Match: *"))
            .expect(same_status()),
        must("9110/13.2.1/4", "A method that is not allowed is rejected before a precondition")
            .after(post(FILE, "x"))
            .send(post(FILE, "x").with("If-Match: \"other\""))
            .expect(same_status()),
        must("9110/13.2.1/5", "OPTIONS selects no file, so it has no preconditions")
            .after(request("OPTIONS", FILE))
            .send(request("OPTIONS", FILE).with("If-Match: \"other\"").with("If-None-Match: *"))
            .expect(same_status()),
    ]
}

/// Cases for §13.2.2: If-Match, or else If-Unmodified-Since; then If-None-Match, or else If-Modified-Since; then Range.
fn precedence() -> Vec<Case> {
    /// What is tested, the header lines, and the status that is expected.
    struct PrecedenceRow(&'static str, &'static [&'static str], u16);
    let rows = [
        PrecedenceRow(
            "If-Unmodified-Since is ignored beside If-Match that is met",
            &["If-Match: TAG", "If-Unmodified-Since: EARLIER"],
            200,
        ),
        PrecedenceRow(
            "If-Match that is not met counts, whatever If-Unmodified-Since says",
            &["If-Unmodified-Since: LATER", "If-Match: \"other\""],
            412,
        ),
        PrecedenceRow(
            "If-Modified-Since is ignored beside If-None-Match that is met",
            &["If-Modified-Since: DATE", "If-None-Match: \"other\""],
            200,
        ),
        PrecedenceRow(
            "If-None-Match that is not met counts, whatever If-Modified-Since says",
            &["If-Modified-Since: EARLIER", "If-None-Match: TAG"],
            304,
        ),
        PrecedenceRow(
            "If-None-Match decides after If-Match that is met",
            &["If-None-Match: TAG", "If-Match: TAG"],
            304,
        ),
        PrecedenceRow(
            "If-Match that is not met comes before If-None-Match",
            &["If-None-Match: TAG", "If-Match: \"other\""],
            412,
        ),
        PrecedenceRow(
            "If-Unmodified-Since that is not met comes before If-None-Match",
            &["If-None-Match: TAG", "If-Unmodified-Since: EARLIER"],
            412,
        ),
        PrecedenceRow(
            "If-None-Match decides after If-Unmodified-Since that is met",
            &["If-None-Match: TAG", "If-Unmodified-Since: DATE"],
            304,
        ),
        PrecedenceRow("If-None-Match comes before Range", &["Range: bytes=2-5", "If-None-Match: TAG"], 304),
        PrecedenceRow(
            "If-None-Match comes before a Range beyond the end",
            &["Range: bytes=10-", "If-None-Match: *"],
            304,
        ),
        PrecedenceRow("If-Match comes before Range", &["Range: bytes=2-5", "If-Match: \"other\""], 412),
        PrecedenceRow(
            "If-Match comes before If-Range",
            &["Range: bytes=2-5", "If-Range: TAG", "If-Match: \"other\""],
            412,
        ),
    ];
    let case = |(PrecedenceRow(requirement, lines, expected), number): (PrecedenceRow, u32)| {
        let content = if expected == 200 { body(DIGITS) } else { any_response() };
        must(format!("9110/13.2.2/{number}"), requirement)
            .after(get(FILE))
            .send_from(move |prior| {
                lines
                    .iter()
                    .try_fold(get(FILE), |request, line| Some(request.with(insert_validators(line, prior)?)))
            })
            .expect([status(expected), content])
    };
    rows.into_iter().zip(1..).map(case).collect()
}

/// Cases for §15.4.5: responses 304 to a precondition. The strict reader already rejects any body in them.
fn not_modified() -> Vec<Case> {
    vec![
        must("9110/13.1.2/80", "A response 304 has the headers for caches that 200 has")
            .after(get(FILE))
            .send_from(get_if_changed)
            .expect([
                status(304),
                same_header("ETag"),
                same_header("Cache-Control"),
                same_header("Content-Location"),
                same_header("Vary"),
            ]),
        // RFC 9110 §8.6.
        must("9110/13.1.2/81", "A Content-Length in a response 304 is the same as in a response 200")
            .after(get(FILE))
            .send_from(get_if_changed)
            .expect([status(304), same_length_if_any()]),
        should("9110/13.1.2/82", "A response 304 does not describe the body that it does not have")
            .after(get(FILE))
            .send_from(get_if_changed)
            .expect([status(304), no_header("Content-Type"), no_header("Content-Encoding")]),
        must("9110/13.1.2/83", "After responses 304 the next request gets the right response")
            .after(get(FILE))
            .send_from(get_if_changed)
            .send_from(|prior| get_if_changed(prior).map(into_head))
            .send(get(FILE))
            .expect([responses([304, 304, 200]), nth(2, body(DIGITS))]),
    ]
}

/// Makes a GET for the file with these lines, in which the validators of the prior response are inserted.
fn get_with<const N: usize>(lines: [&'static str; N]) -> impl Fn(&Response) -> Option<Request> {
    move |prior| {
        lines.iter().try_fold(get(FILE), |request, line| Some(request.with(insert_validators(line, prior)?)))
    }
}

/// Makes a GET for the file with its entity tag in If-None-Match.
fn get_if_changed(prior: &Response) -> Option<Request> {
    get_with(["If-None-Match: TAG"])(prior)
}

/// Puts the file's validators into the line; `None` if the prior response lacks a validator that the line names.
fn insert_validators(line: &str, prior: &Response) -> Option<String> {
    let dated = ["DATE", "EARLIER", "LATER", "Since"].iter().any(|word| line.contains(word));
    let tagged = ["TAG", "OPAQUE"].iter().any(|word| line.contains(word));
    // A fixture that was modified since it was written has another date.
    if dated && prior.header("Last-Modified") != Some(MODIFIED) {
        return None;
    }
    let tag = if tagged { strong_tag(prior)? } else { "" };
    let line = line.replace("OPAQUE", tag.trim_matches('"')).replace("TAG", tag);
    let date = |second| MODIFIED.replace(":37 ", second);
    Some(line.replace("DATE", MODIFIED).replace("EARLIER", &date(":36 ")).replace("LATER", &date(":38 ")))
}

/// The entity tag of a response, if it is a strong one.
fn strong_tag(prior: &Response) -> Option<&str> {
    prior.header("ETag").filter(|tag| tag.starts_with('"') && tag.len() > 2)
}

/// Changes the method to HEAD.
fn into_head(request: Request) -> Request {
    request.method("HEAD")
}

/// Expects that the status is the same as in the prior response, without preconditions.
fn same_status() -> Expectation {
    compared_with_prior("the status without preconditions", |response, prior| response.status == prior.status)
}

/// Expects that the response has no Content-Length, or the length of the prior body.
fn same_length_if_any() -> Expectation {
    compared_with_prior("no Content-Length, or the same as in a 200", |response, prior| {
        response.header("Content-Length").is_none_or(|length| length == prior.body.len().to_string())
    })
}
