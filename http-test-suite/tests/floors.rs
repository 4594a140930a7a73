//! Checks dependencies: the suite must use no code of the tested servers and no HTTP crate, so that it cannot share
//! their bugs.

#![allow(clippy::unwrap_used, reason = "the lints know tests by their attribute, not their folder")]

use std::fs;
use std::path::Path;

const MANIFEST: &str = include_str!("../Cargo.toml");

/// The allowed dependencies of the crate. Before you add a crate, make sure that it contains no HTTP code.
const DEPENDENCIES: &[&str] =
    &["allocation-counter", "clap", "indicatif", "proptest", "serde", "serde_json", "tempfile"];

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
        for word in ["std::net", "crate::connection::Connection", "crate::runner"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}
