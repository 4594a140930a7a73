//! Proactive negotiation: which of several media types a client prefers for a response (RFC 9110 §12.5.1), and which
//! content codings (§12.5.3).
//!
//! Ignores malformed members of `Accept` and `Accept-Encoding`. If the client accepts no offer, the handler decides: it
//! may respond with 406, or with any type. The choice is deterministic: of offers that the client likes equally, the
//! first wins.
//!
//! ```
//! use http_core::negotiate::preferred;
//!
//! let offers = ["application/json", "text/html"];
//! let browser = &b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"[..];
//! assert_eq!(preferred([browser], &offers), Some(1));
//! assert_eq!(preferred([&b"*/*"[..]], &offers), Some(0));
//! assert_eq!(preferred([&b"image/*"[..]], &offers), None);
//! ```

use super::media_type::MediaType;
use crate::types::grammar::{is_token, list, quoted_list};
use std::cmp::Reverse;

/// Returns the index of the offer that the client prefers: the first of those with the greatest weight. Returns `None`
/// if the client accepts no offer.
///
/// `accept` are the values of all `Accept` headers of the request. `offers` are the media types that the server can
/// send. The weight of an offer is the `q` of the most specific media range that matches it. An offer with `q=0`, or
/// that no range matches, is not accepted. If there is no valid range in `accept`, all offers have the same weight.
pub fn preferred<'a>(accept: impl IntoIterator<Item = &'a [u8]>, offers: &[&str]) -> Option<usize> {
    let offers: Vec<_> = offers.iter().map(|offer| MediaType::parse(offer.as_bytes())).collect();
    debug_assert!(offers.iter().all(Option::is_some), "malformed offer of the server");

    let mut no_preference = true;
    let mut best: Vec<Option<(Precision, Weight)>> = vec![None; offers.len()];
    for (range, weight) in accept.into_iter().flat_map(quoted_list).filter_map(parse_range) {
        no_preference = false;
        for (best, offer) in best.iter_mut().zip(&offers) {
            let precision = offer.and_then(|offer| precision(range, offer));
            *best = (*best).max(precision.map(|precision| (precision, weight)));
        }
    }
    let weight =
        |index: &usize| if no_preference { ONE } else { best[*index].map_or(0, |(_, weight)| weight) };
    (0..offers.len()).filter(|index| weight(index) > 0).min_by_key(|index| Reverse(weight(index)))
}

/// Returns the weights of `codings`, the content codings that the server can send, in thousandths. A greater weight is
/// preferred. 0 means that the client does not accept the coding, or does not name it. Allocates nothing.
///
/// `accept_encoding` are the values of all `Accept-Encoding` headers of the request. `*` stands for each coding that
/// they do not name, including `identity`, which means no coding. `x-gzip` means `gzip`. `identity` is acceptable even
/// if its weight is 0, unless the header excludes it.
///
/// ```
/// use http_core::negotiate::coding_weights;
///
/// let browser = &b"gzip, deflate, br;q=0.8"[..];
/// assert_eq!(coding_weights([browser], ["br", "gzip", "identity"]), [800, 1000, 0]);
/// ```
pub fn coding_weights<'a, const N: usize>(
    accept_encoding: impl IntoIterator<Item = &'a [u8]>,
    codings: [&str; N],
) -> [u16; N] {
    let (mut named, mut others) = ([None; N], 0);
    for (coding, weight) in accept_encoding.into_iter().flat_map(list).filter_map(parse_coding) {
        // RFC 9110 §8.4.1.3: an old name.
        let coding = if coding.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { coding };
        if coding == b"*" {
            others = others.max(weight);
        }
        for (named, offer) in named.iter_mut().zip(codings) {
            if offer.as_bytes().eq_ignore_ascii_case(coding) {
                *named = (*named).max(Some(weight));
            }
        }
    }
    named.map(|weight| weight.unwrap_or(others))
}

