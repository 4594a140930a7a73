//! The judge must not inherit the bugs of the accused: nothing here may come from them, nor from an HTTP crate.

#![allow(clippy::unwrap_used, reason = "the lints know tests by their attribute, not their folder")]

use std::fs;
use std::path::Path;

const MANIFEST: &str = include_str!("../Cargo.toml");

/// What a verdict may stand on. Whoever adds to this list has made sure that it knows no HTTP.
const DEPENDENCIES: &[&str] =
    &["clap", "hdrhistogram", "indicatif", "mio", "plotters", "rustix", "serde", "serde_json", "tempfile"];

#[test]
fn depends_on_nothing_that_knows_http() {
    let sections = MANIFEST.split("\n[").filter(|section| section.contains("dependencies]"));
    let lines = sections.flat_map(|section| section.lines().skip(1)).filter(|line| !line.trim().is_empty());
    let names: Vec<_> = lines.map(|line| line.split([' ', '.', '=']).next().unwrap()).collect();
    assert!(!names.is_empty());
    for name in names {
        assert!(DEPENDENCIES.contains(&name), "{name} is not among {DEPENDENCIES:?}");
    }
}

#[test]
fn cases_know_no_sockets() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cases")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for word in ["std::net", "crate::wire::Wire", "crate::runner"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}
