//! RFC 9112 §3: the request line, the four forms of a target, and the Host that a request must have.

use crate::fixtures::HELLO;

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        request_line(),
        whitespace(),
        methods(),
        hosts(),
        good_hosts(),
        bad_hosts(),
        origin_form(),
        bad_targets(),
        bad_targets_of_applications(),
        corrected_targets(),
        absolute_form(),
        bad_authorities(),
        other_forms(),
    ];
    Section::new("9112/3", "Request Line", cases)
}

/// Cases for the form of the request line.
fn request_line() -> Vec<Case> {
    let line_of = |length: usize| format!("GET /?{} HTTP/1.1", "q".repeat(length - "GET /? HTTP/1.1".len()));
    vec![
        should("9112/3/1", "A request line of 8000 octets is understood")
            .send(format!("{}\r\nHost: test\r\n\r\n", line_of(8000)))
            .expect(status(200)),
        must("9112/3/2", "A target longer than any that the server parses is answered with 414")
            .send(format!("{}\r\nHost: test\r\n\r\n", line_of(1 << 20)))
            .expect(any_of([414, 200])),
        should("9112/3/3", "A method longer than any that the server knows is answered with 501")
            .send(request(&"M".repeat(100), "/"))
            .expect(status(501)),
        should("9112/3/4", "A space inside the target is answered with 400, or a redirect")
            .send("GET /a b HTTP/1.1\r\nHost: test\r\n\r\n")
            .expect(any_of([400, 301])),
        should("9112/3/5", "A request line of one word is answered with 400")
            .send("GET\r\nHost: test\r\n\r\n")
            .expect(status(400)),
    ]
}

/// Cases for §3: a server that accepts other white space for the single spaces risks request smuggling.
fn whitespace() -> Vec<Case> {
    let lines = [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET\x0b/ HTTP/1.1",
        "GET\x0c/ HTTP/1.1",
        "GET\r/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
    ];
    let case = |(line, number)| {
        robust(format!("9112/3/{number}"), format!("The request line {line:?} is rejected: no single spaces"))
            .send(format!("{line}\r\nHost: test\r\n\r\n"))
            .expect(status(400))
    };
    lines.into_iter().zip(20..).map(case).collect()
}

/// Cases for the characters of a method, and their case.
fn methods() -> Vec<Case> {
    vec![
        must("9112/3.1/1", "The method is case-sensitive: get is not GET")
            .send(request("get", "/"))
            .expect(any_of([501, 405, 400])),
        must("9112/3.1/2", "The method is case-sensitive: Get is not GET")
            .send(request("Get", "/"))
            .expect(any_of([501, 405, 400])),
        should("9112/3.1/3", "A method that is not a token is rejected")
            .send(request("GE(T", "/"))
            .expect(any_of([400, 501])),
        should("9112/3.1/4", "A method with a control character is rejected")
            .send(request("GE\x01T", "/"))
            .expect(status(400)),
        should("9112/3.1/5", "A method beyond ASCII is rejected")
            .send(request("G\u{c9}T", "/"))
            .expect(status(400)),
        should("9112/3.1/6", "A method of any token characters is rejected as unknown, not as malformed")
            .send(request("!#$%&'*+-.^_`|1a", "/"))
            .expect(any_of([501, 405])),
    ]
}

