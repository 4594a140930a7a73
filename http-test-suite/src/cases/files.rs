//! Targets and files: which spellings of a target find a file, which must never find one, and where redirects lead.

use crate::fixtures::{self, HELLO, PATTERN_LEN, pattern};

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        spellings(),
        encoded_slashes(),
        similar_names(),
        dot_segments(),
        out_of_the_root(),
        hidden_files(),
        links(),
        directories(),
        redirects_to_other_hosts(),
        injection(),
        bodies(),
        heads_of_large_files(),
        httptest(),
        httptest_files(),
    ];
    Section::new("files", "Files", cases).on(Needs::Fixtures)
}

/// Cases for RFC 3986 §2.1: escapes are decoded once, hex digits in any case. A plus is a plus in a path.
fn spellings() -> Vec<Case> {
    let files = [
        ("/%68ello%2Etxt", HELLO),
        ("/with%20space.txt", "A space in the name.\n"),
        ("/gr%C3%BC%C3%9Fe.txt", "Grüße in UTF-8.\n"),
        ("/gr%c3%bc%c3%9fe.txt", "Grüße in UTF-8.\n"),
        ("/100%25.txt", "A percent sign in the name.\n"),
        ("/plus+sign.txt", "A plus sign in the name.\n"),
        ("/a&b=c.txt", "Query characters in the name.\n"),
        ("/semi;colon.txt", "A semicolon in the name.\n"),
        ("/hello.txt?/../.hidden", HELLO),
        ("/hello.txt?name=digits.txt&%00", HELLO),
        ("/dir/sub/deep.txt", "Deep.\n"),
    ];
    let case = |((target, content), number)| {
        robust(
            format!("files/{number}"),
            format!("The target {target} is answered with the file of that name"),
        )
        .send(get(target))
        .expect([status(200), body(content)])
    };
    files.into_iter().zip(1..).map(case).collect()
}

/// Cases for RFC 3986 §2.2, which lets a server treat an encoded slash as data, or as a slash. npm asks for
/// `/@scope%2fname`, and other file servers decode it. Decoded or not, it must not reach what a slash does not.
fn encoded_slashes() -> Vec<Case> {
    let served = |(target, number)| {
        robust(format!("files/{number}"), format!("The target {target} is served: %2F is decoded"))
            .send(get(target))
            .expect([status(200), body("A file below a scope.\n")])
    };
    let hidden = |(target, number)| {
        robust(format!("files/{number}"), format!("The target {target} serves nothing that is hidden"))
            .send(get(target))
            .expect([any_of([301, 308, 400, 403, 404]), stays_on_host()])
    };
    let targets = ["/@acme%2fthing", "/@acme%2Fthing", "/%40acme%2f%2fthing", "/dir%2f..%2f@acme%2fthing"];
    let rejected = [
        "/%2f.hidden",
        "/dir%2f..%2f.hidden",
        "/dir/%2f%2e%2e/%2f.hidden",
        "/dir%2f%2e%2e%2f%2e%2e%2fhello.txt",
    ];
    targets.into_iter().zip(12..).map(served).chain(rejected.into_iter().zip(16..).map(hidden)).collect()
}

/// Cases: A target that only resembles the name of a file does not find the file.
fn similar_names() -> Vec<Case> {
    let targets = [
        ("/%2568ello.txt", "it names a file only if it is decoded twice"),
        ("/with+space.txt", "a plus is no space"),
        ("/gr%FC%DFe.txt", "Latin-1 is not UTF-8"),
        ("/hello.txt%3Fq", "an encoded question mark begins no query"),
        ("/hello.txt;v=1", "a parameter is part of the name"),
        ("/HELLO.TXT", "paths are case-sensitive"),
        ("/hello.txt%20", "a space at the end is part of the name"),
        ("/hello.txt%00", "a NUL does not end a name"),
        ("/hello.txt%00.html", "a NUL does not end a name before its suffix, either"),
        ("/hello.txt/", "a file is no directory"),
        ("/hello.txt/x", "a file has no files in it"),
        ("/dir%5Cpage.txt", "a backslash is no slash"),
    ];
    let case = |((target, why), number)| {
        robust(format!("files/{number}"), format!("The target {target} finds no file: {why}"))
            .send(get(target))
            .expect([any_of([404, 400]), no_header("Location")])
    };
    targets.into_iter().zip(30..).map(case).collect()
}

