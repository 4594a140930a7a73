//! The configuration: the layers, the file, and the messages about what is wrong in them.

use crate::{
    client::{Client, get, wait_for},
    program::{self, Exit, HTTPD, Program, text},
    site::Directory,
};
use rustix::process::Signal;
use std::process::Command;

/// Runs `httpd` in `directory` with these arguments, which white space separates, and these environment variables,
/// until it exits.
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
    check_file("", "1:1: the file has no option\n");
    check_file("# port = 8080\n", "1:1: the file has no option\n");
    check_file("[[site]]", "1:1: this table needs root\n");
    check_file(
        "# nothing\n\nport = 8080\nbind = ['127.0.0.1', \"[::1]:81\"]\nprefork = true\netag = 'mtime'\n",
        "",
    );
    check_file("bind = 'localhost'\nmax-body = 0x10\nmax-head = '1K'\n", "");
    check_file("\netag = 'weak'\n", "2:8: invalid value 'weak' for etag [possible values: strong, mtime]\n");
    check_file("port = 65536", "1:8: invalid value '65536' for port: must be a number from 0 to 65535\n");
    check_file("port = -1", "1:8: port must be a string or a number\n");
    check_file("port = 8080.5", "1:8: port must be a string or a number\n");
    check_file("port = [1]", "1:8: port must be a string or a number\n");
    check_file("bind = ['é', {}]", "1:8: bind must be a list of strings\n");
    check_file("bind = ['localhost', 'é']", "1:8: invalid value 'é' for bind: must be an");
    check_file("prefork = 1", "1:11: invalid value '1' for prefork [possible values: on, off]\n");
    check_file("prefork = 1.5", "1:11: prefork must be true, false or a string\n");
    check_file("root = true", "1:8: root must be a string or a number\n");
    check_file("cors = [true]", "1:8: cors must be a list of strings\n");
    check_file("workers = true", "1:11: workers must be a string or a number\n");
    check_file("\n\n  nonsense = 1\netag = ''", "3:3: no such option: nonsense\n");
    check_file("config = 'other.toml'", "1:1: no such option in a file: config\n");
    check_file("help = true", "1:1: no such option in a file: help\n");
    // Combinations.
    check_file("rate = 1\nauth-path = '/a'", "2:13: auth-path needs --auth-file <FILE>\n");
    check_file("auth-realm = 'a'\nauth-path = '/a'", "1:14: auth-realm needs --auth-file <FILE>\n");
    check_file("root = '.'\n[[site]]\nrate-burst = 1", "3:14: rate-burst needs --rate <RATE>\n");
    check_file(
        "port = 1\nlog-format = 'a'\nlog = 'off'",
        "2:14: the argument '--log-format <TEXT>' cannot be used with '--log <FORMAT>'\n",
    );
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
    check_printed_again(&directory, &exit.stdout);
}

/// Checks that a printed configuration is a configuration file, and means the same.
fn check_printed_again(directory: &Directory, printed: &str) {
    let values = |printed: &str| -> Vec<String> {
        printed.lines().map(|line| line.split(" # ").next().unwrap_or_default().to_owned()).collect()
    };
    directory.write("printed.toml", printed);
    let again = run(directory, "--print-config --config printed.toml", &[]);
    assert_eq!((again.code, &*again.stderr), (Some(0), ""));
    assert_eq!(values(&again.stdout), values(printed));
}

#[test]
fn prints_the_tables_and_their_empty_lists() {
    let content = r#"allow = []
        header = 'X-A: "\'
        [[site]]
        hosts = ['a']
        root = 'a'
        deny = []
        [[site.mount]]
        path = '/m'
        root = '.'
        auth-path = []
        [[site.redirect]]
        from = '/x'
        to = '/y'
        [[site]]
        root = 'a'
        allow = ['10.0.0.0/8']
    "#;
    let directory = with_file(content);
    directory.rename("httpd.toml", "a\nb.toml");
    let printed = run(&directory, "--print-config", &[("HTTPD_CONFIG", "a\nb.toml")]);
    assert_eq!((printed.code, &*printed.stderr), (Some(0), ""));
    for line in [
        "allow = [] # a?b.toml:1:9",
        "# deny is not set",
        "header = [\"X-A: \\\"\\\\\"] # a?b.toml:2:18",
        "deny = [] # a?b.toml:6:16",
        "auth-path = [] # a?b.toml:10:21",
        "allow = [\"10.0.0.0/8\"] # a?b.toml:16:17",
    ] {
        assert!(printed.stdout.lines().any(|printed| printed == line), "no {line} in {}", printed.stdout);
    }
    check_printed_again(&directory, &printed.stdout);
}