/// Cases for the number and the place of Host headers.
fn hosts() -> Vec<Case> {
    vec![
        must("9112/3.2/1", "A request without Host is answered with 400")
            .send("GET / HTTP/1.1\r\n\r\n")
            .smuggled()
            .expect([status(400), not_served()]),
        must("9112/3.2/2", "Two different Hosts are answered with 400")
            .send(get("/").with("Host: other"))
            .smuggled()
            .expect([status(400), not_served()]),
        must("9112/3.2/3", "Two equal Hosts are answered with 400")
            .send(get("/").with("Host: test"))
            .smuggled()
            .expect([status(400), not_served()]),
        must("9112/3.2/4", "Two Hosts in different case, with a header between them, are answered with 400")
            .send(get("/").with("X: y").with("hOST: test"))
            .smuggled()
            .expect([status(400), not_served()]),
        must("9112/3.2/5", "Host is found in any case of letters, without a space and after other headers")
            .send("GET / HTTP/1.1\r\nX: y\r\nhOsT:test\r\n\r\n")
            .expect(status(200)),
        must("9112/3.2/6", "White space around the value of Host is not part of it")
            .send("GET / HTTP/1.1\r\nHost: \t test \t \r\n\r\n")
            .expect(status(200)),
        // §3.2: a client sends an empty Host if its target has no authority, but http targets must have an authority.
        robust("9112/3.2/7", "An empty Host is understood or rejected")
            .send("GET / HTTP/1.1\r\nHost:\r\n\r\n")
            .expect(any_of([200, 400])),
        must("9112/3.2/8", "HEAD without Host is answered with 400, and no body")
            .send(head("/").without_host())
            .expect(status(400)),
        must("9112/3.2/9", "A request for a missing file without Host is answered with 400, not 404")
            .send(get("/no/such/thing").without_host())
            .expect(status(400)),
        robust("9112/3.2/10", "Two Hosts are rejected in HTTP/1.0, too")
            .send(get("/").http10().with("Host: other"))
            .expect(status(400)),
    ]
}

/// Cases for RFC 9110 §7.2: `Host = uri-host [ ":" port ]`; RFC 3986 §3.2.2 lets a name have more than DNS does.
fn good_hosts() -> Vec<Case> {
    let hosts = [
        "test",
        "TEST.Example.",
        "test:8080",
        "test:",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:80",
        "a-b_cd",
        "xn--bcher-kva.example",
        "[::ffff:192.0.2.1]",
        "[2001:DB8::1]:8080",
        "[1:2:3:4:5:6:7:8]",
        "[1:2:3:4:5:6:192.0.2.1]",
        "[1:2:3:4:5:6:7::]",
        "[::2:3:4:5:6:7:8]",
        "[1::]",
        "[::]",
    ];
    let case = |(host, number)| {
        must(format!("9112/3.2/{number}"), format!("The Host {host:?} is valid"))
            .send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .expect(status(200))
    };
    hosts.into_iter().zip(20..).map(case).collect()
}

/// Cases for values of Host that are not `uri-host [ ":" port ]`.
fn bad_hosts() -> Vec<Case> {
    let hosts = [
        "a b",
        "a\tb",
        "user@test",
        "test/",
        "test/path",
        "http://test",
        "test?q",
        "test#f",
        "test:port",
        "test:80:80",
        "test:-1",
        "test: 80",
        "[::1",
        "::1",
        "[::1]x",
        "[test]",
        "te%zzst",
        "<test>",
        "te\"st",
        "te\\st",
        "te^st",
        "te\x01st",
        "te\x7fst",
        // RFC 3986 §3.2.2: eight groups of one to four hexadecimal digits; `::` once, for at least one of them; four
        // decimal octets in the place of the last two.
        "[]",
        "[:]",
        "[:::]",
        "[1]",
        "[1:2]",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[1:2:3:4:5:6:7:8::]",
        "[::1:2:3:4:5:6:7:8]",
        "[1::2:3:4:5:6:7:8]",
        "[1::2::3]",
        "[::1::]",
        "[:1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:]",
        "[12345::]",
        "[g::]",
        "[::-1]",
        "[1.2.3.4]",
        "[::1.2.3]",
        "[::1.2.3.4.5]",
        "[::256.2.3.4]",
        "[::1.2.3.04]",
        "[::1.2.3.]",
        "[1.2.3.4::]",
        "[::1.2.3.4:5]",
        "[1:2:3:4:5:6:7:1.2.3.4]",
        "[::%31]",
        "[::1%eth0]",
        "[.]",
        "[abc]",
        "[[::1]]",
        "[::1]]",
        "[::1]:80:80",
        "a[::1]",
    ];
    let case = |(host, number)| {
        must(format!("9112/3.2/{number}"), format!("The Host {host:?} is invalid and answered with 400"))
            .send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .smuggled()
            .expect([status(400), not_served()])
    };
    // RFC 3986 §3.2.2: addresses of the future are valid, and may be rejected as unknown.
    let future = robust("9112/3.2/39", "The Host \"[v1.x:y]\" is understood or rejected")
        .send("GET / HTTP/1.1\r\nHost: [v1.x:y]\r\n\r\n")
        .expect(any_of([200, 400, 421]));
    hosts.into_iter().zip(40..).map(case).chain([future]).collect()
}

