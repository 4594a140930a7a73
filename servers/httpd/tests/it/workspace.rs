//! Rules for the source tree that neither a crate boundary nor a lint can express.

use std::{fs, path::Path};

/// The root directory of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// `.deny.toml` lists the crates that implement HTTP.
#[test]
fn depends_on_no_http_crate() {
    let [lock, deny] = ["Cargo.lock", ".deny.toml"]
        .map(|name| fs::read_to_string(Path::new(ROOT).join(name)).expect("a file of the workspace"));
    let forbidden = deny.lines().filter_map(|line| line.trim().strip_prefix("{ crate = ")?.split(' ').next());
    let found: Vec<_> = forbidden.map(|name| (name, lock.contains(&format!("name = {name}\n")))).collect();
    assert!(found.len() > 10 && found.iter().all(|(_, is_locked)| !is_locked), "{found:?}");
}

#[test]
fn every_file_is_documented_and_only_sockopt_is_unsafe() {
    check_directory(&Path::new(ROOT).join("servers"));
}

/// Checks all Rust files in `directory` and below it: each must begin with `//!`, and only `sockopt.rs` of the engine
/// may contain unsafe code.
fn check_directory(directory: &Path) {
    for path in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            check_directory(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let (source, name) = (fs::read_to_string(&path).expect("a file"), path.display());
            assert!(
                ["//!", "#![doc = include_str!("].iter().any(|start| source.starts_with(start)),
                "{name} does not begin with //!"
            );
            // The escaped space keeps this file from matching.
            let is_unsafe =
                ["{", "fn", "impl"].iter().any(|word| source.contains(&format!("unsafe\x20{word}")));
            assert_eq!(is_unsafe, path.ends_with("engine/src/sockopt.rs"), "unsafe code in {name}");
        }
    }
}
