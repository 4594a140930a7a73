//! `POST /echo`: responds with the body as JSON, and says where a malformed body is wrong.

use crate::{client::request, demo::Demo, reply::Reply, server::ServerKind};
use serde_json::{Value, json};

/// Posts body with these headers besides its length.
fn post(kind: ServerKind, headers: &str, body: &[u8]) -> Reply {
    let head = request("POST", "/echo", &format!("Content-Length: {}\r\n{headers}", body.len()));
    Demo::shared(kind).connect().fetch([head.as_bytes(), body].concat())
}

fn post_as(kind: ServerKind, media_type: &str, body: &[u8]) -> Reply {
    post(kind, &format!("Content-Type: {media_type}\r\n"), body)
}

/// `expected` is the response without the newline at its end.
fn check(kind: ServerKind, media_type: &str, body: impl AsRef<[u8]>, expected: &str) {
    let body = body.as_ref();
    let reply = post_as(kind, media_type, body);
    assert_eq!(
        (reply.status, reply.header("Content-Type"), reply.text()),
        (200, Some("application/json"), format!("{expected}\n")),
        "{media_type}: {}",
        body.escape_ascii()
    );
}

/// `expected` is the detail of the error, and the header or parameter that it names.
fn check_error(reply: &Reply, status: u16, expected: (&str, Option<&str>)) {
    let problem: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let seen = (reply.status, problem["detail"].as_str(), problem["field"].as_str());
    assert_eq!(seen, (status, Some(expected.0), expected.1));
    assert_eq!(reply.header("Content-Type"), Some("application/problem+json"));
}

fn check_malformed(kind: ServerKind, media_type: &str, body: impl AsRef<[u8]>, detail: &str) {
    check_error(&post_as(kind, media_type, body.as_ref()), 400, (detail, None));
}

/// Ends each line in CRLF.
fn form(lines: &str) -> String {
    lines.replace('\n', "\r\n")
}

fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

