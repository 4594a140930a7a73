//! RFC 9110 §14: parts of a file. A server MAY answer with the whole file instead, but it MUST NOT answer with a part
//! that does not match its Content-Range.

use std::ops::Range;

use crate::byteranges::{BodyPart, parts};
use crate::fixtures::{DIGITS, PATTERN_LEN, pattern};

use super::prelude::*;

/// The target of most cases here: ten digits.
const FILE: &str = "/digits.txt";

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        one_range(),
        large_file(),
        several_ranges(),
        many_ranges(),
        beyond_the_end(),
        malformed_ranges(),
        ignored_ranges(),
        other_headers_of_parts(),
        accept_ranges(),
    ];
    Section::new("9110/14", "Range Requests", cases).on(Needs::Fixtures)
}

/// Cases for §14.1.2: offsets count from 0 and include the last one; `-n` is the last n bytes.
fn one_range() -> Vec<Case> {
    let ranges = [
        ("bytes=2-5", "2345"),
        ("bytes=0-0", "0"),
        ("bytes=0-9", "0123456789"),
        ("bytes=7-", "789"),
        ("bytes=9-9", "9"),
        ("bytes=-3", "789"),
        // Longer than the file: all of it.
        ("bytes=-11", "0123456789"),
        ("bytes=8-11", "89"),
        ("bytes=0-18446744073709551616", "0123456789"),
        ("bytes=5-18446744073709551617", "56789"),
        ("bytes=-18446744073709551617", "0123456789"),
        // §14.1: names of units are not case-sensitive. §5.6.1.2: empty members of a list are ignored.
        ("BYTES=2-5", "2345"),
        ("bytes=, 2-5 ,", "2345"),
    ];
    let ask = |range: &str| get(FILE).with(format!("Range: {range}"));
    let case = |((range, content), number): ((&str, &'static str), u32)| {
        must(
            format!("9110/14.1.2/{number}"),
            format!("A part for {range} of ten digits holds nothing but {content}"),
        )
        .send(ask(range))
        .expect([whole_or_true_parts(DIGITS), parts_within(content)])
    };
    // §15.3.7 lets a server send fewer ranges than requested "for reasons of its own". A short file gives no reason.
    let served = robust("9110/14.2/1", "Ranges of all kinds are served, not only the simplest");
    let served = ranges.iter().fold(served, |case, (range, _)| case.send(ask(range)));
    let parts = ranges.iter().enumerate().map(|(index, (_, content))| nth(index, is_part_of_digits(content)));
    let served = served.expect(parts.collect::<Vec<_>>());
    ranges.into_iter().zip(1..).map(case).chain([served]).collect()
}

/// Cases: Some of these ranges cross the end of a buffer, whatever size of buffer the server uses.
fn large_file() -> Vec<Case> {
    /// The offset of the last byte of `/pattern.bin`.
    const LAST: usize = PATTERN_LEN - 1;
    let ranges = [
        ("bytes=65535-65536".to_owned(), 65_535..65_537),
        ("bytes=1000-300000".to_owned(), 1000..300_001),
        (format!("bytes={LAST}-"), LAST..PATTERN_LEN),
        ("bytes=-70000".to_owned(), PATTERN_LEN - 70_000..PATTERN_LEN),
        ("bytes=1-".to_owned(), 1..PATTERN_LEN),
    ];
    let ask = |range: &str| get("/pattern.bin").with(format!("Range: {range}"));
    let case = |((range, offsets), number): (&(String, Range<usize>), u32)| {
        robust(
            format!("9110/14.2/{number}"),
            format!("The range {range} of a large file is answered with that part"),
        )
        .send(ask(range))
        .expect([whole_or_true_parts(pattern(0..PATTERN_LEN)), body(pattern(offsets.clone()))])
    };
    let honest = must("9110/14.1.2/30", "Parts of a large file match their Content-Range").expect(
        (0..ranges.len())
            .map(|index| nth(index, whole_or_true_parts(pattern(0..PATTERN_LEN))))
            .collect::<Vec<_>>(),
    );
    let honest = ranges.iter().fold(honest, |case, (range, _)| case.send(ask(range)));
    ranges.iter().zip(50..).map(case).chain([honest]).collect()
}

/// Cases for §15.3.7.2: parts with their Content-Range, in a plain or a multipart response; or the whole file.
fn several_ranges() -> Vec<Case> {
    let ask = |range: &str| get(FILE).with(format!("Range: {range}"));
    let ranges = [
        ("bytes=0-0,9-9", "09"),
        ("bytes=1-2, 5-5,\t-2", "12589"),
        ("bytes=8-,4-5,0-1", "014589"),
        // RFC 9110 §15.3.7.2: these MAY be joined.
        ("bytes=0-4,5-9", DIGITS),
        ("bytes=0-6,4-9", DIGITS),
        // A range that cannot be satisfied does not affect the other.
        ("bytes=20-30,2-5", "2345"),
    ];
    let case = |((range, _), number): (&(&str, &str), u32)| {
        must(
            format!("9110/14.6/{number}"),
            format!("All parts for {range:?} of ten digits match their Content-Range"),
        )
        .send(ask(range))
        .expect(whole_or_true_parts(DIGITS))
    };
    let all = robust("9110/14.2/2", "None of several ranges is left out");
    let all = ranges.iter().fold(all, |case, (range, _)| case.send(ask(range)));
    let digits = ranges.iter().enumerate().map(|(index, (_, digits))| nth(index, parts_cover(digits)));
    let others = vec![
        robust("9110/14.6/7", "Ranges in two lines are answered with parts, or the whole file, or rejected")
            .send(ask("bytes=0-0").with("Range: bytes=9-9"))
            .expect(either(whole_or_true_parts(DIGITS), any_of([400, 416]))),
        must("9110/14.6/8", "Parts of a large file are exact")
            .send(get("/pattern.bin").with("Range: bytes=0-99999,300000-300000,1000000-"))
            .expect(whole_or_true_parts(pattern(0..PATTERN_LEN))),
        // §15.3.7.2: a multipart response is not allowed if a single range was requested.
        must("9110/14.6/9", "A single range is not answered with a multipart response")
            .send(ask("bytes=2-5"))
            .expect(check_response("no multipart/byteranges", |response| {
                match response.header("Content-Type") {
                    Some(kind) if kind.starts_with("multipart/byteranges") => Err(kind.into()),
                    _ => Ok(()),
                }
            }))
            .expect(whole_or_true_parts(DIGITS)),
        should("9110/14.6/10", "Parts are in the order in which they were asked for")
            .send(ask("bytes=8-8,4-4,0-0"))
            .expect(whole_or_parts_that("parts in the order 8, 4, 0, or the whole file", |parts| {
                parts.iter().rev().is_sorted_by_key(|part| part.first)
            })),
        should("9110/14.6/11", "Each part names the media type that the whole file has")
            .after(get(FILE))
            .send(ask("bytes=0-0,9-9"))
            .expect(compared_with_prior("the media type of the file in each part", |response, prior| {
                response.status == 200
                    || parts(response).is_ok_and(|parts| {
                        parts.iter().all(|part| part.media_type.as_deref() == prior.header("Content-Type"))
                    })
            })),
        all.expect(digits.collect::<Vec<_>>()),
    ];
    ranges.iter().zip(1..).map(case).chain(others).collect()
}

/// Cases for §17.15: a short request for many parts that overlap or are tiny is an attack.
fn many_ranges() -> Vec<Case> {
    let ask = |ranges: Vec<String>| get("/pattern.bin").with(format!("Range: bytes={}", ranges.join(",")));
    let modest =
        || body_that("a body of no more than twice the file", |content| content.len() <= 2 * PATTERN_LEN);
    vec![
        should("9110/14.2/3", "A hundred ranges that overlap do not make a response of a hundred files")
            .send(ask(vec!["0-".into(); 100]))
            .expect([any_of([200, 206, 400, 416]), modest()]),
        should("9110/14.2/4", "Many ranges that overlap by all but a byte do not, either")
            .send(ask((0..500).map(|first| format!("{first}-")).collect()))
            .expect([any_of([200, 206, 400, 416]), modest()]),
        should("9110/14.2/5", "Many tiny ranges in descending order are served, ignored or rejected")
            .send(ask((0..500).rev().map(|first| format!("{0}-{0}", first * 100)).collect()))
            .expect([any_of([200, 206, 400, 416]), modest()]),
        // §14.2 lets a server ignore Range. zsync asks for twenty ranges at once.
        answered_with_parts("9110/14.2/6", 20),
        answered_with_parts("9110/14.2/7", 200),
        // §15.3.7.2: ranges that overlap or adjoin MAY be joined.
        robust("9110/14.2/8", "Bytes that two ranges ask for are sent once")
            .send(get(FILE).with("Range: bytes=0-6,4-8"))
            .expect([
                status(206),
                parts_cover("012345678"),
                whole_or_parts_that("nine bytes in all", |parts| {
                    parts.iter().map(|part| part.bytes.len()).sum::<usize>() == 9
                }),
            ]),
    ]
}

/// So many ranges of a large file, a gap after each, are answered with these parts.
fn answered_with_parts(id: &str, count: usize) -> Case {
    let first = |number: usize| number * 4096;
    let ranges: Vec<_> =
        (0..count).map(|number| format!("{}-{}", first(number), first(number) + 2047)).collect();
    robust(id, format!("A request for {count} ranges is answered with {count} parts"))
        .send(get("/pattern.bin").with(format!("Range: bytes={}", ranges.join(","))))
        .expect([
            status(206),
            whole_or_true_parts(pattern(0..PATTERN_LEN)),
            check_response("the parts that were asked for", move |response| {
                let firsts: Vec<_> = parts(response)?.iter().map(|part| part.first).collect();
                let all = firsts.iter().copied().eq((0..count).map(first));
                if all { Ok(()) } else { Err(format!("parts that begin at {firsts:?}")) }
            }),
        ])
}

/// Cases for §14.2: if no range can be satisfied, the answer SHOULD be 416; §15.5.17: with the length the file has.
fn beyond_the_end() -> Vec<Case> {
    let ranges = [
        "bytes=10-",
        "bytes=50-99",
        "bytes=-0",
        "bytes=10-10,20-30,-0",
        "bytes=18446744073709551616-",
        "bytes=340282366920938463463374607431768211456-",
    ];
    let case = |(range, number)| {
        should(
            format!("9110/14.4/{number}"),
            format!("The Range {range} of ten bytes is answered with 416 and the length"),
        )
        .send(get(FILE).with(format!("Range: {range}")))
        .expect([status(416), header("Content-Range", "bytes */10")])
    };
    let empty = [
        // §14.2: a server MAY ignore the header, as nginx and Apache do here.
        should("9110/14.4/20", "No range of an empty file is answered with a part")
            .send(get("/empty.txt").with("Range: bytes=0-0"))
            .expect(either(status_and_body(200, ""), header("Content-Range", "bytes */0"))),
        // §14.1.2: the range can be satisfied, so 416 would be wrong; but no Content-Range can describe an empty part.
        robust("9110/14.4/21", "The last bytes of an empty file are the whole file")
            .send(get("/empty.txt").with("Range: bytes=-5"))
            .expect([status(200), body("")]),
    ];
    ranges.into_iter().zip(1..).map(case).chain(empty).collect()
}

/// Cases for §14.2: a server MAY ignore or reject a set of ranges that is invalid.
fn malformed_ranges() -> Vec<Case> {
    let ranges = [
        "bytes=5-2",
        "bytes=0-0,5-2",
        "bytes=",
        "bytes=-",
        "bytes=2",
        "bytes=0x2-0x5",
        "bytes=+2-5",
        "bytes=2-5-7",
        "bytes=2 - 5",
        "bytes=2-5,x",
        "bytes 2-5",
        "2-5",
    ];
    let case = |(range, number)| {
        robust(
            format!("9110/14.1.1/{number}"),
            format!("The Range {range:?} is ignored or rejected: it is invalid"),
        )
        .send(get(FILE).with(format!("Range: {range}")))
        .expect(either(status_and_body(200, DIGITS), any_of([400, 416])))
    };
    ranges.into_iter().zip(1..).map(case).collect()
}

/// Cases for §14.2: Range is defined for GET, and for units that the server understands; beyond that it MUST be
/// ignored.
fn ignored_ranges() -> Vec<Case> {
    vec![
        must("9110/14.2/20", "A range of an unknown unit is ignored")
            .send(get(FILE).with("Range: lines=2-5"))
            .expect(status_and_body(200, DIGITS)),
        must("9110/14.2/21", "A range of a unit whose name only begins with bytes is ignored")
            .send(get(FILE).with("Range: bytes2=2-5"))
            .expect(status_and_body(200, DIGITS)),
        must("9110/14.2/22", "Range is ignored for HEAD: the response describes the whole file")
            .after(head(FILE))
            .send(head(FILE).with("Range: bytes=2-5"))
            .expect([status(200), same_header("Content-Length")]),
        must("9110/14.2/23", "HEAD is not rejected for a range beyond the end")
            .send(head(FILE).with("Range: bytes=10-"))
            .expect(status(200)),
        must("9110/14.2/24", "Range is ignored for POST")
            .after(post(FILE, "x"))
            .send(post(FILE, "x").with("Range: bytes=10-"))
            .expect(compared_with_prior("the status without Range", |response, prior| {
                response.status == prior.status
            })),
        // §14.2: Range is evaluated only if the response without it would be 200.
        should("9110/14.2/25", "Range is ignored for a missing file")
            .send(get("/no/such/thing").with("Range: bytes=2-5"))
            .expect(status(404)),
        should("9110/14.2/26", "Range is ignored for a redirect")
            .after(get("/dir"))
            .send(get("/dir").with("Range: bytes=0-0"))
            .expect(compared_with_prior("the status and Location without Range", |response, prior| {
                response.status == prior.status && response.header("Location") == prior.header("Location")
            })),
    ]
}

/// Cases for §15.3.7: a 206 has the same headers as the 200 would have, so that clients can combine parts.
fn other_headers_of_parts() -> Vec<Case> {
    vec![
        must("9110/14.2/40", "A part comes with the headers that the whole file has")
            .after(get(FILE))
            .send(get(FILE).with("Range: bytes=2-5"))
            .expect([
                whole_or_true_parts(DIGITS),
                same_header("ETag"),
                same_header("Last-Modified"),
                same_header("Cache-Control"),
                same_header("Vary"),
                same_header("Content-Type"),
            ]),
        should(
            "9110/14.2/41",
            "A part does not describe the file again to a client that knows it by If-Range",
        )
        .after(get(FILE))
        .send_from(|prior| {
            Some(get(FILE).with("Range: bytes=2-5").with(format!("If-Range: {}", prior.header("ETag")?)))
        })
        .expect(either(status_and_body(200, DIGITS), no_header("Content-Type"))),
    ]
}

/// Cases for Accept-Ranges (§14.3).
fn accept_ranges() -> Vec<Case> {
    vec![
        robust("9110/14.3/1", "A server that serves ranges says so in Accept-Ranges")
            .after(get(FILE).with("Range: bytes=2-5"))
            .send_from(|prior| (prior.status == 206).then(|| get(FILE)))
            .expect([status_and_body(200, DIGITS), header("Accept-Ranges", listing("bytes"))]),
    ]
}

/// Expects that the response has this status and this body.
fn status_and_body(status: u16, content: impl Into<Vec<u8>>) -> Expectation {
    let content = content.into();
    response_that(format!("status {status} with a body of {} bytes", content.len()), move |response| {
        response.status == status && response.body == content
    })
}

/// Expects that the response is a 206 with exactly this piece of the digits.
fn is_part_of_digits(piece: &'static str) -> Expectation {
    check_response(format!("206 with {piece} and its Content-Range"), move |response| {
        let parts = parts(response).map_err(|why| format!("{} with {why}", response.describe()))?;
        let is_it =
            |part: &BodyPart| part.bytes == piece.as_bytes() && DIGITS.find(piece) == Some(part.first);
        match parts.as_slice() {
            [part] if response.status == 206 && is_it(part) => Ok(()),
            parts => Err(format!("{} with {parts:?}", response.describe())),
        }
    })
}

/// Expects that the response is the whole file, or parts whose bytes match their Content-Range.
fn whole_or_true_parts(file: impl Into<Vec<u8>>) -> Expectation {
    let file = file.into();
    check_response("the file, or parts that match their Content-Range", move |response| {
        match response.status {
            200 if response.body == file => Ok(()),
            206 => {
                let parts = parts(response)?;
                let is_honest = |part: &BodyPart| {
                    file.get(part.first..=part.last) == Some(&part.bytes)
                        && part.complete.is_none_or(|complete| complete == file.len())
                };
                let liar = parts.iter().find(|part| !is_honest(part));
                match liar {
                    _ if parts.is_empty() => Err("no parts".into()),
                    Some(part) => Err(format!("other bytes as {}-{}", part.first, part.last)),
                    None => Ok(()),
                }
            }
            _ => Err(response.describe()),
        }
    })
}

/// Expects that the response is the whole file, or parts that pass a test.
fn whole_or_parts_that(
    says: impl Into<String>,
    test: impl Fn(&[BodyPart]) -> bool + Send + Sync + 'static,
) -> Expectation {
    check_response(says, move |response| match response.status {
        200 if response.body == DIGITS.as_bytes() => Ok(()),
        206 if test(&parts(response)?) => Ok(()),
        206 => Err(format!("parts {:?}", parts(response)?)),
        _ => Err(response.describe()),
    })
}

/// Expects that the parts hold no other digits than these.
fn parts_within(digits: &'static str) -> Expectation {
    whole_or_parts_that(format!("no other digits than {digits}, or the whole file"), move |parts| {
        parts.iter().flat_map(|part| &part.bytes).all(|digit| digits.as_bytes().contains(digit))
    })
}

/// Expects that each of these digits is in at least one part.
fn parts_cover(digits: &'static str) -> Expectation {
    whole_or_parts_that(format!("the digits {digits}, or the whole file"), move |parts| {
        digits.bytes().all(|digit| parts.iter().any(|part| part.bytes.contains(&digit)))
    })
}
