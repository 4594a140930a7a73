//! Tests of the JSON that represents a body, and of what is said about a body that cannot be represented.

use super::*;
use http_engine::{Body, CancellationToken};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const MULTIPART: &str = "multipart/form-data; boundary=x";

/// Returns the text of a response.
fn text(response: &Response) -> String {
    match response.body() {
        Body::Bytes(bytes) => String::from_utf8(bytes.clone()).expect("JSON"),
        body => panic!("{body:?}"),
    }
}

/// Echoes the body. Expects this JSON without the newline at its end, or this error: its status, the header that it
/// names if there is one, and its detail.
fn check(media_type: &str, body: impl AsRef<[u8]>, expected: Result<&str, &str>) {
    let body = body.as_ref();
    let echoed = respond(body, Some(media_type.as_bytes()));
    let actual = match &echoed {
        Ok(response) => Ok(text(response)),
        Err(problem) => {
            let json: Value = serde_json::from_str(&text(&problem.response(Format::Json))).expect("JSON");
            let field = json["field"].as_str().map(|field| format!("{field}: ")).unwrap_or_default();
            Err(format!("{} {field}{}", json["status"], json["detail"].as_str().unwrap_or_default()))
        }
    };
    let expected = expected.map(|json| format!("{json}\n")).map_err(str::to_owned);
    assert_eq!(actual, expected, "{media_type}: {}", body[..body.len().min(200)].escape_ascii());
}

/// Ends each line in CRLF.
fn lines(lines: &str) -> String {
    lines.replace('\n', "\r\n")
}

#[test]
fn json_is_returned_character_for_character() {
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
        check(JSON, body, Ok(body));
    }
    for media_type in ["APPLICATION/Json; charset=utf-8", "application/problem+JSON", "image/a+b+json"] {
        check(media_type, " \t\r\n[1]\n ", Ok("[1]"));
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
        check(JSON, body, Err(&format!("400 {detail}")));
    }
    check(JSON, b"[\n \"\xff\"]", Err("400 not UTF-8 at line 2 column 3"));
}

#[test]
fn urlencoded_form_becomes_an_object() {
    for (body, expected) in [
        ("b=1&a=S%C3%A3o+Paulo", "{\"b\":\"1\",\"a\":\"S\u{e3}o Paulo\"}"),
        ("a=1&b=2&a=3&a=", "{\"a\":[\"1\",\"3\",\"\"],\"b\":\"2\"}"),
        ("a&=%22&%zz=%", "{\"a\":\"\",\"\":\"\\\"\",\"%zz\":\"%\"}"),
        ("&", "{}"),
    ] {
        check(FORM, body, Ok(expected));
    }
    check(FORM, "a&".repeat(1024), Ok(&format!("{{\"a\":[{}\"\"]}}", "\"\",".repeat(1023))));
    check(FORM, "a&".repeat(1025), Err("400 the form has more than 1024 values"));
    check(FORM, "a&".repeat(500_000), Err("400 the form has more than 1024 values"));
}

#[test]
fn plain_text_becomes_a_string() {
    check("text/plain", "a \"b\"\\\r\n\0\u{e9}", Ok("\"a \\\"b\\\"\\\\\\r\\n\\u0000\u{e9}\""));
    check("text/plain; charset=UTF-8", "\u{20ac}", Ok("\"\u{20ac}\""));
    check("text/plain;format=flowed;charset=\"us-ascii\"", "a", Ok("\"a\""));
    check("text/plain", b"a\nb\xc3", Err("400 not UTF-8 at line 2 column 2"));
    for charset in ["iso-8859-1", "utf-16", "\"\"", "utf-80"] {
        let detail = "415 Content-Type: the charset must be utf-8 or us-ascii";
        check(&format!("text/plain; charset={charset}"), "a", Err(detail));
    }
}

#[test]
fn multipart_form_lists_fields_and_files() {
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
    check(MULTIPART, lines(form), Ok(&expected.to_string()));
    check("multipart/form-data; boundary=\"x y\"", "--x y--\r\n", Ok("{\"fields\":[],\"files\":[]}"));
    let field = "--x\nContent-Disposition: form-data; name=a\n\n1\n";
    check(MULTIPART, lines(field), Err("400 malformed form: the form has no end"));
    check(
        MULTIPART,
        lines(&(field.repeat(1025) + "--x--\n")),
        Err("400 malformed form: the form has too many parts"),
    );
    let latin = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\na\xe9\r\n--x--\r\n";
    check(MULTIPART, latin, Err("400 not UTF-8 at line 1 column 2"));
    let detail = "400 Content-Type: malformed form: the media type has no boundary, or a malformed one";
    check("multipart/form-data", "--x--\r\n", Err(detail));
}

#[test]
fn other_types_are_returned_in_base64() {
    for (media_type, body, base64) in [
        ("image/png; a=b", &b"\0\xff~"[..], "AP9+"),
        ("application/jsonl", b"{}", "e30="),
        ("text/html", b"a", "YQ=="),
    ] {
        let expected = json!({ "type": media_type, "length": body.len(), "base64": base64 });
        check(media_type, body, Ok(&expected.to_string()));
    }
    let untyped = respond(b"abc", None).expect("JSON");
    assert_eq!(text(&untyped), "{\"type\":null,\"length\":3,\"base64\":\"YWJj\"}\n");
}

#[test]
fn a_response_is_at_most_six_times_as_long_as_the_request() {
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
        let text = text(&respond(&body, Some(media_type.as_bytes())).expect("JSON"));
        let (sent, received) = (body.len() + media_type.len(), text.len());
        assert!(received <= 6 * sent + 64, "{media_type}: {received} bytes for {sent}");
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{media_type}");
    }
}

#[test]
fn rejects_what_cannot_be_echoed() {
    check(JSON, "", Err("400 there is no body to echo"));
    for media_type in ["", "json", "text/", "text/plain; charset", "text/plain, text/plain", "*", "*/"] {
        check(media_type, "{}", Err("400 Content-Type: must be one media type"));
    }
}

#[test]
fn offloads_long_bodies_up_to_a_limit() {
    let reply_to = |len| reply(&vec![b'x'; len], Some(b"text/plain"), Format::Json);
    let is_rejected = || {
        let problem = reply_to(MAX_INLINE + 1).err();
        problem.is_some_and(|problem| problem.response(Format::Json).status() == Status::SERVICE_UNAVAILABLE)
    };
    assert!(matches!(reply_to(MAX_INLINE), Ok(Reply::Now(_))));
    let waiting: Vec<_> = (0..MAX_OFFLOADED).map(|_| reply_to(MAX_INLINE + 1)).collect();
    assert!(is_rejected());
    let run = |reply| match reply {
        Ok(Reply::Offload(job)) => job(&CancellationToken::default()),
        reply => panic!("not offloaded: {reply:?}"),
    };
    let unsent: Vec<Response> = waiting.into_iter().map(run).collect();
    assert!(is_rejected());
    drop(unsent);
    assert!(matches!(reply_to(MAX_INLINE + 1), Ok(Reply::Offload(_))));
}
