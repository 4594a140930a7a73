//! RFC 9110 §11: credentials for resources that require none. They open nothing, cause no error, and no response
//! repeats them.

use crate::fixtures::HELLO;

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    Section::new("9110/11", "Authentication", [unneeded_credentials(), credentials_stay_secret()])
        .on(Needs::Fixtures)
}

/// Cases: A public file stays public for a request that carries credentials, even malformed ones.
fn unneeded_credentials() -> Vec<Case> {
    let lines = [
        ("11.6.2/1", "Authorization: Basic dXNlcjpzM2NyZXQ="),
        ("11.6.2/2", "Authorization: Basic @@not-base64@@"),
        ("11.6.2/3", "Authorization: Bearer"),
        ("11.6.2/4", "Authorization: Digest username=\"user, realm=,=,"),
        ("11.6.2/5", "Authorization: NoSuchScheme a=b"),
        ("11.6.2/6", "Authorization:"),
        ("11.7.2/1", "Proxy-Authorization: Basic dXNlcjpzM2NyZXQ="),
    ];
    let case = |(id, line)| {
        robust(format!("9110/{id}"), format!("A public file is served in spite of {line:?}"))
            .send(get("/hello.txt").with(line))
            .expect([status(200), body(HELLO), stays_open()])
    };
    lines.into_iter().map(case).collect()
}

/// Cases for credentials, which no response may repeat.
fn credentials_stay_secret() -> Vec<Case> {
    let secret = || get("/no/such/thing").with("Authorization: Bearer s3cret");
    let repeats_nothing = || {
        response_that("a response without the secret", |response| {
            let in_content = response.body.windows(6).any(|six| six == b"s3cret");
            !in_content && !response.headers.iter().any(|(_, value)| value.contains("s3cret"))
        })
    };
    vec![
        robust("9110/11.4/1", "An error does not repeat the credentials of the request")
            .send(secret())
            .expect([status(404), repeats_nothing()]),
        robust("9110/11.4/2", "The rejection of a malformed request does not repeat its credentials")
            .send(secret().without_host())
            .expect([status(400), repeats_nothing()]),
        robust("9110/11.7.1/1", "An origin server does not ask for proxy credentials")
            .send(get("http://test/hello.txt").with("Proxy-Authorization: Basic @"))
            .expect([status(200), no_header("Proxy-Authenticate")]),
    ]
}
