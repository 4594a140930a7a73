//! The command line: its help, the addresses to listen on, and the messages if a start fails.

use crate::{
    program::{self, HTTPD, Program, check_failure, check_served, text},
    site::Site,
};
use rustix::process::geteuid;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    process::Command,
};

two_kinds! {
    /// Addresses with a port of their own, addresses without, and a name that means one of them.
    fn listens_on_all_given_addresses(kind: ServerKind) {
        let [one, two] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        for (options, expected) in [
            (&["-b", "127.0.0.1", "-b", "127.0.0.2"][..], &[one, two][..]),
            (&["-b", "127.0.0.2:0", "-b", "127.0.0.1", "-b", "127.0.0.1"], &[two, one]),
            (&["-b", "::1", "-b", "[::1%lo]:0", "-b", "[::1]:0"], &[Ipv6Addr::LOCALHOST.into(); 3]),
        ] {
            if expected[0].is_ipv6() && !has_ipv6() {
                return println!("skipped: no IPv6");
            }
            let program = program::serve(kind, options);
            let addresses: Vec<IpAddr> = program.addresses.iter().map(SocketAddr::ip).collect();
            assert_eq!(addresses, expected, "{}", program.startup_line);
            program.addresses.iter().for_each(|address| check_served(*address));
        }
        // The name may have an IPv6 address, too.
        let program = program::serve(kind, &["-b", "127.0.0.1", "-b", "localhost"]);
        let port = program.address().port();
        assert!(program.addresses.len() <= 2, "{}", program.startup_line);
        for address in &program.addresses {
            assert!(address.ip().is_loopback() && address.port() == port, "{}", program.startup_line);
        }
    }

    fn a_failed_start_names_the_cause_and_a_remedy(kind: ServerKind) {
        let site = Site::shared();
        let many: Vec<String> = (1..=65).map(|last| format!("-b127.0.0.{last}:0")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (root, missing, file) = (text(site.root()), site.path("nowhere"), site.path("page.html"));
        // Opening a FIFO without a reader must not block the start.
        let fifo = site.path("pipe");
        for (arguments, message) in [
            // An address that no machine has (RFC 5737).
            (&["-b", "192.0.2.1:0"][..], "cannot bind 192.0.2.1:0: address not available (this machine does not"),
            (&["-b", "nowhere.invalid"], "cannot resolve nowhere.invalid: "),
            (&["-b", "fe80::1%none0"], "cannot resolve [fe80::1%none0]: network interface none0: no such device"),
            (&many, "cannot listen on 65 addresses: at most 64 are possible"),
            (&["-p", "0", text(&missing)], &format!("httpd: cannot serve {}: no such", text(&missing))),
            (&["-p", "0", text(&file)], &format!("httpd: cannot serve {}: not a directory", text(&file))),
            (&["-p", "0", "--log-file", root], &format!("httpd: cannot open the log {root}: ")),
            (&["-p", "0", "--error-log", text(&fifo)], &format!("httpd: cannot open the log {}: ", text(&fifo))),
        ] {
            check_failure(&[kind.arguments(), arguments].concat(), 1, message);
        }
        if TcpListener::bind("127.0.0.1:79").is_ok() && !geteuid().is_root() {
            return println!("skipped: every user may bind any port");
        }
        let mut command = program::command(HTTPD, kind, "/".as_ref(), &["-b", "127.0.0.1:79"]);
        if geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        let exit = Program::spawn(&mut command).expect("httpd").wait();
        let remedy = "permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
        assert_eq!((exit.code, exit.stderr), (Some(1), format!("httpd: cannot bind 127.0.0.1:79: {remedy}\n")));
    }
}

#[test]
fn listens_on_the_loopback_addresses_by_default() {
    let site = Site::shared();
    let mut command = Command::new(HTTPD);
    let program = Program::start(command.args(["-p", "0", "-w", "1"]).current_dir(site.root()));
    let port = program.address().port();
    let ipv6 = has_ipv6().then_some(Ipv6Addr::LOCALHOST.into());
    let expected = [Some(Ipv4Addr::LOCALHOST.into()), ipv6].into_iter().flatten();
    let expected: Vec<_> = expected.map(|address| SocketAddr::new(address, port)).collect();
    assert_eq!(program.addresses, expected);
    expected.into_iter().for_each(check_served);
    let line = &program.startup_line;
    assert!(line.starts_with("httpd serves . at http://127.0.0.1:"), "{line}");
    assert!(line.ends_with("/ (event loop, 1 worker)\n"), "{line}");
}

#[test]
fn wrong_usage_exits_with_2() {
    let size = "must be from 0 to 4G, in bytes or with a unit, as in 512, 64K, 10M, 1G";
    let time = "must be from 0s to 24h, in seconds or with a unit, as in 500ms, 30s, 1m, 2h";
    let address = "as in 127.0.0.1, localhost, [::1]:8080, [fe80::1%eth0]:80";
    for (arguments, message) in [
        ("--nonsense", ""),
        ("-p 65536", ""),
        ("-p http", ""),
        ("-w 0", ""),
        ("-w 1025", ""),
        ("-w many", "must be a number from 1 to 1024"),
        ("-b 8080", address),
        ("-b [::1", ""),
        ("-b localhost:http", ""),
        ("-b unix:", "must be unix:PATH or unix:@NAME"),
        ("-b fd:1", "must be fd: and the number of an inherited descriptor, at least 3, as in fd:3"),
        ("--socket-mode 888", "must be an octal number from 0 to 0777, as in 0660"),
        ("--idle-grace 1_m", time),
        ("--engine async", ""),
        ("--grace -1", ""),
        ("--grace 1_m", time),
        ("--max-connections 0", ""),
        ("--max-connections-per-ip many", ""),
        ("--max-head 65537", ""),
        ("--max-body -1", ""),
        ("--max-body 10MB", size),
        ("--head-timeout 0", ""),
        ("--idle-timeout 86401", ""),
        ("--log all", ""),
        ("--log common --log-format x", "cannot be used with"),
        ("--log-format $status$x", "unknown variable $x"),
        (
            "--admin localhost",
            "must be a port of 127.0.0.1, or an address or a name with a port, as in 9100, localhost:9100",
        ),
        ("--allow all", "must be an address or a network, as in 192.0.2.1, 10.0.0.0/8, 2001:db8::/32"),
        ("--deny 10.0.0.1/8", "10.0.0.1 is not the first address of its network: write 10.0.0.0/8"),
        ("--rate 0", "with a period if it is not a second: 10, 10/s, 300/m, 1000/h"),
        ("--rate-burst 10", "--rate"),
        ("--bandwidth 1000", "must be from 1K to 1024G, in bytes per second, as in 500K or 2M/s, or off"),
        ("--bandwidth a**=1M", "malformed glob \"a**\""),
        ("--bandwidth-after 1M", "--bandwidth"),
        ("--bandwidth-per-client fast", "must be from 1K to 1024G"),
        ("--auth-path /a", "--auth-file"),
        ("--auth-file users --auth-path a", "must begin with a slash, as in /private"),
        ("--group web", ""),
        ("--header ETag:1", "cannot set ETag: the server computes this header"),
        (
            "--header *.js:x-request-id:1",
            "cannot set X-Request-Id: all requests would have the same ID; --request-id gives",
        ),
        ("--header connection:close", "cannot set \"connection\": the server sets this header"),
        ("--header a**:X:1", "malformed glob \"a**\": ** must stand between slashes"),
        ("--cache-control no-store", "must be GLOB=VALUE, as in *.css=max-age=600"),
        ("--cache all", ""),
        ("--security-headers=all", ""),
        ("--mime log", "must be EXT=TYPE, as in log=text/plain"),
        ("--mime log=text", "malformed media type \"text\": must be type/subtype"),
        ("--mime-types /nowhere", "cannot read the file: no such file or directory\n"),
        ("--mime-types /dev/zero", "cannot read the file: not a regular file\n"),
        ("--config /dev/zero", "cannot read the configuration file /dev/zero: not a regular file\n"),
        ("--default-type text", "malformed media type"),
        ("--charset utf=8", "must be the name of a charset, as in utf-8, or off"),
        ("--cors=https://a/", "malformed origin \"https://a/\": an origin must be scheme://host"),
        ("--upgrade", ""),
        ("one two", "error: unexpected argument 'two' found\n"),
        ("--listing on www", "error: write --listing=on (or ./on for the directory to serve)\n"),
        ("www --cors off", "error: write --cors=off (or ./off for the directory to serve)\n"),
        ("--listing www on", "error: unexpected argument 'on' found\n"),
        ("--log-format=", "must not be empty"),
        ("one -r two", "error: the argument '[ROOT]' cannot be used with '--root <ROOT>'\n"),
        ("one -r two", "\nUsage: httpd <ROOT"),
    ] {
        check_failure(&arguments.split(' ').collect::<Vec<_>>(), 2, message);
    }
}

#[test]
fn prints_its_manual_and_completions() {
    let check = |arguments: &[&str], expected: &[&str]| {
        let exit = program::run(arguments);
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""), "{arguments:?}");
        for text in expected {
            assert!(exit.stdout.contains(text), "{arguments:?} does not print {text}");
        }
    };
    check(
        &["--man"],
        &[".TH httpd 1", "\nhttpd precompress DIRECTORY\n", "SIGUSR2  ", "\\-\\-idle\\-timeout", "Examples:"],
    );
    check(&["--completions", "bash"], &["complete -F _httpd", "--idle-timeout"]);
    check(&["--completions", "zsh"], &["#compdef httpd"]);
    check(&["--completions", "fish"], &["complete -c httpd"]);
    check(&["--help"], &["Examples:", "Serves the files of a directory over HTTP/1.1.\n\nExit codes: "]);
    check(&["-h"], &["Serves the files of a directory over HTTP/1.1\n\n"]);
    check_failure(&["--man", "--check"], 2, "cannot be used with");
    // Neither the environment nor a file matters.
    for arguments in [&["--man"][..], &["--completions", "bash"], &["--help"], &["-V"]] {
        let mut command = Command::new(HTTPD);
        command.args(arguments).args(["--config", "/nowhere"]).env("HTTPD_PORT", "x");
        let exit = Program::spawn(&mut command).expect("httpd").wait();
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn prints_its_version_and_all_options() {
    let version = program::run(&["-V"]);
    let expected = format!("httpd {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.stdout, version.stderr), (Some(0), expected, String::new()));
    for help in ["-h", "--help"] {
        let exit = program::run(&[help]);
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""));
        let options = "port root etag workers engine prefork bind grace max-connections max-connections-per-ip max-head \
            max-body head-timeout body-timeout write-timeout idle-timeout log log-file error-log pid-file user group \
            confine upgrade header cache-control cache security-headers cors mime \
            mime-types default-type charset \
            allow deny rate rate-burst auth-file auth-path auth-realm \
            bandwidth bandwidth-after bandwidth-per-client \
            socket-mode idle-grace trusted-proxy forwarded-header proxy-protocol \
            config check print-config man completions redirect-host";
        for option in options.split(' ') {
            assert!(exit.stdout.contains(&format!("--{option}")), "{help} does not name --{option}");
        }
        let (_, workers) = exit.stdout.split_once("\nWorkers:\n").expect("a heading");
        let workers = workers.split("\n\n").next().unwrap_or_default();
        assert!(workers.contains("--engine"), "{workers}");
        assert!(exit.stdout.lines().all(|line| line.len() <= 100), "{help}");
    }
}

/// Returns whether this machine has an IPv6 loopback address.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
