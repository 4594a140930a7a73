//! The configuration: the layers, the file, and the messages about what is wrong in them.

use crate::{
    client::{Client, get},
    program::{Exit, HTTPD, Program, text},
    site::Directory,
};
use std::process::Command;

/// Runs `httpd` in `directory` with these arguments, which white space separates, and these environment variables, until
/// it exits.
fn run(directory: &Directory, arguments: &str, environment: &[(&str, &str)]) -> Exit {
    let mut command = Command::new(HTTPD);
    command.current_dir(directory.root()).args(arguments.split_whitespace());
    Program::spawn(command.envs(environment.iter().copied())).expect("httpd").wait()
}

/// Makes a directory with the file `httpd.toml`.
fn with_file(content: &str) -> Directory {
    let directory = Directory::new();
    directory.write("httpd.toml", content);
    directory
}

/// Checks what `--check` says about the content of a configuration file. `expected` begins with the place of the error,
/// line and column; it is empty if there is none.
fn check_file(content: &str, expected: &str) {
    let exit = run(&with_file(content), "--config httpd.toml --check", &[]);
    if expected.is_empty() {
        let expected = (Some(0), "httpd: the configuration is valid\n", "");
        assert_eq!((exit.code, &*exit.stdout, &*exit.stderr), expected, "{content}");
        return;
    }
    assert_eq!((exit.code, &*exit.stdout), (Some(2), ""), "{content}: {exit:?}");
    let expected = format!("httpd: httpd.toml:{expected}");
    assert!(
        exit.stderr.starts_with(&expected) && exit.stderr.lines().count() == 1,
        "{expected}: {}",
        exit.stderr
    );
}

#[test]
fn wrong_files_are_rejected_with_line_and_column() {
    check_file("", "");
    check_file(
        "# nothing\n\nport = 8080\nbind = ['127.0.0.1', \"[::1]:81\"]\nprefork = true\netag = 'mtime'\n",
        "",
    );
    check_file("bind = 'localhost'\nmax-body = 0x10\nmax-head = '1K'\n", "");
    check_file(
        "\netag = 'weak'\n",
        "2:8: invalid value 'weak' for '--etag <ETAG>' [possible values: strong, mtime]\n",
    );
    check_file(
        "port = 65536",
        "1:8: invalid value '65536' for '--port <PORT>': must be a number from 0 to 65535\n",
    );
    check_file("port = -1", "1:8: port must be a string or a number\n");
    check_file("port = 8080.5", "1:8: port must be a string or a number\n");
    check_file("port = [1]", "1:8: port must be a string or a number\n");
    check_file("bind = ['é', {}]", "1:8: bind must be a list of strings\n");
    check_file(
        "bind = ['localhost', 'é']",
        "1:8: invalid value 'é' for '--bind <ADDRESS[:PORT]>': must be an",
    );
    check_file("prefork = 1", "1:11: prefork must be true or false\n");
    check_file("workers = true", "1:11: workers must be a string or a number\n");
    check_file("\n\n  nonsense = 1\netag = ''", "3:3: no such option: nonsense\n");
    check_file("config = 'other.toml'", "1:1: no such option in a file: config\n");
    check_file("help = true", "1:1: no such option in a file: help\n");
    check_file("port = 1\nport = 2", "2:1: duplicate key\n");
    check_file("port = ", "1:8: ");
    check_file("é = 1", "1:1: ");
}

#[test]
fn prints_where_each_value_comes_from() {
    let directory = with_file(
        "port = 1\nhead-timeout = '1m'\nbody-timeout = '1m'\nbind = ['::1', '*']\nprefork = true\n",
    );
    let environment =
        [("HTTPD_CONFIG", "httpd.toml"), ("HTTPD_BODY_TIMEOUT", "2m"), ("HTTPD_BIND", "127.0.0.1\n::1")];
    let arguments = "--print-config --bind localhost --pid-file a\"b\\ .";
    let exit = run(&directory, arguments, &environment);
    assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
    for line in [
        "root = \".\" # command line",
        "port = 1 # httpd.toml:1:8",
        "head-timeout = \"1m\" # httpd.toml:2:16",
        "body-timeout = \"2m\" # HTTPD_BODY_TIMEOUT",
        "bind = [\"localhost\"] # command line",
        "prefork = true # httpd.toml:5:11",
        "confine = false # default",
        "grace = \"30s\" # default",
        "# user is not set",
        "pid-file = \"a\\\"b\\\\\" # command line",
    ] {
        assert!(exit.stdout.lines().any(|printed| printed == line), "no {line} in {}", exit.stdout);
    }
    // What is printed is a configuration file, and means the same.
    let values = |printed: &str| -> Vec<String> {
        printed.lines().map(|line| line.split(" # ").next().unwrap_or_default().to_owned()).collect()
    };
    directory.write("printed.toml", &exit.stdout);
    let again = run(&directory, "--print-config --config printed.toml", &[]);
    assert_eq!((again.code, &*again.stderr), (Some(0), ""));
    assert_eq!(values(&again.stdout), values(&exit.stdout));
}

#[test]
fn wrong_environments_and_combinations_exit_with_2() {
    let directory = with_file("user = 'nobody'\ngroup = 'nogroup'\n");
    let check = |arguments: &str, variable: (&str, &str), expected: Option<&str>| {
        let exit = run(&directory, &format!("--check {arguments}"), &[variable]);
        assert_eq!(exit.code, Some(if expected.is_some() { 2 } else { 0 }), "{exit:?}");
        assert!(exit.stderr.contains(expected.unwrap_or_default()), "{exit:?}");
    };
    check("", ("HTTPD_PREFORK", "yes"), Some("httpd: HTTPD_PREFORK: must be true or false\n"));
    check("", ("HTTPD_PREFORK", "false"), None);
    check(
        "",
        ("HTTPD_PORT", "http"),
        Some("httpd: HTTPD_PORT: invalid value 'http' for '--port <PORT>': must be a"),
    );
    check("", ("HTTPD_GROUP", "web"), Some("--user <USER>"));
    check("--config httpd.toml", ("HTTPD_GROUP", "web"), None);
    check("--group web --config httpd.toml", ("A", ""), None);
    check(
        "--config nowhere.toml",
        ("A", ""),
        Some("httpd: cannot read nowhere.toml: no such file or directory\n"),
    );
    check("--config .", ("A", ""), Some("httpd: cannot read .: "));
    check("nowhere", ("A", ""), Some("httpd: cannot serve nowhere: no such file or directory\n"));
    // The command line replaces the directory of the file or the environment, however it is given.
    check(".", ("HTTPD_ROOT", "nowhere"), None);
    check("-r .", ("HTTPD_ROOT", "nowhere"), None);
}

two_kinds! {
    fn serves_as_the_file_says(kind: ServerKind) {
        let directory = with_file("root = 'files'\nport = 0\nbind = '127.0.0.1'\nworkers = 2\netag = 'mtime'\nlog-file = 'log'\n");
        directory.write("files/a.txt", "content");
        let mut command = Command::new(HTTPD);
        command.current_dir(directory.root()).args(kind.arguments()).args(["--config", "httpd.toml"]);
        let program = Program::start(&mut command);
        let mut client = Client::connect(program.address());
        let response = client.fetch(get("/a.txt"));
        assert!(response.header("ETag").is_some_and(|tag| tag.starts_with("W/")), "{response:?}");
        client.finish();
        program.stop_cleanly();
        assert!(directory.read("log").contains("GET /a.txt"), "{}", text(directory.root()));
    }
}