/// Cases for valid targets that are a path and a query.
fn origin_form() -> Vec<Case> {
    vec![
        must("9112/3.2.1/1", "A query does not change which file is served")
            .on(Needs::Fixtures)
            .send(get("/hello.txt?a=/../b&c?d"))
            .expect([status(200), body(HELLO)]),
        must("9112/3.2.1/2", "An empty query is valid").send(get("/?")).expect(status(200)),
        should("9112/3.2.1/3", "A target that does not begin with a slash is answered with 400")
            .send(get("hello.txt"))
            .expect(status(400)),
        should("9112/3.2.1/4", "A target that is only a query is answered with 400")
            .send(get("?q"))
            .expect(status(400)),
        robust("9112/3.2.1/5", "A target that begins with two slashes names no other host")
            .send(get("//test/hello.txt"))
            .expect([any_of([200, 301, 400, 404]), stays_on_host()]),
    ]
}

/// Cases for §3: an invalid request line is answered with 400 or a redirect to the encoded target, and not repaired.
fn bad_targets() -> Vec<Case> {
    let targets = [
        "/#fragment",
        "/?q#fragment",
        "/\x01",
        "/\x7f",
        "/\u{e9}",
        "/<",
        "/\"",
        "/\\",
        "/^",
        "/`",
        "/{",
        "/|",
        "/%",
        "/%4",
        "/%zz",
        "/?%zz",
    ];
    let case = |(target, number)| {
        should(format!("9112/3.2.1/{number}"), format!("The target {target:?} is not a URI, and rejected"))
            .send(get(target))
            .expect([any_of([400, 301]), stays_on_host()])
    };
    targets.into_iter().zip(20..).map(case).collect()
}

/// Cases for §3: the same before an application, whether it has a route for the path or not.
fn bad_targets_of_applications() -> Vec<Case> {
    let requests =
        [get("/echo|"), get("/echo?\""), get("/echo?%zz"), get("/no/such/thing|"), post("/x|", "abc")];
    let case = |(request, number)| {
        should(format!("9112/3.2.1/{number}"), "A target that is not a URI reaches no application")
            .on(Needs::Echo)
            .send(request)
            .expect([any_of([400, 301]), stays_on_host()])
    };
    requests.into_iter().zip(60..).map(case).collect()
}

/// Cases for §3 leaves the choice to the server. A redirect repairs links with characters that browsers do not encode;
/// the body of a POST cannot follow it safely.
fn corrected_targets() -> Vec<Case> {
    let targets = [
        ("/hello|.txt", "/hello%7C.txt"),
        ("/hello.txt?\"", "/hello.txt?%22"),
        ("/hello.txt?a=<b>", "/hello.txt?a=%3Cb%3E"),
        ("/hello.txt?%zz", "/hello.txt?%25zz"),
    ];
    let case = |((target, corrected), number)| {
        robust(
            format!("9112/3.2.1/{number}"),
            format!("GET and HEAD of {target:?} are redirected to {corrected}, POST is answered with 400"),
        )
        .send(get(target))
        .send(head(target))
        .send(request("POST", target))
        .expect([
            responses([301, 301, 400]),
            leads_to(target, corrected),
            nth(1, leads_to(target, corrected)),
        ])
    };
    let by_files = targets.into_iter().zip(40..).map(case).map(|case| case.on(Needs::Fixtures));
    // An application must not be reached by a target that only the file server would reject.
    let by_an_application = targets.into_iter().zip(50..).map(case).map(|case| case.on(Needs::Echo));
    by_files.chain(by_an_application).collect()
}

