//! RFC 9110 §15: which status is for which request, and which headers and which body each status requires.

use crate::location::resolve;
use crate::response::Response;

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        redirects(),
        locations(),
        not_found(),
        not_allowed(),
        errors_are_explained(),
        errors_reveal_nothing(),
    ];
    Section::new("9110/15", "Status Codes", cases).on(Needs::Fixtures)
}

/// Cases for the redirect of a directory to its name with a slash.
fn redirects() -> Vec<Case> {
    vec![
        robust("9110/15.4/1", "A directory without its slash is redirected to the target with it")
            .send(get("/dir"))
            .expect([any_of([301, 302, 303, 307, 308]), leads_to("/dir", "/dir/")]),
        robust("9110/15.4/2", "A redirect keeps the query")
            .send(get("/dir?a=b&c=%2F?d"))
            .expect(leads_to("/dir?a=b&c=%2F?d", "/dir/?a=b&c=%2F?d")),
        robust("9110/15.4/3", "A redirect in a directory below keeps the whole path")
            .send(get("/dir/sub"))
            .expect(leads_to("/dir/sub", "/dir/sub/")),
        robust("9110/15.4/4", "A directory is redirected in HTTP/1.0 without Host, too")
            .send(get("/dir").http10().without_host())
            .expect([any_of([301, 302, 303, 307, 308]), header("Location", any_value())]),
        robust("9110/15.4/5", "The target of a redirect exists")
            .after(get("/dir"))
            .send_from(|prior| {
                let to = prior.header("Location")?;
                Some(get(&resolve("/dir", to).unwrap_or_else(|| to.to_owned())))
            })
            .expect(status(200)),
        // RFC 9110 §10.2.2 allows both forms. A proxy that serves the site below a prefix would have to rewrite a path.
        robust(
            "9110/15.4/7",
            "A redirect to a directory is relative, so that the prefix of a proxy survives",
        )
        .send(get("/dir/sub"))
        .expect(header(
            "Location",
            value_that("without scheme and path", |to| !to.starts_with('/') && !to.contains("://")),
        )),
        // RFC 9112 §3.2.2: the Host is ignored then.
        must("9110/15.4/6", "A redirect of an absolute form does not lead to the Host beside it")
            .send("GET http://test/dir HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")
            .expect([
                any_of([200, 301, 302, 303, 307, 308, 404]),
                response_that("no Location on elsewhere.example", |response| {
                    response.values("Location").all(|to| !to.contains("elsewhere.example"))
                }),
            ]),
    ]
}

/// Cases for §10.2.2: a Location is a URI reference; any other character in it must be percent-encoded.
fn locations() -> Vec<Case> {
    let targets = [
        "/dir",
        "/dir?q=%22%3C%3E",
        "/dir?%0d%0aSet-Cookie:%20a=b",
        "//dir",
        "//elsewhere.example/%2e%2e/dir",
        "/%2fdir",
        "/%5cdir",
        "///dir/../dir",
    ];
    let case = |(target, number)| {
        must(
            format!("9110/15.4/{number}"),
            format!("The target {target:?} is not redirected, or to a URI on this site"),
        )
        .send(get(target))
        .expect([any_of([200, 301, 302, 303, 307, 308, 400, 403, 404]), stays_on_host()])
    };
    targets.into_iter().zip(40..).map(case).collect()
}

/// Cases for targets that do not exist.
fn not_found() -> Vec<Case> {
    let targets =
        ["/no/such/thing", "/hello.tx", "/HELLO.TXT", "/hello.txt%20", "/hello.txt/more", "/dir/no-such.txt"];
    let case = |(target, number)| {
        should(format!("9110/15.5.5/{number}"), format!("The missing target {target:?} is answered with 404"))
            .send(get(target))
            .expect(any_of([404, 410]))
    };
    targets.into_iter().zip(1..).map(case).collect()
}