http_testing::both_engines! {
    fn json_is_returned_character_for_character(kind: ServerKind) {
        let check = |body: &str| check(kind, "application/json", body, body);
        check("null");
        check("\"\\u00e9\u{e9}\\ud800\"");
        check("{\"b\": 1,\n\"a\": [{}, [], true], \"b\": {\"\": 2}}");
        check("[12345678901234567890123, 1.50, -0, 1e999, 0.1000000000000000055511151231257827]");
        check(&nested(128));
        check(&format!("[\"{}\\\"{}\"]", "[".repeat(200), "{".repeat(200)));
        check(&format!("[{}1]", "[[]], ".repeat(200)));
    }

    fn recognizes_all_json_media_types(kind: ServerKind) {
        check(kind, "APPLICATION/Json; charset=utf-8", " \t\r\n[1]\n ", "[1]");
        check(kind, "application/problem+JSON", "{}", "{}");
        check(kind, "image/a+b+json", "{}", "{}");
    }

    fn reports_where_json_is_malformed(kind: ServerKind) {
        let check = |body: &str, detail: &str| check_malformed(kind, "application/json", body, detail);
        check("{\n  \"a\": x}", "malformed JSON: expected value at line 2 column 8");
        check("[1,", "malformed JSON: EOF while parsing a value at line 1 column 3");
        check("1 2", "malformed JSON: trailing characters at line 1 column 3");
        check(" ", "malformed JSON: EOF while parsing a value at line 1 column 1");
        check(&nested(129), "JSON nested deeper than 128 levels at line 1 column 129");
        let objects = format!("[\n{}1{}]", "{\"a\":".repeat(128), "}".repeat(128));
        check(&objects, "JSON nested deeper than 128 levels at line 2 column 636");
        check(&nested(500_000), "JSON nested deeper than 128 levels at line 1 column 129");
        check(&"[".repeat(1_000_000), "malformed JSON: EOF while parsing a list at line 1 column 1000000");
        check_malformed(kind, "application/json", b"[\n \"\xff\"]", "not UTF-8 at line 2 column 3");
    }

    fn urlencoded_form_becomes_an_object(kind: ServerKind) {
        let check = |body: &str, expected: &str| {
            check(kind, "application/x-www-form-urlencoded; charset=utf-8", body, expected);
        };
        check("b=1&a=S%C3%A3o+Paulo", "{\"b\":\"1\",\"a\":\"S\u{e3}o Paulo\"}");
        check("a=1&b=2&a=3&a=", "{\"a\":[\"1\",\"3\",\"\"],\"b\":\"2\"}");
        check("a&=%22&%zz=%", "{\"a\":\"\",\"\":\"\\\"\",\"%zz\":\"%\"}");
        check("&", "{}");
    }

    fn plain_text_becomes_a_string(kind: ServerKind) {
        check(kind, "text/plain", "a \"b\"\\\r\n\0\u{e9}", "\"a \\\"b\\\"\\\\\\r\\n\\u0000\u{e9}\"");
        check(kind, "text/plain; charset=UTF-8", "\u{20ac}", "\"\u{20ac}\"");
        check(kind, "text/plain;format=flowed;charset=\"us-ascii\"", "a", "\"a\"");
        check_malformed(kind, "text/plain", b"a\nb\xc3", "not UTF-8 at line 2 column 2");
        for charset in ["iso-8859-1", "utf-16", "\"\"", "utf-80"] {
            let reply = post_as(kind, &format!("text/plain; charset={charset}"), b"a");
            check_error(&reply, 415, ("the charset must be utf-8 or us-ascii", Some("Content-Type")));
        }
    }

    fn multipart_form_lists_fields_and_files(kind: ServerKind) {
        let lines = "--x\n\
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
        let reply = post_as(kind, "multipart/form-data; boundary=x", form(lines).as_bytes());
        assert_eq!((reply.status, serde_json::from_slice(&reply.body).ok()), (200, Some(expected)));
        check(kind, "multipart/form-data; boundary=\"x y\"", "--x y--\r\n", "{\"fields\":[],\"files\":[]}");
    }

    fn reports_why_a_form_is_malformed(kind: ServerKind) {
        let check = |body: String, detail: &str| {
            check_malformed(kind, "multipart/form-data; boundary=x", body, detail);
        };
        let field = "--x\nContent-Disposition: form-data; name=a\n\n1\n";
        check(form(field), "malformed form: the form has no end");
        let detail = "malformed form: a line that begins with the boundary contains more, or does not end";
        check(field.to_owned() + "--x--\n", detail);
        check("a=1".to_owned(), "malformed form: no line contains the boundary");
        let detail = "malformed form: a part has no valid Content-Disposition with a name";
        check(form(&(field.replace("name", "n") + "--x--\n")), detail);

        let latin = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\na\xe9\r\n--x--\r\n";
        check_malformed(kind, "multipart/form-data; boundary=x", latin, "not UTF-8 at line 1 column 2");
        let unbounded = post_as(kind, "multipart/form-data", b"--x--\r\n");
        let detail = "malformed form: the media type has no boundary, or a malformed one";
        check_error(&unbounded, 400, (detail, Some("Content-Type")));
    }

    fn other_types_are_returned_in_base64(kind: ServerKind) {
        let check = |media_type: &str, body: &[u8], base64: &str| {
            let len = body.len();
            let expected = format!("{{\"type\":\"{media_type}\",\"length\":{len},\"base64\":\"{base64}\"}}");
            check(kind, media_type, body, &expected);
        };
        check("image/png; a=b", b"\0\xff~", "AP9+");
        check("application/jsonl", b"{}", "e30=");
        check("text/html", b"a", "YQ==");
        let untyped = post(kind, "", b"abc");
        let expected = "{\"type\":null,\"length\":3,\"base64\":\"YWJj\"}\n";
        assert_eq!((untyped.status, untyped.text().as_str()), (200, expected));
    }

    fn a_response_is_at_most_six_times_as_long_as_the_request(kind: ServerKind) {
        const MIB: usize = 1024 * 1024;
        let form_type = "application/x-www-form-urlencoded";
        let part = |content: &str| format!("--x\r\nContent-Disposition: form-data; name=a\r\n\r\n{content}\r\n");
        let parts = |content: &str, count| (part(content).repeat(count) + "--x--").into_bytes();
        let escaped = |len| "\u{1}".repeat(len);
        for (media_type, body) in [
            (form_type, "\u{1}&".repeat(1024).into_bytes()),
            (form_type, "=&".repeat(1024).into_bytes()),
            (form_type, ["a=".as_bytes(), &vec![1; MIB - 2]].concat()),
            (form_type, ["a=".as_bytes(), &vec![0xff; MIB - 2]].concat()),
            (form_type, (escaped(1023) + "&").repeat(1024).into_bytes()),
            ("multipart/form-data; boundary=x", parts(&escaped(900), 1024)),
            ("multipart/form-data; boundary=x", parts("", 1024)),
            ("text/plain", vec![1; MIB]),
            ("image/png; a=\"\\\"\\\"\"", vec![0; MIB]),
        ] {
            let (reply, sent) = (post_as(kind, media_type, &body), body.len() + media_type.len());
            assert_eq!(reply.status, 200, "{media_type}");
            assert!(reply.body.len() <= 6 * sent + 64, "{media_type}: {} bytes for {sent}", reply.body.len());
            assert!(serde_json::from_slice::<Value>(&reply.body).is_ok(), "{media_type}");
        }
    }

    fn rejects_a_form_of_too_many_values(kind: ServerKind) {
        let form_type = "application/x-www-form-urlencoded";
        check(kind, form_type, "a&".repeat(1024), &format!("{{\"a\":[{}\"\"]}}", "\"\",".repeat(1023)));
        check_malformed(kind, form_type, "a&".repeat(1025), "the form has more than 1024 values");
        check_malformed(kind, form_type, "a&".repeat(500_000), "the form has more than 1024 values");
        let part = "--x\nContent-Disposition: form-data; name=a\n\n\n";
        let body = form(&(part.repeat(1025) + "--x--\n"));
        check_malformed(kind, "multipart/form-data; boundary=x", body, "malformed form: the form has too many parts");
    }

    fn long_bodies_are_echoed_like_short_ones(kind: ServerKind) {
        let long = "x".repeat(500_000);
        check(kind, "text/plain", &long, &format!("\"{long}\""));
        check(kind, "application/json", format!(" \"{long}\" "), &format!("\"{long}\""));
        check(kind, "application/x-www-form-urlencoded", format!("a=1&{long}=&a=2"), &format!("{{\"a\":[\"1\",\"2\"],\"{long}\":\"\"}}"));
        check_malformed(kind, "application/json", format!("\"{long}"), "malformed JSON: EOF while parsing a string at line 1 column 500001");
        let html = post(kind, "Content-Type: */\r\nAccept: text/html\r\n", long.as_bytes());
        assert_eq!((html.status, html.header("Content-Type")), (400, Some("text/html; charset=utf-8")));
    }

    fn accepts_a_chunked_body(kind: ServerKind) {
        let headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
        let head = request("POST", "/echo", headers);
        let reply = Demo::shared(kind).connect().fetch(head.clone() + "2\r\n[1\r\n3\r\n, 2\r\n1\r\n]\r\n0\r\n\r\n");
        assert_eq!((reply.status, reply.text().as_str()), (200, "[1, 2]\n"));
        let empty = Demo::shared(kind).connect().fetch(head + "0\r\n\r\n");
        check_error(&empty, 400, ("there is no body to echo", None));
    }

    fn rejects_what_cannot_be_echoed(kind: ServerKind) {
        let none = ("there is no body to echo", None);
        check_error(&post(kind, "", b""), 400, none);
        check_error(&post_as(kind, "application/json", b""), 400, none);
        check_error(&Demo::shared(kind).connect().fetch(request("POST", "/echo", "")), 400, none);

        let untyped = ("must be one media type", Some("Content-Type"));
        for media_type in ["", "json", "text/", "text/plain; charset", "text/plain, text/plain", "*"] {
            check_error(&post_as(kind, media_type, b"{}"), 400, untyped);
        }
        let twice = "Content-Type: text/plain\r\ncontent-type: text/plain\r\n";
        check_error(&post(kind, twice, b"{}"), 400, untyped);

        let too_large = request("POST", "/echo", "Content-Type: application/json\r\nContent-Length: 1048577\r\n");
        assert_eq!(Demo::shared(kind).connect().fetch(too_large).status, 413);
        let other = Demo::shared(kind).connect().fetch(request("GET", "/echo", ""));
        assert_eq!((other.status, other.header("Allow")), (405, Some("POST, OPTIONS")));
    }
}
