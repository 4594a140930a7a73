//! `POST /echo`: responds with the body as JSON, and says where a malformed body is wrong.

use crate::{app::check_problem, client::request, demo::Demo, server::ServerKind};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const MULTIPART: &str = "multipart/form-data; boundary=x";

/// Returns the request that posts `body` with these headers besides its length.
fn post(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = request("POST", "/echo", &format!("Content-Length: {}\r\n{headers}", body.len()));
    [head.as_bytes(), body].concat()
}

fn post_as(media_type: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    post(&format!("Content-Type: {media_type}\r\n"), body)
}

/// Sends the request on a new connection. Returns the status, the media type and the text of the response.
fn ask(demo: &Demo, request: impl AsRef<[u8]>) -> (u16, String, String) {
    let response = demo.connect().fetch(request);
    (response.status, response.header("Content-Type").unwrap_or_default().to_owned(), response.text())
}

/// Posts the body. Expects this JSON, or 400 with this detail.
fn check(demo: &Demo, media_type: &str, body: impl AsRef<[u8]>, expected: Result<&str, &str>) {
    let body = body.as_ref();
    match expected {
        Ok(expected) => {
            let expected = (200, JSON.to_owned(), format!("{expected}\n"));
            assert_eq!(
                ask(demo, post_as(media_type, body)),
                expected,
                "{media_type}: {}",
                body.escape_ascii()
            );
        }
        Err(detail) => {
            check_error(demo, 400, "Bad Request", post_as(media_type, body), &json!({ "detail": detail }));
        }
    }
}

fn check_error(demo: &Demo, status: u16, title: &str, request: impl AsRef<[u8]>, members: &Value) {
    check_problem(demo, request, status, title, members);
}

/// Ends each line in CRLF.
fn lines(lines: &str) -> String {
    lines.replace('\n', "\r\n")
}

#[test]
fn json_is_returned_character_for_character() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
    for body in [
        "null",
        "\"\\u00e9\u{e9}\\ud800\"",
        "{\"b\": 1,\n\"a\": [{}, [], true], \"b\": {\"\": 2}}",
        "[12345678901234567890123, 1.50, -0, 1e999, 0.1000000000000000055511151231257827]",
        &nested(128),
        &format!("[\"{}\\\"{}\"]", "[".repeat(200), "{".repeat(200)),
        &format!("[{}1]", "[[]], ".repeat(200)),
    ] {
        check(demo, JSON, body, Ok(body));
    }
    for media_type in ["APPLICATION/Json; charset=utf-8", "application/problem+JSON", "image/a+b+json"] {
        check(demo, media_type, " \t\r\n[1]\n ", Ok("[1]"));
    }
    for (body, detail) in [
        ("{\n  \"a\": x}", "malformed JSON: expected value at line 2 column 8"),
        ("[1,", "malformed JSON: EOF while parsing a value at line 1 column 3"),
        ("1 2", "malformed JSON: trailing characters at line 1 column 3"),
        (" ", "malformed JSON: EOF while parsing a value at line 1 column 1"),
        (&nested(129), "JSON nested deeper than 128 levels at line 1 column 129"),
        (
            &format!("[\n{}1{}]", "{\"a\":".repeat(128), "}".repeat(128)),
            "JSON nested deeper than 128 levels at line 2 column 636",
        ),
        (&nested(500_000), "JSON nested deeper than 128 levels at line 1 column 129"),
        (&"[".repeat(1_000_000), "malformed JSON: EOF while parsing a list at line 1 column 1000000"),
    ] {
        check(demo, JSON, body, Err(detail));
    }
    check(demo, JSON, b"[\n \"\xff\"]", Err("not UTF-8 at line 2 column 3"));
}

#[test]
fn urlencoded_form_becomes_an_object() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    for (body, expected) in [
        ("b=1&a=S%C3%A3o+Paulo", "{\"b\":\"1\",\"a\":\"S\u{e3}o Paulo\"}"),
        ("a=1&b=2&a=3&a=", "{\"a\":[\"1\",\"3\",\"\"],\"b\":\"2\"}"),
        ("a&=%22&%zz=%", "{\"a\":\"\",\"\":\"\\\"\",\"%zz\":\"%\"}"),
        ("&", "{}"),
    ] {
        check(demo, FORM, body, Ok(expected));
    }
    check(demo, FORM, "a&".repeat(1024), Ok(&format!("{{\"a\":[{}\"\"]}}", "\"\",".repeat(1023))));
    check(demo, FORM, "a&".repeat(1025), Err("the form has more than 1024 values"));
    check(demo, FORM, "a&".repeat(500_000), Err("the form has more than 1024 values"));
}

#[test]
fn plain_text_becomes_a_string() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    check(demo, "text/plain", "a \"b\"\\\r\n\0\u{e9}", Ok("\"a \\\"b\\\"\\\\\\r\\n\\u0000\u{e9}\""));
    check(demo, "text/plain; charset=UTF-8", "\u{20ac}", Ok("\"\u{20ac}\""));
    check(demo, "text/plain;format=flowed;charset=\"us-ascii\"", "a", Ok("\"a\""));
    check(demo, "text/plain", b"a\nb\xc3", Err("not UTF-8 at line 2 column 2"));
    let members = json!({ "field": "Content-Type", "detail": "the charset must be utf-8 or us-ascii" });
    for charset in ["iso-8859-1", "utf-16", "\"\"", "utf-80"] {
        let request = post_as(&format!("text/plain; charset={charset}"), b"a");
        check_error(demo, 415, "Unsupported Media Type", request, &members);
    }
}

