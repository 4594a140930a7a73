//! The order of the modules of http-core: a module imports only modules below it.
//!
//! Reads the `use crate::…` lines as rustfmt writes them. Modules in one line of [`LAYERS`] may not import each other.

use std::{fs, path::Path};

/// From the lowest to the highest.
const LAYERS: &[&[&str]] =
    &[&["types"], &["semantics", "codec"], &["buffer"], &["message"], &["connection", "handler", "client"]];

#[test]
fn modules_import_only_lower_ones() {
    let layer =
        |module: &str| LAYERS.iter().position(|layer| layer.contains(&module)).expect("a known module");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports = 0;
    for module in LAYERS.concat() {
        for entry in fs::read_dir(src.join(module)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{path:?} does not begin with its documentation");
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            for imported in imported_modules(code).filter(|imported| *imported != module) {
                assert!(layer(imported) < layer(module), "{path:?} imports {imported}");
                imports += 1;
            }
        }
    }
    assert!(imports > 40, "only {imports} imports found");
}

/// Returns the modules in `use crate::module::…;` and in the first level of `use crate::{…};`, one module a line.
fn imported_modules(code: &str) -> impl Iterator<Item = &str> {
    let mut in_group = false;
    code.lines().filter_map(move |line| {
        let import = line.trim_start_matches("pub(crate) ").strip_prefix("use crate::");
        let path = import.or(line.strip_prefix("    ").filter(|_| in_group)).unwrap_or_default();
        assert!(!path.starts_with('{') || path == "{", "more than one module a line: {line}");
        in_group = line == "use crate::{" || in_group && line != "};";
        path.split("::").next().filter(|module| module.starts_with(|c: char| c.is_ascii_lowercase()))
    })
}