/// Cases for RFC 3986 §6.2.2.3: clients remove dot segments. A target that still has some may be served, redirected or
/// rejected.
fn dot_segments() -> Vec<Case> {
    let targets = [
        "/./hello.txt",
        "/dir/../hello.txt",
        "/%2e/hello.txt",
        "/dir/%2E%2e/hello.txt",
        "/dir/sub/../.././hello.txt",
    ];
    let case = |(target, number)| {
        robust(
            format!("files/{number}"),
            format!("The target {target} is served as /hello.txt, redirected or rejected"),
        )
        .send(get(target))
        .expect(either(body(HELLO), any_of([301, 308, 400, 403, 404])))
    };
    let slashes = ["//hello.txt", "/dir//page.txt", "/dir///page.txt"];
    let slashes = slashes.into_iter().zip(70..).map(|(target, number)| {
        robust(format!("files/{number}"), format!("Empty segments in {target} do no harm"))
            .send(get(target))
            .expect([any_of([200, 301, 308, 400, 404]), stays_on_host()])
    });
    targets.into_iter().zip(60..).map(case).chain(slashes).collect()
}

/// Cases for RFC 9110 §17.3: a server needs to avoid names that the file system gives a meaning of its own.
fn out_of_the_root() -> Vec<Case> {
    let steps = [
        "../",
        "%2E%2e%2F",
        "..%2f",
        "..%5c",
        "dir/../../",
        "hello.txt/../../",
        "..;/",
        "....//",
        "%00../",
        // Decoded twice.
        "%252e%252e/",
        // Overlong UTF-8: of a dot, of a slash.
        "%c0%ae%c0%ae/",
        "..%c0%af",
        // A fullwidth full stop, which Unicode normalization turns into a dot.
        "%ef%bc%8e%ef%bc%8e/",
    ];
    let case = |(step, number): (&str, u32)| {
        should(format!("files/{number}"), format!("Steps of {step} do not lead out of the root"))
            .send(get(&format!("/{}etc/passwd", step.repeat(16))))
            .expect([any_of([400, 403, 404]), stays_on_host()])
    };
    let absolute = ["//etc/passwd", "/%2fetc/passwd", "/root/"];
    let absolute = absolute.into_iter().zip(100..).map(|(target, number)| {
        should(format!("files/{number}"), format!("The target {target} serves no file outside the root"))
            .send(get(target))
            .expect([any_of([400, 403, 404]), stays_on_host()])
    });
    steps.into_iter().zip(80..).map(case).chain(absolute).collect()
}

/// Cases for files whose name begins with a dot.
fn hidden_files() -> Vec<Case> {
    let targets = ["/.hidden", "/%2ehidden", "/dir/../.hidden", "/./.hidden"];
    let case = |(target, number)| {
        robust(format!("files/{number}"), format!("The target {target} is hidden, and not served"))
            .send(get(target))
            .expect(any_of([400, 403, 404]))
    };
    // RFC 8615.
    let well_known =
        robust("files/114", "A file below /.well-known is served, though that name begins with a dot")
            .send(get("/.well-known/security.txt"))
            .expect([status(200), body("Contact: mailto:security@example.org\n")]);
    targets.into_iter().zip(110..).map(case).chain([well_known]).collect()
}

/// Cases for symbolic links, inside the root and out of it.
fn links() -> Vec<Case> {
    vec![
        robust("files/120", "A link within the root is answered with its target, or not served")
            .send(get("/link.txt"))
            .expect(either(body(HELLO), any_of([403, 404]))),
        robust("files/121", "A link to a file outside the root is not served")
            .send(get("/link-out.txt"))
            .expect(any_of([403, 404])),
        robust("files/122", "A link to a directory outside the root is not followed")
            .send(get("/link-out-dir/passwd"))
            .expect(any_of([403, 404])),
        robust("files/123", "A link that points nowhere is answered with 404")
            .send(get("/link-nowhere.txt"))
            .expect(status(404)),
        robust("files/124", "A socket is rejected, and the server does not wait for it")
            .send(get("/socket"))
            .expect(any_of([403, 404])),
    ]
}