#[test]
fn wrong_environments_and_combinations_exit_with_2() {
    let directory = with_file("user = '65534'\ngroup = '65534'\n");
    let check = |arguments: &str, variable: (&str, &str), expected: Option<&str>| {
        let exit = run(&directory, &format!("--check {arguments}"), &[variable]);
        assert_eq!(exit.code, Some(if expected.is_some() { 2 } else { 0 }), "{exit:?}");
        assert!(exit.stderr.contains(expected.unwrap_or_default()), "{exit:?}");
    };
    check("", ("HTTPD_PREFORK", "yes"), Some("httpd: HTTPD_PREFORK: invalid value 'yes' for '--prefork[="));
    check("", ("HTTPD_PREFORK", "false"), None);
    check("", ("HTTPD_VERSION", "2.4"), None);
    check(
        "",
        ("HTTPD_CONFIG", "nowhere.toml"),
        Some("httpd: cannot read the configuration file nowhere.toml: no such"),
    );
    check(
        "",
        ("HTTPD_PORT", "http"),
        Some("httpd: HTTPD_PORT: invalid value 'http' for '--port <PORT>': must be a"),
    );
    check("", ("HTTPD_GROUP", "web"), Some("httpd: HTTPD_GROUP: group needs --user <USER>\n"));
    check("--config httpd.toml", ("HTTPD_GROUP", "65534"), None);
    check("--group 65534 --config httpd.toml", ("A", ""), None);
    check(
        "--config nowhere.toml",
        ("A", ""),
        Some("httpd: cannot read the configuration file nowhere.toml: no such file or directory\n"),
    );
    // An empty list of networks would serve all clients.
    check("", ("HTTPD_ALLOW", ""), Some("httpd: HTTPD_ALLOW: invalid value '' for '--allow <NETWORK>'"));
    check("", ("HTTPD_CORS", ""), Some("httpd: HTTPD_CORS: "));
    check("--config .", ("A", ""), Some("httpd: cannot read the configuration file .: "));
    check("nowhere", ("A", ""), Some("httpd: cannot serve nowhere: no such file or directory\n"));
    // What would fail at the start.
    check("--user nobody-else", ("A", ""), Some("httpd: cannot find user nobody-else: not in"));
    check("--user 65534 --group nowhere", ("A", ""), Some("httpd: cannot find group nowhere: not in"));
    check(
        "--log-file a/log",
        ("A", ""),
        Some("httpd: cannot open the log a/log: no such file or directory\n"),
    );
    check("--log off --log-file a/log", ("A", ""), None);
    check("--error-log .", ("A", ""), Some("httpd: cannot open the log .: is a directory\n"));
    check(
        "--error-log httpd.toml/log",
        ("A", ""),
        Some("httpd: cannot open the log httpd.toml/log: not a directory\n"),
    );
    check(
        "-b unix:a/socket",
        ("A", ""),
        Some("httpd: cannot bind unix:a/socket: no such file or directory\n"),
    );
    check("--pid-file a/pid", ("A", ""), Some("httpd: cannot claim the PID file a/pid: no such file"));
    check("--log-file log --error-log httpd.toml --pid-file pid", ("A", ""), None);
    check("-b a.invalid", ("A", ""), Some("httpd: cannot resolve a.invalid: "));
    let conflict = "httpd: cannot start the admin server at 127.0.0.1:8080: the site has ";
    check("--admin 8080", ("A", ""), Some(conflict));
    check("--admin 8080 -b *", ("A", ""), Some(conflict));
    check("--admin 8080 -b 127.0.0.2", ("A", ""), None);
    let conflict = "httpd: cannot start the admin server at *:8080: the site has 127.0.0.1:8080\n";
    check("--admin :8080", ("A", ""), Some(conflict));
    check(
        "--admin localhost:8080",
        ("A", ""),
        Some("httpd: cannot start the admin server at localhost:8080: "),
    );
    check("--admin 0 -p 0", ("A", ""), None);
    // The command line replaces the directory of the file or the environment, however it is given.
    check(".", ("HTTPD_ROOT", "nowhere"), None);
    check("-r .", ("HTTPD_ROOT", "nowhere"), None);
}

