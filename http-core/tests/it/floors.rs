//! Which room may import which, and what none may name, read off the sources.

use std::{collections::BTreeSet, fs, path::Path};

/// What each room may import besides itself. `lib` is a file, and a room of its own.
const FLOORS: &[(&str, &[&str])] = &[
    ("words", &[]),
    ("semantics", &[]),
    ("wire", &["words"]),
    ("messages", &["wire", "semantics", "words"]),
    ("service", &["messages", "semantics", "words"]),
    ("connection", &["messages", "wire", "words"]),
    ("client", &["messages", "wire", "words"]),
    ("lib", &["client", "connection", "service", "messages", "semantics", "wire", "words"]),
];

/// What only an engine may do.
const ENGINES: &[&str] = &[
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "thread::",
    "File::open",
    "File::create",
    "OpenOptions",
    "Instant::now",
    "SystemTime::now",
    ".elapsed()",
];

#[test]
fn every_room_imports_only_the_floors_below() {
    let mut rooms = BTreeSet::new();
    for source in sources() {
        let (_, floors) = FLOORS.iter().find(|(room, _)| *room == source.room).expect("a room of the plan");
        for import in imports(&source) {
            assert!(
                import == source.room || floors.contains(&import.as_str()),
                "{} imports {import}",
                source.name
            );
        }
        rooms.insert(source.room);
    }
    assert!(FLOORS.iter().all(|(room, _)| rooms.contains(*room)), "a room without files: {rooms:?}");
}

#[test]
fn no_room_does_an_engines_work() {
    for source in sources() {
        for name in ENGINES {
            assert!(!source.code.contains(name), "{} names {name}", source.name);
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{} has no header", source.name);
    }
}

#[test]
fn imports_are_found_however_they_are_written() {
    let check = |name: &str, code: &str, expected: &[&str]| {
        let source = Source::new(name.to_owned(), format!("//! x\n{code}"));
        assert_eq!(imports(&source), expected, "{code}");
    };
    check("wire/a.rs", "use crate::words::chars;", &["words"]);
    check(
        "wire/a.rs",
        "use crate::{\n    wire::{b, c::{d}},\n    words,\n    connection::Step\n};",
        &["wire", "words", "connection"],
    );
    check("wire/a.rs", "fn f() { crate::service::g() }", &["service"]);
    check("wire/a.rs", "use super::b; // crate::connection", &["wire"]);
    check("wire/mod.rs", "use super::connection::Step;", &["connection"]);
    check("wire/a.rs", "use super::super::connection::Step;", &["connection"]);
    check("connection/mod.rs", "use super::service::Handler;", &["service"]);
    check("wire/a.rs", "pub(crate) fn f() {}\n#[cfg(test)]\nmod tests { use crate::connection; }\n", &[]);
    check("wire/a.rs", "let a = b\"http://\"; crate::connection::f()", &["connection"]);
}

struct Source {
    /// Below src, as in `wire/head.rs`.
    name: String,
    room: String,
    text: String,
    /// Without comments and tests.
    code: String,
}

impl Source {
    fn new(name: String, text: String) -> Source {
        let room = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        let (code, tests) = text.split_once("#[cfg(test)]\n").unwrap_or((&text, ""));
        assert!(tests.is_empty() || tests.starts_with("mod tests {"), "{name}: tests must stand last");
        assert!(!tests.trim_end().contains("\n}\n"), "{name}: code behind the tests");
        let code = code.lines().map(|line| &line[..comment(line)]).collect::<Vec<_>>().join("\n");
        Source { name, room, text, code }
    }
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
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
                sources.push(Source::new(name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 20, "only {} sources found", sources.len());
    sources
}

/// The rooms that a file imports, in the order of its text, each as often as it stands there.
fn imports(source: &Source) -> Vec<String> {
    let deep = source.room != source.name.trim_end_matches(".rs");
    // `super` of a file in a room is the room; of the room itself, and of a file beside it, it is the crate.
    let within = deep && !source.name.ends_with("/mod.rs");
    let code = if within {
        source.code.replace("super::super::", "crate::")
    } else {
        source.code.replace("super::", "crate::")
    };
    let code = code.replace("super::", &format!("crate::{}::", source.room));
    code.split("crate::").skip(1).flat_map(first_names).collect()
}

/// The first names of a path, or of each path in a group.
fn first_names(path: &str) -> Vec<String> {
    let name = |path: &str| path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.push(name(group[start..at].trim_start()));
                start = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
        if c == '}' && depth == 0 && start == at + 1 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}