/// Parses one member of an `Accept-Encoding` header, such as `gzip;q=0.5`, into a coding and its weight. Returns `None`
/// if it is malformed.
fn parse_coding(member: &[u8]) -> Option<(&[u8], Weight)> {
    let Some(end) = member.iter().position(|&byte| byte == b';') else {
        return is_token(member).then_some((member, ONE));
    };
    let (coding, weight) = (member[..end].trim_ascii(), member[end + 1..].trim_ascii());
    let [b'q' | b'Q', b'=', weight @ ..] = weight else { return None };
    is_token(coding).then_some((coding, qvalue(weight)?))
}

/// How specific a media range is (RFC 9110 §12.5.1): how many of type and subtype are not `*`, then the number of its
/// parameters before `q`, without `charset`. A greater value is more specific.
type Precision = (u8, usize);

/// The weight of a media range in thousandths (RFC 9110 §12.4.2). 0 means not acceptable.
type Weight = u16;

/// The greatest weight, and the weight of a media range without `q`.
const ONE: Weight = 1000;

/// Parses one member of an `Accept` header, such as `text/*;q=0.5`, into a media range and its weight. Returns `None`
/// if it is malformed.
fn parse_range(member: &[u8]) -> Option<(MediaType<'_>, Weight)> {
    let range = MediaType::parse(member)?;
    let weight = range.parameter("q").map_or(Some(ONE), |weight| qvalue(&weight))?;
    let half_open = range.top_level() == "*" && range.subtype() != "*";
    (!half_open).then_some((range, weight))
}

/// Returns how specific `range` is, or `None` if `range` does not match `offer`.
fn precision(range: MediaType<'_>, offer: MediaType<'_>) -> Option<Precision> {
    let (mut named, mut shared) = (0, 0);
    for (wanted, offered) in [(range.top_level(), offer.top_level()), (range.subtype(), offer.subtype())] {
        if wanted != "*" {
            wanted.eq_ignore_ascii_case(offered).then_some(())?;
            named += 1;
        }
    }
    // Ignores parameters after the weight: they are extensions, which RFC 9110 has removed.
    for wanted in range.parameters().take_while(|parameter| !parameter.name.eq_ignore_ascii_case("q")) {
        // Ignores a charset: clients send it out of habit, and it does not select a representation.
        if !wanted.name.eq_ignore_ascii_case("charset") {
            offer.parameter(wanted.name).filter(|value| value.eq_ignore_ascii_case(&wanted.value()))?;
            shared += 1;
        }
    }
    Some((named, shared))
}