/// Cases for directories, with an index and without.
fn directories() -> Vec<Case> {
    vec![
        // Without the slash, relative links in its page would resolve against the parent directory.
        robust("files/130", "A directory without its slash is redirected to the target with it")
            .send(get("/dir"))
            .expect([any_of([301, 302, 307, 308]), leads_to("/dir", "/dir/")]),
        robust("files/131", "The redirect to a directory keeps the query")
            .send(get("/dir?a=b&c"))
            .expect([any_of([301, 302, 307, 308]), leads_to("/dir?a=b&c", "/dir/?a=b&c")]),
        robust("files/132", "The redirect to a directory is for its whole path")
            .send(get("/httptest/dir1/dir12"))
            .expect([
                any_of([301, 302, 307, 308]),
                leads_to("/httptest/dir1/dir12", "/httptest/dir1/dir12/"),
            ]),
        // Without the slash, the last segment of the target is what a relative Location replaces.
        robust("files/138", "A redirect that an encoded slash precedes leads to the directory")
            .send(get("/@acme%2fpack"))
            .expect([
                any_of([301, 302, 307, 308]),
                either(
                    leads_to("/@acme%2fpack", "/@acme/pack/"),
                    leads_to("/@acme%2fpack", "/@acme%2fpack/"),
                ),
            ]),
        // RFC 3986 §4.2: `a:b/` would begin with a scheme.
        robust("files/139", "A redirect to a directory whose name has a colon leads to the directory")
            .send(get("/a:b"))
            .expect([any_of([301, 302, 307, 308]), leads_to("/a:b", "/a:b/")]),
        robust("files/133", "A directory is answered with its index")
            .after(get("/dir/index.html"))
            .send(get("/dir/"))
            .expect([status(200), same_header("Content-Type"), same_header("ETag"), same_body()]),
        robust("files/134", "The root is answered with its index")
            .after(get("/index.html"))
            .send(get("/"))
            .expect([status(200), same_body()]),
        robust("files/135", "A directory with a query is answered with its index")
            .after(get("/dir/"))
            .send(get("/dir/?a=b"))
            .expect([status(200), same_body()]),
        robust("files/136", "A directory without an index does not list its files")
            .send(get("/no-index/"))
            .expect(any_of([403, 404])),
        robust("files/137", "A directory that does not exist is not redirected")
            .send(get("/no-such-dir/"))
            .expect([status(404), no_header("Location")]),
    ]
}

/// Cases for RFC 3986 §4.2: what begins with two slashes names another host. Browsers treat a backslash as a slash.
fn redirects_to_other_hosts() -> Vec<Case> {
    let targets = [
        "//dir",
        "/.//dir",
        "/dir/..//dir",
        "//example.org/..//dir",
        "//example.org/%2e%2e/dir",
        "/%2fdir",
        "/%2Fexample.org%2F..%2Fdir",
        "/%5cexample.org/%2e%2e/dir",
        "/%09/example.org/%2e%2e/%2e%2e/dir",
    ];
    let case = |(target, number)| {
        robust(format!("files/{number}"), format!("The target {target} leads to no other host"))
            .send(get(target))
            .expect([any_response(), stays_on_host()])
    };
    let host = robust("files/159", "A redirect leads to no other host, whatever Host says")
        .send("GET /dir HTTP/1.1\r\nHost: example.org@test\r\n\r\n")
        .expect([any_of([400, 301, 302, 307, 308]), stays_on_host()]);
    targets.into_iter().zip(140..).map(case).chain([host]).collect()
}

/// Cases for RFC 9110 §5.5: CR, LF and NUL within a value are dangerous; a server that decodes must not let them into
/// one.
fn injection() -> Vec<Case> {
    let targets = [
        "/dir?%0d%0aX-Injected:%20yes",
        "/dir?%0aX-Injected:%20yes",
        "/%0d%0aX-Injected:%20yes/../dir",
        "/%0d%0aX-Injected:%20yes/%2e%2e/dir",
        "/%0d%0a%0d%0aHTTP/1.1%20200%20OK%0d%0aX-Injected:%20yes",
        "/%E5%98%8D%E5%98%8AX-Injected:%20yes",
    ];
    let case = |(target, number)| {
        robust(format!("files/{number}"), format!("The target {target} adds no header to the response"))
            .send(get(target))
            .expect([any_of([301, 302, 307, 308, 400, 403, 404]), no_header("X-Injected")])
    };
    let markup = robust("files/169", "An error page contains no markup from the target")
        .send(get("/%3Cscript%3Ealert(1)%3C/script%3E"))
        .expect([
            any_of([400, 404]),
            body_that("a body without <script>", |content| {
                !String::from_utf8_lossy(content).contains("<script>")
            }),
        ]);
    targets.into_iter().zip(160..).map(case).chain([markup]).collect()
}

/// Cases for the bodies of responses: empty, large, and of files without a suffix.
fn bodies() -> Vec<Case> {
    vec![
        robust("files/170", "An empty file is a response with a length of 0")
            .send(get("/empty.txt"))
            .expect([status(200), header("Content-Length", "0"), body("")]),
        robust("files/171", "A large file is exact, and its length is known before")
            .send(get("/pattern.bin"))
            .expect([
                status(200),
                header("Content-Length", PATTERN_LEN.to_string()),
                body(pattern(0..PATTERN_LEN)),
            ]),
        robust("files/172", "A large file many times over is exact each time")
            .send(Vec::from(get("/pattern.bin")).repeat(8))
            .expect([responses([200; 8]), nth(7, body(pattern(0..PATTERN_LEN)))]),
        robust("files/173", "A file without a suffix is served")
            .send(get("/no-extension"))
            .expect([status(200), body("Text, or is it?\n")]),
    ]
}

