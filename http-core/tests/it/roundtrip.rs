//! What was written is what is read: parse ∘ write is the identity, for requests and for answers.

use crate::{
    app::{Answer, Pieces},
    drive::{Drive, Seen},
    split::cases,
};
use http_core::{Body, Config, HeadIndex, Headers, Request, Response, Status, Version};
use proptest::{collection::vec, prelude::*, sample::select};
use std::time::Instant;

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_request_is_read_as_it_was_written(
        method in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}".prop_filter("its target has another form", |m| m != "CONNECT"),
        target in "/[!-\"$-~]{0,200}",
        minor in 0..=9u8,
        fields in vec((field_name(), field_value()), 0..20),
        blanks in ("[ \t]{0,3}", "[ \t]{0,3}"),
        body in vec(any::<u8>(), 0..300),
        chunk in prop::option::of(1usize..100),
    ) {
        let expected = Seen {
            method: method.clone(),
            target: target.clone(),
            version: if minor == 0 { Version::Http10 } else { Version::Http11 },
            host: Some("host:8080".to_owned()),
            fields: Vec::new(),
            body: body.clone(),
        };
        // RFC 9112 §6.1: HTTP/1.0 knows no chunks.
        let chunk = chunk.filter(|_| minor > 0);
        let framing = match chunk {
            Some(_) => ("Transfer-Encoding".to_owned(), b"chunked".to_vec()),
            None => ("Content-Length".to_owned(), body.len().to_string().into_bytes()),
        };
        let fields = [fields, vec![("Host".to_owned(), b"host:8080".to_vec()), framing]].concat();
        let mut head = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
        for (name, value) in &fields {
            let line = [name.as_bytes(), b":", blanks.0.as_bytes(), value, blanks.1.as_bytes(), b"\r\n"];
            head.extend(line.concat());
        }
        head.extend(b"\r\n");
        let coded = match chunk {
            None => body.clone(),
            Some(size) => {
                let chunks = body.chunks(size);
                let coded = chunks.map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat());
                [coded.collect::<Vec<_>>().concat(), b"0\r\n\r\n".to_vec()].concat()
            }
        };
        let expected = Seen { fields, ..expected };

        let mut drive = Drive::new(Config::default(), |_| Answer::Now(Response::new(Status::OK)));
        drive.send(&[&head[..], &coded].concat());
        drive.end();
        drive.run();
        prop_assert_eq!(&drive.seen, std::slice::from_ref(&expected));

        let mut index = HeadIndex::default();
        let whole = [head, body].concat();
        let request = Request::parse(&whole, &mut index, Instant::now());
        prop_assert_eq!(request.map(|request| Seen::of(&request)), Ok(expected));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(
        status in select(&[200u16, 201, 206, 301, 404, 405, 416, 500, 503][..]),
        ready in vec((field_name(), field_value()), 0..4),
        fields in vec((field_name(), field_value()), 0..12),
        content in vec(any::<u8>(), 0..9_000),
        kind in 0..5u8,
        old in any::<bool>(),
        writes in vec(1usize..9_000, 1..4),
    ) {
        let (mut shared, mut own) = (Headers::default(), Headers::default());
        ready.iter().for_each(|(name, value)| shared.append(name, value).unwrap());
        fields.iter().for_each(|(name, value)| own.append(name, value).unwrap());
        let shared = shared.into_shared();
        let (given, said) = (content.clone(), fields.clone());
        let mut drive = Drive::new(Config::default(), move |_| {
            let response = Response::new(Status::from_code(status).unwrap()).with_shared_headers(shared.clone());
            let mut response = response.with_body(body(kind, given.clone()));
            for (name, value) in &said {
                response = response.try_with_header(name, value).unwrap();
            }
            Answer::Now(response)
        })
        .writing(&writes);
        drive.send(format!("GET / HTTP/1.{}\r\nHost: x\r\n\r\n", u8::from(!old)).as_bytes());
        drive.end();
        drive.run();

        let replies = drive.replies();
        prop_assert_eq!(replies.len(), 1);
        prop_assert_eq!(replies[0].status, status);
        prop_assert_eq!(&replies[0].content, &if kind == 4 { b"onetwo".to_vec() } else { content });
        // Those that the library adds are checked by the reader, but for Allow, which every 405 owes.
        let added = ["Server", "Date", "Content-Length", "Transfer-Encoding", "Connection", "Allow"];
        let read = replies[0].fields.iter().filter(|(name, _)| !added.contains(&name.as_str()));
        let expected = ready.iter().chain(&fields);
        prop_assert!(read.eq(expected), "{:?}", replies[0].fields);
    }
}

/// Any name but those that would change the framing, or that answers may not set.
pub fn field_name() -> impl Strategy<Value = String> {
    "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}".prop_map(|name| format!("x{name}"))
}

/// Any value without white space at its ends, which is no part of it (RFC 9110 §5.5).
pub fn field_value() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![5 => b' '..=b'~', 1 => 0x80..=0xffu8, 1 => Just(b'\t')];
    vec(octet, 0..60).prop_map(|value| {
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let start = value.iter().position(|byte| !blank(byte)).unwrap_or(0);
        let end = value.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
        value[start..end].to_vec()
    })
}

/// The content in one of the shapes that a body can have; the stream has its own.
pub fn body(kind: u8, content: Vec<u8>) -> Body {
    let middle = content.len() / 2;
    match kind {
        0 => Body::Bytes(content),
        1 => {
            let all = 3..content.len() + 3;
            Body::Shared([b"xxx", &content[..], b"yyy"].concat().into(), all)
        }
        2 => Body::Parts(vec![
            Body::Bytes(content[..middle].to_vec()),
            Body::Bytes(content[middle..].to_vec()),
        ]),
        3 => Body::Parts(vec![Body::Empty, Body::Parts(vec![Body::Bytes(content)]), Body::Static(b"")]),
        _ => Body::Stream(Box::new(Pieces(vec![b"two", b"one"]))),
    }
}