/// Parses a weight (RFC 9110 §12.4.2): a number from 0 to 1 with at most three decimals. Returns `None` if it is
/// malformed.
fn qvalue(text: &[u8]) -> Option<Weight> {
    let (whole, decimals) = match text {
        [whole] => (whole, &b""[..]),
        [whole, b'.', decimals @ ..] => (whole, decimals),
        _ => return None,
    };
    if decimals.len() > 3 || !whole.is_ascii_digit() || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = std::iter::once(whole).chain(decimals).chain(b"000").take(4);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + Weight::from(digit - b'0'));
    (thousandths <= ONE).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The media types that the server can send.
    const OFFERS: [&str; 3] = ["application/json", "text/html; charset=utf-8", "text/plain;format=flowed"];
    /// The result if the client prefers the first of [`OFFERS`].
    const JSON: Option<usize> = Some(0);
    /// The result if the client prefers the second of [`OFFERS`].
    const HTML: Option<usize> = Some(1);
    /// The result if the client prefers the third of [`OFFERS`].
    const FLOWED: Option<usize> = Some(2);

    /// Each line of `accept` is the value of one `Accept` header. `expected` is the index of the preferred offer.
    fn check(accept: &str, expected: Option<usize>) {
        assert_eq!(preferred(accept.lines().map(str::as_bytes), &OFFERS), expected, "{accept:?}");
    }

    #[test]
    fn without_a_preference_the_first_offer_wins() {
        check("", JSON);
        check(" , ", JSON);
        check("*/*", JSON);
        check("*/*;q=0.1", JSON);
        assert_eq!(preferred([&b"*/*"[..]], &[]), None);
        assert_eq!(preferred([], &[]), None);
    }

    #[test]
    fn the_greatest_weight_wins_and_the_first_among_equals() {
        check("text/html", HTML);
        check("TEXT/HTML, application/json", JSON);
        check("text/html, application/json;q=0.999", HTML);
        check("application/json;q=0.5, text/*;q=0.6", HTML);
        check("application/json;q=0.5\ntext/html;q=0.6", HTML);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML);
        check("application/json, text/plain, */*", JSON);
        check("text/html;q=0.1, text/html;q=0.9, application/json;q=0.5", HTML);
    }

    #[test]
    fn the_most_specific_range_decides() {
        check("application/json;q=0.1, */*;q=0.9", HTML);
        check("text/html;q=0.1, text/*;q=0.5, */*;q=0.2", FLOWED);
        check("text/*, text/html;q=0, text/plain;q=0, application/*;q=0.1", JSON);
        check("text/plain;q=0.1, text/plain;format=flowed;q=0.9, */*;q=0.5", FLOWED);
        check("text/plain;q=0.9, text/plain;format=flowed;q=0.1, */*;q=0.5", JSON);
        check("text/plain;format=fixed, */*;q=0.5", JSON);
        check("text/plain;format=\"FLOWED\"", FLOWED);
        check("text/html;charset=iso-8859-1;q=0.9, */*;q=0.1", HTML);
        check("text/html;q=0.9;format=fixed, */*;q=0.1", HTML);
    }

    #[test]
    fn a_weight_of_zero_excludes_an_offer() {
        check("*/*;q=0", None);
        check("*/*;q=0.000", None);
        check("image/png, image/*", None);
        check("*/*, application/json;q=0", HTML);
        check("application/json;q=0, text/*;q=0, */*", None);
    }

    #[test]
    fn ignores_malformed_members() {
        let check_ignored = |member: &str| {
            check(member, JSON);
            check(&format!("text/plain;format=flowed;q=0.001, {member}"), FLOWED);
        };
        for member in ["text", "*", "*/html", "/", "text/html q=1", "text/html; q = 1"] {
            check_ignored(member);
        }
        for weight in ["", "=", "=2", "=1.001", "=0.1234", "=.5", "=-1", "=1e0", "=0x", "=\""] {
            check_ignored(&format!("text/html;q{weight}"));
        }
        check("text/html;a=\"b\\\",c\", text/plain;format=flowed;q=0.001", FLOWED);
        check("text/html ; q=0.0,,application/json; q=1.", JSON);
    }

    #[test]
    fn codings_have_weights() {
        let check = |accept: &str, expected: [u16; 3]| {
            let weights = coding_weights(accept.lines().map(str::as_bytes), ["br", "gzip", "identity"]);
            assert_eq!(weights, expected, "{accept:?}");
        };
        check("", [0, 0, 0]);
        check("gzip, deflate, br", [1000, 1000, 0]);
        check("GZIP;q=0.5 , identity ; Q=0.25", [0, 500, 250]);
        check("X-Gzip;q=0.5, gzip;q=0.25", [0, 500, 0]);
        check("*, x-gzip;q=0", [1000, 0, 1000]);
        check("gzip;q=0.5\nbr;q=0.123", [123, 500, 0]);
        check("*", [1000, 1000, 1000]);
        check("*;q=0.5, gzip;q=0", [500, 0, 500]);
        check("gzip;q=0, *;q=0.1, *;q=0.5, br, br;q=0.3", [1000, 0, 500]);
        check("gzip;q=2, gzip;q=-, br;q, identity;level=1;q=1, br gzip, ;q=1, gzipped", [0, 0, 0]);
    }

    proptest! {
        #[test]
        fn the_order_of_ranges_does_not_matter(
            ranges in prop::collection::vec(
                "(text|application|\\*)/(html|json|plain|\\*)(;format=(flowed|fixed))?(;q=(0|1|0\\.[0-9]|2))?",
                0..6,
            ),
        ) {
            let forward = ranges.join(", ");
            let backward: Vec<_> = ranges.iter().rev().map(String::as_bytes).collect();
            prop_assert_eq!(preferred([forward.as_bytes()], &OFFERS), preferred(backward, &OFFERS));
        }
    }
}