/// Cases for RFC 9110 §9.3.2, for files of more than a few bytes: there a server is most likely to treat HEAD as GET.
fn heads_of_large_files() -> Vec<Case> {
    let targets = ["/dir", "/empty.txt", "/pattern.bin", "/.hidden"];
    let case = |(target, number)| {
        should(format!("files/{number}"), format!("HEAD {target} says what GET says"))
            .send(head(target))
            .expect(same_as_get())
    };
    targets.into_iter().zip(180..).map(case).collect()
}

/// Cases for the tests of the public s-stupnikov/http-test-suite, except those of its files, which are below.
fn httptest() -> Vec<Case> {
    vec![
        robust("files/200", "A line feed and then nothing does no harm")
            .send("\n")
            .half_close()
            .expect(either(no_response(), status(400))),
        robust("files/201", "A response names the server")
            .send(get("/httptest/"))
            .expect([any_of([200, 403, 404]), header("Server", any_value())]),
        robust("files/202", "A directory of the public suite has no index")
            .send(get("/httptest/dir1/"))
            .expect(any_of([404, 403])),
        robust("files/203", "A file that is absent is 404")
            .send(get("/httptest/smdklcdsmvdfjnvdfjvdfvdfvdsfssdmfdsdfsd.html"))
            .expect(status(404)),
        robust("files/204", "A slash after the name of a page is 404")
            .send(get("/httptest/dir2/page.html/"))
            .expect(status(404)),
        robust("files/205", "A target cannot leave the root from a directory, either")
            .send(get("/httptest/../../../../../../../../../../../../../etc/passwd"))
            .expect(any_of([400, 403, 404])),
        robust("files/206", "POST to a page is rejected")
            .send(request("POST", "/httptest/dir2/page.html").with("Content-Length: 0"))
            .expect(any_of([400, 405])),
        robust("files/207", "HEAD in HTTP/1.0 without any header is answered, and the connection closed")
            .send("HEAD /httptest/dir2/page.html HTTP/1.0\r\n\r\n")
            .expect([status(200), header("Content-Length", "38"), closes()]),
    ]
}

/// Cases for the files of the public suite: length, bytes, and the media type that it expects.
fn httptest_files() -> Vec<Case> {
    /// A target, the path of its file on disk, and its possible media types.
    struct FileRow(&'static str, &'static str, &'static [&'static str]);
    /// The public suite does not check the type of text.
    const TEXT: &[&str] = &["text/plain", "text/plain; charset=utf-8"];
    let rows = [
        FileRow("dir2/", "dir2/index.html", &["text/html"]),
        FileRow("dir2/page.html", "dir2/page.html", &["text/html"]),
        FileRow("dir2/page.html?arg1=value&arg2=value", "dir2/page.html", &["text/html"]),
        FileRow("dir2/%70%61%67%65%2e%68%74%6d%6c", "dir2/page.html", &["text/html"]),
        FileRow("dir1/dir12/dir123/deep.txt", "dir1/dir12/dir123/deep.txt", TEXT),
        FileRow("space%20in%20name.txt", "space in name.txt", TEXT),
        FileRow("text..txt", "text..txt", TEXT),
        FileRow("wikipedia_russia.html", "wikipedia_russia.html", &["text/html"]),
        FileRow("splash.css", "splash.css", &["text/css"]),
        FileRow(
            "jquery-1.9.1.js",
            "jquery-1.9.1.js",
            &["text/javascript", "application/javascript", "application/x-javascript"],
        ),
        FileRow("160313.jpg", "160313.jpg", &["image/jpeg"]),
        FileRow("ef35c.jpeg", "ef35c.jpeg", &["image/jpeg"]),
        FileRow("logo.v2.png", "logo.v2.png", &["image/png"]),
        FileRow("pic_ask.gif", "pic_ask.gif", &["image/gif"]),
        FileRow("b16261023.swf", "b16261023.swf", &["application/x-shockwave-flash"]),
    ];
    let case = |(FileRow(target, path, types), number): (FileRow, u32)| {
        let content = fixtures::httptest(path).unwrap_or_default();
        robust(format!("files/{number}"), format!("The target /httptest/{target} is served as {}", types[0]))
            .send(get(&format!("/httptest/{target}")))
            .expect([
                status(200),
                header("Content-Length", content.len().to_string()),
                header("Content-Type", value_that(format!("of {types:?}"), |value| types.contains(&value))),
                body(content),
            ])
    };
    rows.into_iter().zip(220..).map(case).collect()
}

/// Expects that the body is the same as in the prior response.
fn same_body() -> Expectation {
    compared_with_prior("the body that the other target has", |response, prior| response.body == prior.body)
}
