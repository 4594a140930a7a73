//! Proactive negotiation: which of several representations a peer likes best (RFC 9110 §12.5.1).
//!
//! A wish is not an order: what is malformed is ignored, and what to do when everything on offer is refused is
//! for the caller to say. This file must never prefer by chance: among equals the first offer wins.
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
use crate::types::grammar::quoted_list;
use std::cmp::Reverse;

/// The index of the offer that the peer likes best, the first of equals; `None` when it wants none of them.
///
/// `accept` are the values of all its `Accept` fields, `offers` media types. The most specific range that an
/// offer falls in decides how much it is liked; one that falls in none is not wanted. Without a field, or
/// without a sound member in it, any offer is as good as the other.
#[must_use]
pub fn preferred<'a>(accept: impl IntoIterator<Item = &'a [u8]>, offers: &[&str]) -> Option<usize> {
    let offers: Vec<_> = offers.iter().map(|offer| MediaType::parse(offer.as_bytes())).collect();
    debug_assert!(offers.iter().all(Option::is_some), "an offer of ours is malformed");

    let mut indifferent = true;
    let mut liked: Vec<Option<(Precision, Weight)>> = vec![None; offers.len()];
    for range in accept.into_iter().flat_map(quoted_list).filter_map(MediaRange::parse) {
        indifferent = false;
        for (liked, offer) in liked.iter_mut().zip(&offers) {
            let precision = offer.and_then(|offer| range.precision_for(offer));
            *liked = (*liked).max(precision.map(|precision| (precision, range.weight)));
        }
    }
    let weight =
        |place: &usize| if indifferent { ONE } else { liked[*place].map_or(0, |(_, weight)| weight) };
    (0..offers.len()).filter(|place| weight(place) > 0).min_by_key(|place| Reverse(weight(place)))
}

/// How closely a range describes an offer: asterisks filled by a name, then parameters in common (§12.5.1).
type Precision = (u8, usize);

/// Thousandths.
type Weight = u16;

const ONE: Weight = 1000;

/// One member of an `Accept` field: `text/*;q=0.5`.
struct MediaRange<'a> {
    range: MediaType<'a>,
    weight: Weight,
}

impl<'a> MediaRange<'a> {
    fn parse(member: &'a [u8]) -> Option<MediaRange<'a>> {
        let range = MediaType::parse(member)?;
        let weight = range.parameter("q").map_or(Some(ONE), |weight| qvalue(&weight))?;
        let half_open = range.top_level() == "*" && range.subtype() != "*";
        (!half_open).then_some(MediaRange { range, weight })
    }

    /// `None` if the offer does not fall in this range.
    fn precision_for(&self, offer: MediaType<'_>) -> Option<Precision> {
        let named = match (self.range.top_level(), self.range.subtype()) {
            ("*", _) => 0,
            (top_level, "*") => top_level.eq_ignore_ascii_case(offer.top_level()).then_some(1)?,
            (top_level, subtype) => {
                let same = top_level.eq_ignore_ascii_case(offer.top_level())
                    && subtype.eq_ignore_ascii_case(offer.subtype());
                same.then_some(2)?
            }
        };
        let mut shared = 0;
        // What follows the weight is an extension that RFC 9110 did away with.
        for wanted in
            self.range.parameters().take_while(|parameter| !parameter.name.eq_ignore_ascii_case("q"))
        {
            // Many a client names a charset out of habit; no representation was ever chosen by it here.
            if !wanted.name.eq_ignore_ascii_case("charset") {
                offer.parameter(wanted.name).filter(|value| value.eq_ignore_ascii_case(&wanted.value()))?;
                shared += 1;
            }
        }
        Some((named, shared))
    }
}

/// A weight (§12.4.2): from 0 to 1, with at most three digits behind the point.
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

    const OFFERS: [&str; 3] = ["application/json", "text/html; charset=utf-8", "text/plain;format=flowed"];
    const JSON: Option<usize> = Some(0);
    const HTML: Option<usize> = Some(1);
    const FLOWED: Option<usize> = Some(2);

    /// `accept` is a field line for each line of it.
    fn check(accept: &str, expected: Option<usize>) {
        assert_eq!(preferred(accept.lines().map(str::as_bytes), &OFFERS), expected, "{accept:?}");
    }

    #[test]
    fn without_a_wish_the_first_offer_wins() {
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
    fn refusals() {
        check("*/*;q=0", None);
        check("*/*;q=0.000", None);
        check("image/png, image/*", None);
        check("*/*, application/json;q=0", HTML);
        check("application/json;q=0, text/*;q=0, */*", None);
    }

    #[test]
    fn malformed_members_are_ignored() {
        for member in [
            "text",
            "*",
            "*/html",
            "/",
            "text/html q=1",
            "text/html;q",
            "text/html;q=",
            "text/html;q=2",
            "text/html;q=1.001",
            "text/html;q=0.1234",
            "text/html;q=.5",
            "text/html;q=-1",
            "text/html;q=1e0",
            "text/html;q=0x",
            "text/html; q = 1",
            "text/html;q=\"",
        ] {
            check(member, JSON);
            check(&format!("text/plain;format=flowed;q=0.001, {member}"), FLOWED);
        }
        check("text/html;a=\"b\\\",c\", text/plain;format=flowed;q=0.001", FLOWED);
        check("text/html ; q=0.0,,application/json; q=1.", JSON);
    }

    proptest! {
        #[test]
        fn the_order_of_ranges_says_nothing(
            ranges in prop::collection::vec(
                "(text|application|\\*)/(html|json|plain|\\*)(;format=(flowed|fixed))?(;q=(0|1|0\\.[0-9]|2))?",
                0..6,
            ),
        ) {
            let forth = ranges.join(", ");
            let back: Vec<_> = ranges.iter().rev().map(String::as_bytes).collect();
            prop_assert_eq!(preferred([forth.as_bytes()], &OFFERS), preferred(back, &OFFERS));
        }
    }
}