/// Each option that can be switched on and off can be so by each source of options, and a source overrides the ones
/// below it.
#[test]
fn options_are_switched_on_and_off() {
    // The option, and what --print-config says of it when it is on by `true`.
    let options = "prefork confine request-id clean-urls listing hidden follow-symlinks compress precompressed log cache \
        security-headers spa cors charset";
    for option in options.split_ascii_whitespace() {
        let variable = format!("HTTPD_{}", option.to_ascii_uppercase().replace('-', "_"));
        for (on, off) in [("true", "false"), ("false", "true")] {
            let directory = with_file(&format!("{option} = {on}\n"));
            let check = |arguments: &str, environment: &[(&str, &str)], expected: &str, source: &str| {
                let arguments = format!("--config httpd.toml --print-config {arguments}");
                let exit = run(&directory, &arguments, environment);
                let (open, close) = if option == "cors" { ("[\"", "\"]") } else { ("", "") };
                let line = format!("{option} = {open}{expected}{close} # {source}");
                assert!(exit.stdout.lines().any(|printed| printed == line), "no {line}: {exit:?}");
            };
            check("", &[], on, &format!("httpd.toml:1:{}", option.len() + 4));
            check("", &[(&variable, off)], off, &variable);
            check(&format!("--{option}={off}"), &[(&variable, on)], off, "command line");
        }
    }
    check_file("cors = ['https://a.example', 'https://b.example']", "");
    check_file("security-headers = 'on'\nspa = 'off'\nprefork = 'on'\ncharset = 'on'\n", "");
}

/// Three sites: one for a name and the names below another, one with a mount, and one for other hosts.
const SITES: &str = "
port = 0
bind = '127.0.0.1'
workers = 2
root = 'default'
etag = 'mtime'

[[site]]
hosts = ['a.example', '*.b.example']
root = 'a'
etag = 'strong'

[[site]]
hosts = ['c.example']
root = 'c'

[[site.mount]]
path = '/docs'
root = 'docs'
etag = 'strong'

[[site.mount]]
path = '/docs/deep/'
root = 'a'
";

/// Makes a directory with this configuration, and with the directories of [`SITES`]. The file `index.html` in each
/// contains the name of its directory.
fn with_sites(content: &str) -> Directory {
    let directory = with_file(content);
    ["default", "a", "c", "docs"]
        .iter()
        .for_each(|name| directory.write(&format!("{name}/index.html"), name));
    directory
}

/// Starts an `httpd` of this kind with the file `httpd.toml` in `directory`.
fn serve(kind: http_testing::ServerKind, directory: &Directory, arguments: &[&str]) -> Program {
    let mut command = Command::new(HTTPD);
    command.current_dir(directory.root()).args(kind.arguments()).args(["--config", "httpd.toml"]);
    Program::start(command.args(arguments))
}

/// Returns the status of the response to a request with this host, and its text, with the beginning of the entity tag;
/// of a response that is not 200, its Location.
fn fetch(client: &mut Client, host: &str, target: &str) -> (u16, String) {
    let response = client.fetch(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    if response.status != 200 {
        return (response.status, response.header("Location").unwrap_or_default().to_owned());
    }
    let is_weak = response.header("ETag").is_some_and(|tag| tag.starts_with("W/"));
    (200, format!("{}{}", if is_weak { "weak " } else { "" }, response.text()))
}

/// A request by its host and target, and what [`fetch`] returns of the response.
type Exchange<'a> = (&'a str, &'a str, u16, &'a str);

/// The arguments of a server with two workers on a free port of one address.
const LOCAL: [&str; 6] = ["-p", "0", "-b", "127.0.0.1", "-w", "2"];

