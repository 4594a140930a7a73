//! The help and the version of each program name the program itself, not the package.

#![allow(clippy::unwrap_used, reason = "this whole crate is tests")]

use std::process::Command;

/// Runs the program with these arguments, which must succeed. Returns the first line that it prints.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().next().unwrap().to_owned()
}

#[test]
fn each_program_has_its_own_help_and_version() {
    for (program, name, commands) in [
        (env!("CARGO_BIN_EXE_http-test-suite"), "http-test-suite", &["fixtures"][..]),
        (env!("CARGO_BIN_EXE_send-to-server"), "send-to-server", &[]),
    ] {
        let version = env!("CARGO_PKG_VERSION");
        let mut helps = vec![first_line(program, &["--help"])];
        for flag in ["-V", "--version"] {
            assert_eq!(first_line(program, &[flag]), format!("{name} {version}"));
        }
        for command in commands {
            assert_eq!(first_line(program, &[command, "-V"]), format!("{name}-{command} {version}"));
            helps.push(first_line(program, &[command, "--help"]));
        }
        let (count, all) = (helps.len(), helps.clone());
        helps.sort();
        helps.dedup();
        assert_eq!(helps.len(), count, "{all:?}");
    }
}
