//! RFC 9110 §10: what a request says about itself and expects, and what a response says about its server.

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        awaited_continue(),
        continue_not_awaited(),
        other_expectations(),
        about_the_client(),
        about_the_server(),
    ];
    Section::new("9110/10", "Message Context", cases)
}

/// Cases for §10.1.1: a client that waits for 100 gets 100 or a final response before it sends any content.
fn awaited_continue() -> Vec<Case> {
    let asking = |request: Request| request.with("Expect: 100-continue");
    let whole = |id: &str, requirement: &str, value: &str| {
        must(id, requirement)
            .on(Needs::Echo)
            .send(request("POST", "/").with(format!("Expect: {value}")).with("Content-Length: 3"))
            .await_continue()
            .send("abc")
            .expect([in_time(), interim(100), status(200), body("abc")])
    };
    vec![
        must(
            "9110/10.1.1/1",
            "A client that waits for 100 gets it or a final response before it sends a body",
        )
        .send(asking(get("/")).with("Content-Length: 3"))
        .await_continue()
        .send("abc")
        .expect([in_time(), any_of([200, 400, 411, 413, 417])]),
        must(
            "9110/10.1.1/2",
            "A client that waits for 100 gets it or a final response before it sends chunks",
        )
        .send(asking(get("/")).with("Transfer-Encoding: chunked"))
        .await_continue()
        .send("3\r\nabc\r\n0\r\n\r\n")
        .expect([in_time(), any_of([200, 400, 411, 413, 417])]),
        whole("9110/10.1.1/3", "A 100 is followed by the response to the whole request", "100-continue"),
        whole("9110/10.1.1/4", "The expectation is understood in any case of letters", "100-Continue"),
        must("9110/10.1.1/5", "Each of two requests that wait for 100 gets a 100 of its own")
            .on(Needs::Echo)
            .send(asking(request("POST", "/")).with("Content-Length: 3"))
            .await_continue()
            .send("abc")
            .await_responses(1)
            .send(asking(request("POST", "/")).with("Content-Length: 3"))
            .await_continue()
            .send("def")
            .expect([
                in_time(),
                responses([200, 200]),
                interim(100),
                nth(1, interim(100)),
                nth(1, body("def")),
            ]),
        robust("9110/10.1.1/6", "A method that is rejected is rejected before its body is sent")
            .send(asking(request("BREW", "/")).with("Content-Length: 3"))
            .await_continue()
            .send("abc")
            .expect([in_time(), any_error(), no_interim()]),
        robust("9110/10.1.1/7", "A malformed request is rejected before its body is sent")
            .send(asking(request("POST", "/").without_host()).with("Content-Length: 3"))
            .await_continue()
            .send("abc")
            .expect([in_time(), status(400), no_interim()]),
        // §10.1.1: the status can be determined by the method and the target.
        must("9110/10.1.1/9", "A method that a file does not allow is rejected, and no body asked for")
            .on(Needs::Fixtures)
            .send(asking(request("POST", "/hello.txt")).with("Content-Length: 3"))
            .await_continue()
            .send("abc")
            .expect([in_time(), any_of([405, 501]), no_interim()]),
        must("9110/10.1.1/8", "A body that is sent in spite of a rejection is not treated as a request")
            .send(asking(request("BREW", "/")).with(format!("Content-Length: {}", SMUGGLED.len())))
            .await_continue()
            .smuggled()
            .expect([any_error(), not_served()]),
    ]
}

/// Cases for requests with Expect whose client does not wait for 100.
fn continue_not_awaited() -> Vec<Case> {
    vec![
        must("9110/10.1.1/20", "An expectation without a body does not delay the response")
            .send(get("/").with("Expect: 100-continue"))
            .expect(status(200)),
        must("9110/10.1.1/21", "A body that does not wait for 100 is read all the same")
            .on(Needs::Echo)
            .send(post("/", "abc").with("Expect: 100-continue"))
            .expect([status(200), body("abc")]),
        must("9110/10.1.1/22", "In HTTP/1.0 the expectation is ignored")
            .send(get("/").http10().with("Expect: 100-continue"))
            .expect([status(200), no_interim()]),
        must("9110/10.1.1/23", "In HTTP/1.0 there is no 100, even if there is a body")
            .on(Needs::Echo)
            .send(post("/", "abc").http10().with("Expect: 100-continue"))
            .expect([status(200), body("abc"), no_interim()]),
        robust("9110/10.1.1/24", "A request without Expect gets no 100")
            .on(Needs::Echo)
            .send(request("POST", "/").with("Content-Length: 3"))
            .pause()
            .send("abc")
            .expect([status(200), no_interim()]),
    ]
}

