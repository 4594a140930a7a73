//! The cases: a file for each section of RFC 9112 and RFC 9110, and four files for topics that span several sections.
//!
//! Each file is a table of cases: an id that never changes, the requirement in our own words, the bytes to send, and
//! what the server must do. A comment cites the RFC where the requirement does not say the same already.

use std::sync::LazyLock;

use crate::case::Section;

mod echo;
mod files;
mod limits;
mod rfc9110_10;
mod rfc9110_11;
mod rfc9110_12;
mod rfc9110_13;
mod rfc9110_14;
mod rfc9110_15;
mod rfc9110_5;
mod rfc9110_6;
mod rfc9110_7;
mod rfc9110_8;
mod rfc9110_9;
mod rfc9112_2;
mod rfc9112_3;
mod rfc9112_4;
mod rfc9112_5;
mod rfc9112_6;
mod rfc9112_7;
mod rfc9112_8;
mod rfc9112_9;
mod smuggling;

/// What every file of cases imports.
mod prelude {
    pub(super) use crate::case::*;
    pub(super) use crate::expect::*;
    pub(super) use crate::request::*;
}

/// All sections: RFC 9112 (syntax and framing), RFC 9110 (semantics), then the topics that span several sections.
pub fn all() -> &'static [Section] {
    /// The sections, made at the first use.
    static ALL: LazyLock<Vec<Section>> = LazyLock::new(|| {
        vec![
            rfc9112_2::section(),
            rfc9112_3::section(),
            rfc9112_4::section(),
            rfc9112_5::section(),
            rfc9112_6::section(),
            rfc9112_7::section(),
            rfc9112_8::section(),
            rfc9112_9::section(),
            rfc9110_5::section(),
            rfc9110_6::section(),
            rfc9110_7::section(),
            rfc9110_8::section(),
            rfc9110_9::section(),
            rfc9110_10::section(),
            rfc9110_11::section(),
            rfc9110_12::section(),
            rfc9110_13::section(),
            rfc9110_14::section(),
            rfc9110_15::section(),
            smuggling::section(),
            limits::section(),
            files::section(),
            echo::section(),
        ]
    });
    &ALL
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_stand_in_their_section() {
        let mut seen = HashSet::new();
        for section in all() {
            for case in &section.cases {
                let (of, number) = case.id.rsplit_once('/').unwrap();
                let within = of
                    .strip_prefix(section.prefix)
                    .unwrap_or_else(|| panic!("{case:?} in {}", section.prefix));
                assert!(
                    within.is_empty() || within.starts_with(['.', '/']),
                    "{case:?} in {}",
                    section.prefix
                );
                assert!(number.parse::<u32>().is_ok(), "{case:?} has no number");
                assert!(seen.insert(case.id.clone()), "{case:?} appears twice");
            }
        }
    }

    #[test]
    fn every_case_sends_something_and_expects_something() {
        for case in all().iter().flat_map(|section| &section.cases) {
            assert!(!case.expectations.is_empty(), "{case:?} expects nothing");
            assert!(!case.sends_nothing(), "{case:?} has no script");
            let sentence =
                case.requirement.starts_with(char::is_uppercase) && !case.requirement.ends_with('.');
            assert!(sentence, "{case:?}: a sentence with a capital and without a full stop");
        }
    }
}