#[test]
fn multipart_form_lists_fields_and_files() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    let form = "--x\n\
        Content-Disposition: form-data; name=\"city\"\n\nS\u{e3}o Paulo\n\
        --x\n\
        Content-Disposition: form-data; name=\"picture\"; filename=\"a \\\"b\\\".png\"\n\
        Content-Type: Image/PNG; a=b\n\n\0\u{1}\u{2}\n\n\
        --x\n\
        Content-Disposition: form-data; name=\"city\"\n\n\n\
        --x\n\
        Content-Disposition: form-data; name=\"notes\"; filename=\"%22.txt\"\n\n\n\
        --x--\n";
    let expected = json!({
        "fields": [{ "name": "city", "value": "S\u{e3}o Paulo" }, { "name": "city", "value": "" }],
        "files": [
            { "name": "picture", "file_name": "a \"b\".png", "type": "image/png; a=b", "size": 5 },
            { "name": "notes", "file_name": "\".txt", "type": "text/plain", "size": 0 },
        ],
    });
    check(demo, MULTIPART, lines(form), Ok(&expected.to_string()));
    check(demo, "multipart/form-data; boundary=\"x y\"", "--x y--\r\n", Ok("{\"fields\":[],\"files\":[]}"));
    let field = "--x\nContent-Disposition: form-data; name=a\n\n1\n";
    check(demo, MULTIPART, lines(field), Err("malformed form: the form has no end"));
    check(
        demo,
        MULTIPART,
        lines(&(field.repeat(1025) + "--x--\n")),
        Err("malformed form: the form has too many parts"),
    );
    let latin = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\na\xe9\r\n--x--\r\n";
    check(demo, MULTIPART, latin, Err("not UTF-8 at line 1 column 2"));
    let detail = "malformed form: the media type has no boundary, or a malformed one";
    let members = json!({ "field": "Content-Type", "detail": detail });
    check_error(demo, 400, "Bad Request", post_as("multipart/form-data", b"--x--\r\n"), &members);
}

#[test]
fn other_types_are_returned_in_base64() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    for (media_type, body, base64) in [
        ("image/png; a=b", &b"\0\xff~"[..], "AP9+"),
        ("application/jsonl", b"{}", "e30="),
        ("text/html", b"a", "YQ=="),
    ] {
        let expected = json!({ "type": media_type, "length": body.len(), "base64": base64 });
        check(demo, media_type, body, Ok(&expected.to_string()));
    }
    let expected = "{\"type\":null,\"length\":3,\"base64\":\"YWJj\"}\n";
    assert_eq!(ask(demo, post("", b"abc")), (200, JSON.to_owned(), expected.to_owned()));
}

#[test]
fn a_response_is_at_most_six_times_as_long_as_the_request() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    const MIB: usize = 1024 * 1024;
    let part = |content: &str| format!("--x\r\nContent-Disposition: form-data; name=a\r\n\r\n{content}\r\n");
    let parts = |content: &str, count| (part(content).repeat(count) + "--x--").into_bytes();
    let escaped = |len| "\u{1}".repeat(len);
    for (media_type, body) in [
        (FORM, "\u{1}&".repeat(1024).into_bytes()),
        (FORM, "=&".repeat(1024).into_bytes()),
        (FORM, ["a=".as_bytes(), &vec![0xff; MIB - 2]].concat()),
        (FORM, (escaped(1023) + "&").repeat(1024).into_bytes()),
        (MULTIPART, parts(&escaped(900), 1024)),
        (MULTIPART, parts("", 1024)),
        ("text/plain", vec![1; MIB]),
        ("image/png; a=\"\\\"\\\"\"", vec![0; MIB]),
    ] {
        let (status, _, text) = ask(demo, post_as(media_type, &body));
        let (sent, received) = (body.len() + media_type.len(), text.len());
        assert_eq!(status, 200, "{media_type}");
        assert!(received <= 6 * sent + 64, "{media_type}: {received} bytes for {sent}");
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{media_type}");
    }
}

#[test]
fn rejects_what_cannot_be_echoed() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    let none = || json!({ "detail": "there is no body to echo" });
    check_error(demo, 400, "Bad Request", post("", b""), &none());
    check_error(demo, 400, "Bad Request", post_as(JSON, b""), &none());
    check_error(demo, 400, "Bad Request", request("POST", "/echo", ""), &none());
    let chunked = request("POST", "/echo", "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n");
    check_error(demo, 400, "Bad Request", chunked + "0\r\n\r\n", &none());
    let untyped = || json!({ "field": "Content-Type", "detail": "must be one media type" });
    for media_type in ["", "json", "text/", "text/plain; charset", "text/plain, text/plain", "*"] {
        check_error(demo, 400, "Bad Request", post_as(media_type, b"{}"), &untyped());
    }
    let twice = "Content-Type: text/plain\r\ncontent-type: text/plain\r\n";
    check_error(demo, 400, "Bad Request", post(twice, b"{}"), &untyped());
    let html = ask(demo, post("Content-Type: */\r\nAccept: text/html\r\n", "x".repeat(500_000)));
    assert_eq!((html.0, &*html.1), (400, "text/html; charset=utf-8"));
}