/// Cases for §10.1.1: any other expectation may be answered with 417. The server must not wait because of it.
fn other_expectations() -> Vec<Case> {
    let values = ["x-unknown", "100-continued", "x=\"y, z\";q", "100-continue, x-unknown"];
    let case = |(value, number)| {
        robust(format!("9110/10.1.1/{number}"), format!("The expectation {value:?} is rejected or ignored"))
            .send(get("/").with(format!("Expect: {value}")))
            .expect(any_of([417, 200, 400]))
    };
    values.into_iter().zip(40..).map(case).collect()
}

/// Cases: Headers that describe the client do not change the response: a malformed value is ignored.
fn about_the_client() -> Vec<Case> {
    let lines = [
        ("10.1.2/1", "From: not a mailbox"),
        ("10.1.3/1", "Referer: about:blank"),
        ("10.1.3/2", "Referer: http://user:password@test/#fragment"),
        ("10.1.4/1", "TE: trailers"),
        ("10.1.4/2", "TE: no-such-coding;q=0.5, trailers;q=2"),
        ("10.1.5/1", "User-Agent:"),
        ("10.1.5/2", "User-Agent: (a comment (without an end"),
        ("10.1.5/3", "User-Agent: () { :;}; echo"),
        ("10.1.5/4", "User-Agent: ${jndi:ldap://127.0.0.1:1/a} %n%s"),
    ];
    let case = |(id, line)| {
        should(format!("9110/{id}"), format!("The header {line:?} is no reason to reject"))
            .send(get("/").with(line))
            .expect([status(200), stays_open()])
    };
    lines.into_iter().map(case).collect()
}

/// Cases for the Server header, which lists products.
fn about_the_server() -> Vec<Case> {
    let server = || value_or_none("Server", "products and comments", is_products);
    vec![
        must("9110/10.2.4/1", "Server lists products, with versions and comments")
            .send(get("/"))
            .expect([status(200), server()]),
        must("9110/10.2.4/2", "Server lists products in the response to a malformed request, too")
            .send(get("/").without_host())
            .expect([status(400), server()]),
        robust("9110/10.2.4/3", "Errors say no more about the server than other responses do")
            .after(get("/"))
            .send(get("/no/such/thing"))
            .expect([status(404), same_header("Server")]),
    ]
}

/// Expects that the response has no header `name`, or its value passes `fits`; `what` describes such a value.
fn value_or_none(name: &'static str, what: &str, fits: fn(&str) -> bool) -> Expectation {
    check_response(format!("no {name} but {what}"), move |response| match response.header(name) {
        Some(value) if !fits(value) => Err(format!("{name}: {value}")),
        _ => Ok(()),
    })
}

/// §10.2.4: `product *( RWS ( product / comment ) )`, where `product = token [ "/" token ]`.
fn is_products(value: &str) -> bool {
    let Some(bare) = without_comments(value) else { return false };
    let is_token = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|".contains(c))
    };
    let is_product = |word: &str| match word.split_once('/') {
        Some((name, version)) => is_token(name) && is_token(version),
        None => is_token(word),
    };
    !bare.starts_with(char::is_whitespace) && !bare.is_empty() && bare.split_whitespace().all(is_product)
}

/// The value without its comments; `None` if the parentheses do not match. Comments nest; a backslash escapes the next
/// character.
fn without_comments(value: &str) -> Option<String> {
    let (mut depth, mut bare, mut chars) = (0_u32, String::new(), value.chars());
    while let Some(c) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            '\\' if depth > 0 => drop(chars.next()?),
            c if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    (depth == 0).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_products() {
        for good in ["httpd", "httpd/0.1.0", "Apache/2.4 (Unix (any \\) kind)) mod/1 PHP/8"] {
            assert!(is_products(good), "{good}");
        }
        for bad in ["", "(comment)", " (x) y", "a/b/c", "a/", "a (b", "a b)", "a, b", "a@b"] {
            assert!(!is_products(bad), "{bad}");
        }
    }
}