/// Cases for RFC 9110 §4.2.1, RFC 3986 §3.2.2.
fn bad_authorities() -> Vec<Case> {
    let hosts = ["[1]", "[1.2.3.4]", "[1::2::3]", "[abc]", "[::1", "[::1]x", "::1", "te%zzst"];
    let case = |(host, number)| {
        should(
            format!("9112/3.2.2/{number}"),
            format!("The authority {host:?} of a target is invalid, and answered with 400"),
        )
        .send(get(&format!("http://{host}/")))
        .smuggled()
        .expect([status(400), not_served()])
    };
    hosts.into_iter().zip(20..).map(case).collect()
}

/// Cases for targets that are a whole URI.
fn absolute_form() -> Vec<Case> {
    vec![
        must("9112/3.2.2/1", "The absolute form is accepted").send(get("http://test/")).expect(status(200)),
        must("9112/3.2.2/2", "The path of the absolute form is the path")
            .on(Needs::Fixtures)
            .send(get("http://test/hello.txt"))
            .expect([status(200), body(HELLO)]),
        must("9112/3.2.2/3", "A Host that differs from the absolute form is ignored")
            .send(get("http://elsewhere:81/"))
            .expect(status(200)),
        must("9112/3.2.2/4", "The scheme is not case-sensitive")
            .send(get("HTTP://test/"))
            .expect(status(200)),
        must("9112/3.2.2/5", "An empty path is the path /").send(get("http://test")).expect(status(200)),
        must("9112/3.2.2/6", "An empty path with a query is the path /")
            .send(get("http://test?q"))
            .expect(status(200)),
        must("9112/3.2.2/7", "The absolute form needs no Host in HTTP/1.0")
            .send(get("http://test/").http10().without_host())
            .expect(status(200)),
        must("9112/3.2.2/8", "The absolute form needs a Host in HTTP/1.1")
            .send(get("http://test/").without_host())
            .expect(status(400)),
        must("9112/3.2.2/9", "An invalid Host is answered with 400 beside the absolute form, too")
            .send("GET http://test/ HTTP/1.1\r\nHost: a b\r\n\r\n")
            .expect(status(400)),
        must("9112/3.2.2/14", "The authority may be an IPv6 address with a port")
            .send(get("http://[2001:db8::1]:80/"))
            .expect(status(200)),
        // RFC 9110 §4.2.1 and §4.2.4.
        must("9112/3.2.2/10", "An http URI without a host is rejected")
            .send(get("http:///"))
            .expect(status(400)),
        should("9112/3.2.2/11", "An http URI with user information is rejected")
            .send(get("http://user@test/"))
            .expect(status(400)),
        should("9112/3.2.2/12", "An http URI with a port that is not a number is rejected")
            .send(get("http://test:port/"))
            .expect(status(400)),
        must("9112/3.2.2/13", "The path of the absolute form does not lead out of the root")
            .send(get("http://test/../../../../etc/passwd"))
            .expect(any_of([400, 403, 404])),
    ]
}

/// Cases for targets that are an asterisk or an authority.
fn other_forms() -> Vec<Case> {
    vec![
        should("9112/3.2.3/1", "The authority form is for CONNECT only")
            .send(get("test:80"))
            .expect(status(400)),
        must("9112/3.2.3/2", "CONNECT makes no tunnel through an origin server")
            .send(request("CONNECT", "test:80"))
            .smuggled()
            .expect([any_of([400, 403, 404, 405, 501]), not_served()]),
        should("9112/3.2.3/3", "CONNECT with a path is rejected")
            .send(request("CONNECT", "/"))
            .expect(any_of([400, 405, 501])),
        should("9112/3.2.4/1", "The asterisk form is for OPTIONS only").send(get("*")).expect(status(400)),
        robust("9112/3.2.4/2", "OPTIONS * is answered, or rejected as unsupported")
            .send(request("OPTIONS", "*"))
            .expect(any_of([200, 204, 405, 501])),
    ]
}