/// Starts an `httpd` of this kind with the file `httpd.toml` in `directory`, checks its responses, and stops it.
fn check_responses(kind: http_testing::ServerKind, directory: &Directory, exchanges: &[Exchange<'_>]) {
    let program = serve(kind, directory, &LOCAL);
    check_exchanges(Client::connect(program.address()), exchanges);
    program.stop_cleanly();
}

/// Checks the responses on one connection.
fn check_exchanges(mut client: Client, exchanges: &[Exchange<'_>]) {
    for (host, target, status, result) in exchanges {
        let expected = (*status, (*result).to_owned());
        assert_eq!(fetch(&mut client, host, target), expected, "{host} {target}");
    }
    client.finish();
}

#[test]
fn wrong_tables_are_rejected_with_line_and_column() {
    let check = |content: &str, expected: &str| {
        let exit = run(&with_sites(content), "--config httpd.toml --check --root .", &[]);
        let expected = format!("httpd: {expected}");
        assert_eq!(exit.code, Some(2), "{content}: {exit:?}");
        assert!(exit.stderr.starts_with(&expected), "{expected}: {}", exit.stderr);
    };
    assert_eq!(run(&with_sites(SITES), "--config httpd.toml --check", &[]).code, Some(0));
    check(
        "[[site]]\nport = 1",
        "httpd.toml:2:1: no such option in this table, only at the top of the file: port\n",
    );
    check("[[site]]\nhosts = ['a:1']", "httpd.toml:2:9: invalid value 'a:1' for hosts: must be a name or");
    check(
        "[[site]]\nroot = 'a'\n[[site]]\nroot = 'c'",
        "httpd.toml:3:1: an earlier site has the same hosts\n",
    );
    check(
        "[[site]]\nhosts = ['a']\n[[site]]\nhosts = ['b', 'A']",
        "httpd.toml:3:1: an earlier site has the same",
    );
    check("[[site]]\n[[site.mount]]\nroot = 'a'", "httpd.toml:2:1: this table needs path\n");
    check("[[site]]\n[[site.mount]]\npath = '/a'", "httpd.toml:2:1: this table needs root\n");
    check(
        "[[mount]]\npath = '/'\nroot = 'a'",
        "httpd.toml:2:8: invalid value '/' for path: must be a path below",
    );
    check(
        "[[mount]]\npath = '/a'\nroot = 'a'\n[[mount]]\npath = '/a/'\nroot = 'a'",
        "httpd.toml:4:1: an earlier mount",
    );
    check(
        "[[mount]]\npath = '/a'\nroot = 'a'\n[[site]]\n",
        "httpd.toml:1:1: a file with sites has this in a site: [[site",
    );
    check(
        "[[redirect]]\nfrom = '/{a}'\nto = '/{b}'",
        "httpd.toml:1:1: from has no parameter b of this kind\n",
    );
    check(
        "[[redirect]]\nfrom = '/a'\nto = '/a'\nstatus = 200",
        "httpd.toml:4:10: invalid value '200' for status",
    );
    check(
        "[[site]]\n[[site.redirect]]\nfrom = '/a'\nto = '/a'",
        "httpd.toml:1:1: redirect: /a leads to a loop, or to",
    );
    check(
        "redirect-host = ['a=b', 'b=a']",
        "httpd.toml:1:1: redirect-host: a leads to b, which is redirected too\n",
    );
    let two_sites = |first: &str, second: &str| {
        format!("[[site]]\nhosts = ['a']\n{first}\n[[site]]\nhosts = ['*.b']\n{second}\n")
    };
    let redirect = |from: &str, to: &str| format!("[[site.redirect]]\nfrom = '{from}'\nto = '{to}'\n");
    let is_loop = "httpd.toml:1:1: redirect: /x leads to a loop, or to more than 10 redirects\n";
    for scheme in ["http", "https"] {
        let url = |rest: &str| format!("{scheme}://{rest}");
        check(&two_sites(&redirect("/x", &url("c.b/y")), &redirect("/y", &url("A/x"))), is_loop);
        check(&two_sites(&(redirect("/x", &url("a/y")) + &redirect("/y", "/x")), ""), is_loop);
    }
    check(&two_sites(&redirect("/x", "http://a/x"), ""), is_loop);
    check(
        &two_sites("redirect-host = 'a=c.b'", "redirect-host = '*.b=a'"),
        "httpd.toml:1:1: redirect: a/x leads to a loop",
    );
    for sound in [
        two_sites(&redirect("/{*rest}", "https://a/{*rest}"), &redirect("/{*rest}", "http://a:81/{*rest}")),
        two_sites(&redirect("/x", "http://c.b/y"), &redirect("/y", "http://other/x")),
    ] {
        let exit = run(&with_sites(&sound), "--config httpd.toml --check --root .", &[]);
        assert_eq!(exit.code, Some(0), "{sound}: {exit:?}");
    }
    check("[site]\nroot = 'a'", "httpd.toml:1:1: must be tables: [[site]]\n");
    check("site = 1", "httpd.toml:1:8: must be tables: [[site]]\n");
    let mount =
        |options: &str| format!("auth-file = 'users'\n[[mount]]\npath = '/own'\nroot = 'a'\n{options}");
    check(
        &mount("auth-path = ['/own/b', '/private']"),
        "httpd.toml:5:13: auth-path /private is not below this mount: write /own/private\n",
    );
    check(
        &format!("auth-path = ['/private']\n{}", mount("auth-file = 'users'")),
        "httpd.toml:6:13: no auth-path is below this mount: add auth-path = [\"/own\"] to it\n",
    );
    for sound in [
        mount("auth-path = ['/own', '/own/private']"),
        mount("auth-path = ['/']"),
        format!("auth-path = ['/private']\n{}", mount("")),
        format!("auth-path = ['/own/private']\n{}", mount("auth-file = 'users'")),
    ] {
        let directory = with_sites(&sound);
        directory.write("users", "alice:$2y$04$lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m\n");
        let exit = run(&directory, "--config httpd.toml --check --root default", &[]);
        assert_eq!(exit.code, Some(0), "{sound}: {exit:?}");
    }
    let pages = "a page of --spa or --error-page";
    check(
        "[[mount]]\npath = '/a'\nroot = 'a'\nerror-page = '404=/no.html'",
        &format!("cannot serve a/no.html, {pages}: no such file or directory\n"),
    );
    check("spa = '/docs'\n", &format!("cannot serve ./docs, {pages}: not a regular file\n"));
    check("auth-file = 'nowhere'", "cannot serve .: cannot use the password file nowhere: no such file");
    check("[[site]]\nroot = 'nowhere'", "cannot serve nowhere: no such file or directory\n");
    check("[[mount]]\npath = '/a'\nroot = 'nowhere'", "cannot serve nowhere: no such file or directory\n");
}

two_kinds! {
    fn serves_sites_by_their_hosts_and_mounts_by_their_paths(kind: ServerKind) {
        let directory = with_sites(SITES);
        check_responses(kind, &directory, &[
            ("a.example", "/", 200, "a"),
            ("A.Example:80", "/", 200, "a"),
            ("x.y.b.example.", "/", 200, "a"),
            ("c.example", "/", 200, "weak c"),
            ("c.example", "/docs/", 200, "docs"),
            ("c.example", "/docs", 301, "docs/"),
            ("c.example", "/docs/index.html", 200, "docs"),
            ("c.example", "/%64ocs/deep/", 200, "weak a"),
            ("c.example", "/docsx", 404, ""),
            ("a.example", "/docs/", 404, ""),
            ("b.example", "/", 421, ""),
            ("127.0.0.1", "/", 421, ""),
        ]);
        // A site without hosts serves the others.
        directory.write("httpd.toml", format!("{SITES}[[site]]\n"));
        let program = serve(kind, &directory, &["--confine"]);
        let line = &program.startup_line;
        assert!(line.starts_with("httpd serves 3 sites (a.example, c.example) at "), "{line}");
        check_exchanges(Client::connect(program.address()), &[
            ("a.example", "/", 200, "a"),
            ("c.example", "/", 200, "weak c"),
            ("other", "/", 200, "weak default"),
        ]);
        program.stop_cleanly();
    }

    fn sites_and_mounts_have_the_options_of_the_command_line(kind: ServerKind) {
        let mount = "mount]]\npath = '/docs'\nroot = 'docs'\n";
        for tables in [format!("[[{mount}"), format!("[[site]]\n[[site.{mount}")] {
            let directory = with_sites(&tables);
            let program = serve(kind, &directory, &[&LOCAL[..], &["--deny", "127.0.0.2", "--etag", "mtime", "a"]].concat());
            let from = |address| Client::connect_from(address, program.address());
            check_exchanges(from("127.0.0.1:0"), &[("x", "/", 200, "weak a"), ("x", "/docs/", 200, "weak docs")]);
            check_exchanges(from("127.0.0.2:0"), &[("x", "/", 403, ""), ("x", "/docs/", 403, "")]);
            program.stop_cleanly();
        }
    }

    /// A list without elements is none, and not that of the top: `auth-path = []` protects all paths.
    fn an_empty_list_replaces_that_of_the_top(kind: ServerKind) {
        let directory = with_sites("
            auth-file = 'users'
            auth-path = ['/private']
            allow = ['10.0.0.0/8']
            [[site]]
            hosts = ['a.example']
            root = 'a'
            auth-path = []
            allow = []
            [[site]]
            root = 'c'
            allow = []
            [[site.mount]]
            path = '/docs'
            root = 'docs'
            auth-path = []
        ");
        directory.write("users", "alice:$2y$04$lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m\n");
        check_responses(kind, &directory, &[
            ("a.example", "/", 401, ""),
            ("c.example", "/", 200, "c"),
            ("c.example", "/private", 401, ""),
            ("c.example", "/docs/", 401, ""),
        ]);
    }

    /// The hosts that are redirected are not those of the sites.
    fn redirects_hosts_that_no_site_serves(kind: ServerKind) {
        let directory = with_sites("
            redirect-host = ['top.example=a.example', 'c.example=a.example']
            [[site]]
            hosts = ['a.example']
            root = 'a'
            [[site]]
            hosts = ['*.b.example']
            root = 'c'
            redirect-host = ['www.c.example=c.b.example', '*.old.example=a.example', 'x.b.example=c.b.example']
        ");
        check_responses(kind, &directory, &[
            ("a.example", "/", 200, "a"),
            ("top.example", "/x?q", 308, "//a.example/x?q"),
            ("C.example.:80", "/x?q", 308, "//a.example/x?q"),
            ("www.c.example", "/x?q", 308, "//c.b.example/x?q"),
            ("a.old.example", "/x?q", 308, "//a.example/x?q"),
            ("x.b.example", "/x?q", 308, "//c.b.example/x?q"),
            ("c.b.example", "/", 200, "c"),
            ("old.example", "/x?q", 421, ""),
        ]);
    }

    /// Clients that are not served do not learn which hosts are, and a limit applies to requests for other hosts.
    fn other_hosts_have_the_access_rules_above_the_sites(kind: ServerKind) {
        let site = "auth-file = 'users'\n[[site]]\nhosts = ['a.example']\nroot = 'a'\n";
        for (rules, statuses) in [("deny = '127.0.0.1'", [403; 3]), ("rate = '2/h'", [421, 421, 429])] {
            let directory = with_sites(&format!("{rules}\n{site}"));
            directory.write("users", "alice:$2y$04$lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m\n");
            check_responses(kind, &directory, &statuses.map(|status| ("b.example", "/", status, "")));
        }
    }

    fn redirects_and_rewrites_as_the_rules_say(kind: ServerKind) {
        let rules = "
            [[site]]
            hosts = ['a.example', 'www.a.example']
            redirect-host = 'www.a.example=a.example'
            root = 'a'
            [[site.redirect]]
            from = '/old/{name}'
            to = '/new/{name}'
            [[site.redirect]]
            from = '/gone/{*rest}'
            to = 'https://other.example/a/{*rest}'
            status = 302
            [[site.rewrite]]
            from = '/app/{*rest}'
            to = '/index.html'
            [[site.rewrite]]
            from = '/documents/{*rest}'
            to = '/docs/{*rest}'
            [[site.rewrite]]
            from = '/hidden'
            to = '/.hidden'
            [[site.mount]]
            path = '/docs'
            root = 'docs'
        ";
        let directory = with_sites(rules);
        directory.write("a/.hidden", "secret");
        check_responses(kind, &directory, &[
            ("a.example", "/", 200, "a"),
            ("www.a.example:80", "/x%20y?q=1", 308, "//a.example/x%20y?q=1"),
            ("www.a.example", "//evil.example/", 308, "//a.example/evil.example/"),
            ("a.example", "/old/x%20y?q=1", 308, "../new/x%20y?q=1"),
            ("a.example", "/%6fld/%3Cb%3E", 308, "../new/%3Cb%3E"),
            ("a.example", "/old/x/y", 404, ""),
            ("a.example", "/gone/x/%3F/?q", 302, "https://other.example/a/x/%3F/?q"),
            ("a.example", "/app/x/y", 200, "a"),
            ("a.example", "/app/", 200, "a"),
            ("a.example", "/documents/", 200, "docs"),
            ("a.example", "/hidden", 404, ""),
        ]);
    }

    /// A redirect would lead to the same rule.
    fn a_rewritten_path_is_not_redirected_to_another_url(kind: ServerKind) {
        let directory = Directory::new();
        ["www/app/index.html", "www/about.html"].iter().for_each(|name| directory.write(name, name));
        let rewrite = |from: &str, to: &str| format!("[[rewrite]]\nfrom = '{from}'\nto = '{to}'\n");
        let rules = rewrite("/page/{*rest}", "/app/index.html")
            + &rewrite("/slash/{*rest}", "/about/")
            + &rewrite("/name/{*rest}", "/app/index")
            + &rewrite("/directory/{*rest}", "/app");
        directory.write("httpd.toml", format!("root = 'www'\nclean-urls = true\n{rules}"));
        // Twice: before and after the file is in the cache.
        check_responses(kind, &directory, &[
            ("a.example", "/page/x", 200, "www/app/index.html"),
            ("a.example", "/page/x/", 200, "www/app/index.html"),
            ("a.example", "/page/x", 200, "www/app/index.html"),
            ("a.example", "/app/index.html", 301, "./"),
            ("a.example", "/slash/x", 200, "www/about.html"),
            ("a.example", "/about/", 301, "../about"),
            ("a.example", "/name/x", 200, "www/app/index.html"),
            ("a.example", "/app/index", 301, "./"),
            ("a.example", "/app/", 200, "www/app/index.html"),
            ("a.example", "/directory/x", 301, "x/"),
            ("a.example", "/directory/x/", 404, ""),
        ]);
    }

    fn redirects_and_requests_for_other_hosts_get_the_headers_of_all_responses(kind: ServerKind) {
        let directory = with_sites(
            "header = 'X-Test: top'
            cors = ['*']
            [[site]]
            hosts = ['a.example', 'www.a.example']
            redirect-host = 'www.a.example=a.example'
            root = 'a'
            [[site.redirect]]
            from = '/old'
            to = '/'
            [[site.redirect]]
            from = '/docs/old'
            to = '/'
            [[site.mount]]
            path = '/docs'
            root = 'docs'
            header = 'X-Test: mount'
        ");
        let program = serve(kind, &directory, &LOCAL);
        for (host, target, status, expected) in [
            ("a.example", "/old", 308, "top"),
            ("a.example", "/docs/old", 308, "mount"),
            ("www.a.example", "/docs/x", 308, "mount"),
            ("www.a.example", "/x", 308, "top"),
            ("b.example", "/x", 421, "top"),
            ("b.example", "/%zz", 400, "top"),
        ] {
            let mut client = Client::connect(program.address());
            let response = client.fetch(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let values = ["X-Test", "Access-Control-Allow-Origin"].map(|name| response.header(name));
            assert_eq!((response.status, values), (status, [Some(expected), Some("*")]), "{host} {target}");
        }
        program.stop_cleanly();
    }

    /// Landlock permits the directories that were served at the start, and the file by its name.
    fn a_confined_program_reloads_but_serves_no_other_directory(kind: ServerKind) {
        let directory = with_sites(SITES);
        directory.write("other/index.html", "other");
        let errors = directory.path("errors");
        let program = serve(kind, &directory, &["--confine", "--error-log", text(&errors)]);
        if program.startup_line.contains("not confined") {
            return println!("skipped: this kernel has no Landlock");
        }
        let reload = |content: String| {
            directory.write("next.toml", content);
            directory.rename("next.toml", "httpd.toml");
            program.signal(Signal::HUP);
        };
        let await_site = |host: &str| {
            wait_for("the site", || {
                let mut client = Client::connect(program.address());
                (fetch(&mut client, host, "/") == (200, "a".to_owned())).then_some(())
            });
        };
        reload(SITES.replace("a.example", "new.example"));
        await_site("new.example");
        reload(SITES.replace("root = 'c'", "root = 'other'"));
        wait_for("a message", || directory.read("errors").contains("cannot serve other under --confine").then_some(()));
        await_site("new.example");
        program.stop_cleanly();
    }

    fn a_reload_serves_the_sites_that_are_in_the_file_then(kind: ServerKind) {
        let directory = with_sites(SITES);
        let errors = directory.path("errors");
        let program = serve(kind, &directory, &["--error-log", text(&errors)]);
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(program.address())).collect();
        // Waits until all workers respond so, on the connections that have been open from the beginning.
        let mut await_all = |host: &str, expected: (u16, &str)| {
            let expected = (expected.0, expected.1.to_owned());
            wait_for("the same response for all connections", || {
                clients.iter_mut().all(|client| fetch(client, host, "/") == expected).then_some(())
            });
        };
        let logged = |message: &str| {
            wait_for("a message", || directory.read("errors").contains(message).then_some(()));
        };
        await_all("a.example", (200, "a"));
        let changed = SITES.replace("a.example", "new.example").replace("port = 0", "port = 1\ngrace = 1");
        directory.write("httpd.toml", changed);
        program.signal(Signal::HUP);
        await_all("new.example", (200, "a"));
        await_all("a.example", (421, ""));
        logged("port cannot change while the server runs: restart it\n");
        logged("grace cannot change while the server runs: restart it, or start a successor\n");
        // A file with an error changes nothing.
        directory.write("httpd.toml", "[[site]]\netag = 'x'\n");
        program.signal(Signal::HUP);
        logged("httpd.toml:2:8: invalid value 'x' for etag");
        await_all("new.example", (200, "a"));
        // A worker that ends is replaced by one that serves the same.
        if kind.is_prefork() {
            let (worker, _) = program.workers()[0];
            rustix::process::kill_process(worker, Signal::KILL).expect("a worker");
            wait_for("another worker", || {
                let workers = program.workers();
                (workers.len() == 2 && workers.iter().all(|(pid, _)| *pid != worker)).then_some(())
            });
            for _ in 0..8 {
                let mut client = Client::connect(program.address());
                assert_eq!(fetch(&mut client, "new.example", "/"), (200, "a".to_owned()));
                client.finish();
            }
        }
        program.stop();
    }

    /// The sockets are those of the predecessor.
    fn a_successor_names_the_options_that_it_cannot_change(kind: ServerKind) {
        let options = "root = 'a'\nworkers = 2\npid-file = 'pid'\nerror-log = 'errors'\n";
        let directory = with_sites(&format!("{options}port = 0\nbind = '127.0.0.1'\nadmin = 0"));
        let program = serve(kind, &directory, &[]);
        let upgrade = || program::upgrade(&directory.path("pid")).code;
        let unchanged = upgrade();
        directory.write("httpd.toml", format!("{options}port = 1\nbind = '127.0.0.2'\nadmin = 1"));
        let changed = upgrade();
        let server = program::read_pid(&directory.path("pid")).expect("a server");
        rustix::process::kill_process(server, Signal::TERM).expect("a server");
        program.wait();
        let errors = directory.read("errors");
        assert_eq!((unchanged, changed), (Some(0), Some(0)), "{errors}");
        for option in ["port", "bind", "admin"] {
            let message = format!("{option} keeps the value of the predecessor: only a restart changes it");
            assert_eq!(errors.matches(&message).count(), 1, "{option}: {errors}");
        }
    }

    fn serves_as_the_file_says(kind: ServerKind) {
        let directory = with_file("root = 'files'\nport = 0\nbind = '127.0.0.1'\nworkers = 2\netag = 'mtime'\nlog-file = 'log'\n");
        directory.write("files/a.txt", "content");
        let program = serve(kind, &directory, &[]);
        let mut client = Client::connect(program.address());
        let response = client.fetch(get("/a.txt"));
        assert!(response.header("ETag").is_some_and(|tag| tag.starts_with("W/")), "{response:?}");
        client.finish();
        program.stop_cleanly();
        assert!(directory.read("log").contains("GET /a.txt"), "{}", text(directory.root()));
    }
}
