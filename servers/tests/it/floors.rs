//! Which room may name which, where `unsafe` may stand, and which crates stay out: read off the sources.

use std::{collections::BTreeSet, fs, path::Path};

/// What the rooms must never name.
const CEILINGS: [(&str, &[&str]); 8] = [
    (
        "log",
        &[
            "app",
            "cli",
            "engine",
            "files",
            "handover",
            "launch",
            "middleware",
            "prefork",
            "service",
            "signals",
        ],
    ),
    ("service", &["app", "cli", "engine", "files", "handover", "launch", "middleware", "prefork", "signals"]),
    ("signals", &["app", "cli", "engine", "files", "handover", "launch", "middleware", "prefork", "service"]),
    ("handover", &["app", "cli", "engine", "files", "launch", "middleware", "prefork", "service"]),
    ("engine", &["app", "cli", "files", "handover", "launch", "middleware", "prefork", "service", "signals"]),
    ("files", &["app", "cli", "engine", "handover", "launch", "middleware", "prefork", "service", "signals"]),
    ("middleware", &["app", "cli", "engine", "files", "handover", "launch", "prefork", "service", "signals"]),
    ("app", &["cli", "engine", "handover", "launch", "prefork", "service", "signals"]),
];

/// What only `launch` brings together: an engine on the one side, an application on the other.
const APPLICATIONS: [&str; 2] = ["files", "app"];

/// Crates that speak HTTP. This workspace does it itself.
const HTTP_CRATES: [&str; 13] = [
    "http",
    "httparse",
    "hyper",
    "h2",
    "axum",
    "actix-web",
    "tiny_http",
    "rouille",
    "warp",
    "reqwest",
    "ureq",
    "headers",
    "tower-http",
];

#[test]
fn no_room_names_what_stands_above_it() {
    for source in sources() {
        for (_, forbidden) in CEILINGS.iter().filter(|(room, _)| *room == source.room()) {
            let named = source.rooms_named();
            let wrong: Vec<_> = forbidden.iter().filter(|name| named.contains(**name)).collect();
            assert!(wrong.is_empty(), "{} names {wrong:?}", source.name);
        }
    }
}

#[test]
fn only_launch_knows_engines_and_applications_both() {
    let both: Vec<String> = sources()
        .into_iter()
        .filter(|source| {
            let named = source.rooms_named();
            named.contains("engine") && APPLICATIONS.iter().any(|name| named.contains(*name))
        })
        .map(|source| source.name)
        .collect();
    assert_eq!(both, ["launch/application.rs"]);
}

#[test]
fn only_sockopt_is_unsafe() {
    let found = sources().into_iter().filter(|source| words(&source.code).any(|word| word == "unsafe"));
    assert_eq!(found.map(|source| source.name).collect::<Vec<_>>(), ["sockopt.rs"]);
}

#[test]
fn every_file_says_what_it_is_for() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{} has no header", source.name);
    }
}

#[test]
fn no_http_crate_is_used() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = fs::read_to_string(lock).expect("a lock file");
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let names: BTreeSet<&str> = names.collect();
    assert!(names.contains("servers") && names.contains("http-core"), "this is not the workspace's");
    let wrong: Vec<_> = HTTP_CRATES.iter().filter(|name| names.contains(**name)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn rooms_are_found_however_they_are_named() {
    let check = |name: &str, code: &str, expected: &[&str]| {
        let named = Source::new(name.to_owned(), code.to_owned()).rooms_named();
        assert_eq!(named.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{name}: {code}");
    };
    check("engine/a.rs", "use crate::files::Files;", &["files"]);
    check(
        "engine/a.rs",
        "use crate::{engine::{b, c::{d, e}}, stop::Stop,\n app};",
        &["app", "engine", "stop"],
    );
    check("engine/a.rs", "fn f() { crate::launch::run() } // crate::files", &["launch"]);
    check("engine/a.rs", "use super::b;", &["engine"]);
    check("engine/a.rs", "use super::super::files;", &["files"]);
    check("engine/mod.rs", "use super::files;", &["files"]);
    check("engine/b/c.rs", "use super::{super::super::{files, d}, e};", &["d", "engine", "files"]);
    check("stop.rs", "use super::files;", &["files"]);
    check("bin/x.rs", "use servers::{engine, launch};", &["engine", "launch"]);
    check("engine/a.rs", "let a = \"http://\"; crate::files::f()", &["files"]);
    check("engine/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::files; }", &[]);
}

struct Source {
    /// Below src, as in `engine/mod.rs`.
    name: String,
    text: String,
    /// Without comments and tests.
    code: String,
}

impl Source {
    fn new(name: String, text: String) -> Source {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code = code.lines().map(|line| &line[..comment(line)]).collect::<Vec<_>>().join("\n");
        Source { name, text, code }
    }

    fn room(&self) -> &str {
        self.name.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// The modules that lead to this file's own, from the crate down.
    fn module(&self) -> Vec<&str> {
        let path = self.name.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("lib");
        path.split('/').filter(|name| !name.is_empty()).collect()
    }

    /// The rooms of this crate that its paths lead to.
    fn rooms_named(&self) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        for (start, from) in
            [("crate::", 0), ("servers::", 0), ("super::", self.module().len().saturating_sub(1))]
        {
            for (at, _) in self.code.match_indices(start) {
                let begins = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
                if self.code[..at].chars().next_back().is_none_or(begins) {
                    self.follow(&self.code[at + start.len()..], from, &mut named);
                }
            }
        }
        named
    }

    /// Notes where a path leads that has come to the module this far below the crate.
    fn follow(&self, path: &str, depth: usize, named: &mut BTreeSet<String>) {
        if let Some(group) = path.strip_prefix('{') {
            members(group).into_iter().for_each(|member| self.follow(member.trim_start(), depth, named));
        } else if let Some(rest) = path.strip_prefix("super::") {
            self.follow(rest, depth.saturating_sub(1), named);
        } else if depth > 0 {
            named.insert(self.room().to_owned());
        } else if let Some(name) = words(path).next() {
            named.insert(name.to_owned());
        }
    }
}

/// The members of a group of imports, up to the brace that closes it.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    members.retain(|member| !member.trim().is_empty());
    members
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Where a line's comment begins. The slashes of a URL begin none.
fn comment(line: &str) -> usize {
    line.match_indices("//").map(|(at, _)| at).find(|&at| !line[..at].ends_with(':')).unwrap_or(line.len())
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&src).expect("below").to_str().expect("text").to_owned();
                sources.push(Source::new(name, fs::read_to_string(&path).expect("text")));
            }
        }
    }
    assert!(sources.len() > 15, "only {} sources found", sources.len());
    sources
}