/// Cases for §15.5.6: a 405 says which methods the resource does support.
fn not_allowed() -> Vec<Case> {
    let methods = ["POST", "DELETE", "OPTIONS", "TRACE"];
    let case = |(method, number)| {
        let says = format!("an Allow with GET and HEAD and without {method}");
        must(
            format!("9110/15.5.6/{number}"),
            format!("A 405 to {method} has an Allow that does not list {method}"),
        )
        .send(request(method, "/hello.txt"))
        .expect([
            any_of([200, 204, 400, 403, 404, 405, 411, 501]),
            response_that(says, move |response| {
                let allows = |method| response.lists("Allow", method);
                response.status != 405 || (allows("GET") && allows("HEAD") && !allows(method))
            }),
        ])
    };
    let mut cases: Vec<_> = methods.into_iter().zip(1..).map(case).collect();
    cases.push(
        must("9110/15.5.6/20", "Allow is a list of methods, which are tokens")
            .send(request("DELETE", "/hello.txt"))
            .expect([any_error(), response_that("an Allow of tokens, or none", allow_has_tokens)]),
    );
    cases
}

/// Cases for §15.5 and §15.6: except to HEAD, an error should come with an explanation; a client needs its type to show
/// it.
fn errors_are_explained() -> Vec<Case> {
    let long = |length| "x".repeat(length);
    let asked = [
        ("400", get("/").without_host()),
        ("404", get("/no/such/thing")),
        ("405", request("DELETE", "/hello.txt")),
        ("414", get(&format!("/{}", long(1 << 20)))),
        ("416", get("/digits.txt").with("Range: bytes=100-")),
        ("431", get("/").with(format!("X: {}", long(1 << 20)))),
        ("501", request("BREW", "/")),
        ("a directory that is not listed", get("/no-index/")),
    ];
    let case = |((what, request), number)| {
        should(format!("9110/15.5/{number}"), format!("An error comes with an explanation: {what}"))
            .send(request)
            .expect([any_error(), has_explanation()])
    };
    let mut cases: Vec<_> = asked.into_iter().zip(1..).map(case).collect();
    cases.push(
        should("9110/15.6.6/1", "A response 505 comes with an explanation")
            .send("GET / HTTP/2.0\r\nHost: test\r\n\r\n")
            .expect([any_of([400, 505]), has_explanation()]),
    );
    cases
}

/// Cases for the text of errors, which must not repeat markup or show paths of the file system.
fn errors_reveal_nothing() -> Vec<Case> {
    let script = |content: &[u8]| content.windows(8).any(|eight| eight.eq_ignore_ascii_case(b"<script>"));
    let repeats_no_script = move || body_that("no markup of the request", move |content| !script(content));
    vec![
        robust("9110/15.5.5/20", "A response 404 does not repeat the markup in a path")
            .send(get("/%3Cscript%3Ealert(1)%3C/script%3E"))
            .expect([status(404), repeats_no_script()]),
        robust("9110/15.4/20", "A redirect does not repeat the markup in a query")
            .send(get("/dir?%3Cscript%3E<script>"))
            .expect([any_of([301, 302, 303, 307, 308, 400]), repeats_no_script()]),
        robust("9110/15.5.1/1", "A response 400 does not repeat the markup in what is malformed")
            .send("GET / <script>\r\nHost: test\r\n\r\n")
            .expect([status(400), repeats_no_script()]),
        robust("9110/15.5.5/21", "A response 404 does not reveal a path of the file system")
            .send(get("/no/such/thing"))
            .expect([
                status(404),
                body_that("no path of the file system", |content| {
                    !["/home/", "/tmp/", "/var/", "/usr/"]
                        .iter()
                        .any(|dir| content.windows(dir.len()).any(|window| window == dir.as_bytes()))
                }),
            ]),
    ]
}

/// Whether every member of the Allow header is a token.
fn allow_has_tokens(response: &Response) -> bool {
    let is_method =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|".contains(c));
    response.values("Allow").flat_map(|value| value.split(',')).all(|method| is_method(method.trim()))
}

/// Expects that the response has a body and a Content-Type.
fn has_explanation() -> Expectation {
    response_that("a body, and its Content-Type", |response| {
        !response.body.is_empty() && response.header("Content-Type").is_some()
    })
}
