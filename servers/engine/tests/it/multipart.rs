//! A form whose parts a job reads while they arrive.

use crate::{
    app::{TestApp, check_open},
    client::request,
    server::settings,
};
use http_engine::{
    Admit, Handler, IntoReply, Reply, Request,
    multipart::{ReadError, Reader},
};
use std::{io, iter};

/// Replies with the names and sizes of the parts of a form. Passes all other requests on.
struct Upload(Box<dyn Handler>);

impl Handler for Upload {
    fn admit(&self, head: &Request<'_>) -> Admit {
        if head.path() == "/upload" { Admit::AtHead } else { self.0.admit(head) }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        if request.path() != "/upload" {
            return self.0.handle(request);
        }
        let boundary = match request.multipart_boundary() {
            Ok(boundary) => boundary,
            Err(error) => return error.into_reply(),
        };
        Reply::read(move |content| -> Result<String, ReadError> {
            let (mut form, mut sizes) = (Reader::new(content, boundary), Vec::new());
            while let Some(part) = form.next_part()? {
                let name = part.name().to_owned();
                let size = io::copy(&mut part.with_limit(1_000_000), &mut io::sink())?;
                sizes.push(format!("{name} {size}"));
            }
            Ok(sizes.join(", "))
        })
    }
}

const FORM: &str = "Content-Type: multipart/form-data; boundary=b\r\n";

/// Returns a form with a field of one byte, and a file with lines that almost contain the boundary.
fn form(file_len: usize) -> String {
    let part = |name: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{content}\r\n")
    };
    let file: String = iter::repeat("\r\n--a").flat_map(str::chars).take(file_len).collect();
    part("field", "x") + &part("file", &file) + "--b--\r\n"
}

http_testing::both_engines! {
    fn reads_a_form_while_it_arrives(engine: Engine) {
        let app = TestApp::start_with(engine, settings(), |app| Upload(Box::new(app)));
        let mut client = app.connect();
        let check = |headers: &str, content: &str, expected: (u16, &str)| {
            let length = format!("{headers}Content-Length: {}\r\n", content.len());
            let response = app.connect().fetch(request("POST", "/upload", &length) + content);
            let text = if response.status == 200 { response.text() } else { String::new() };
            assert_eq!((response.status, text.as_str()), expected);
        };
        check(FORM, &form(1_000_000), (200, "field 1, file 1000000"));
        check(FORM, &form(1_000_001), (413, ""));
        check(FORM, "--b--", (200, ""));
        check(FORM, form(100).trim_end_matches("--\r\n"), (400, ""));
        check("Content-Type: text/plain\r\n", &form(1), (415, ""));

        // In chunks, one byte of the form in each of the last ones. Then the connection serves another request.
        let form = form(100_000);
        let (first, last) = form.split_at(form.len() - 100);
        client.send(request("POST", "/upload", &format!("{FORM}Transfer-Encoding: chunked\r\n")));
        client.send(format!("{:x}\r\n{first}\r\n", first.len()));
        for byte in last.chars() {
            client.send(format!("1\r\n{byte}\r\n"));
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.response().text(), "field 1, file 100000");
        check_open(&mut client, "/a");
    }
}
