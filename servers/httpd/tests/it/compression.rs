//! Compressed forms of files.

use crate::{
    client::{Client, request, wait_for},
    program,
    site::Directory,
};

/// Sends a GET request with this Accept-Encoding header. Returns the coding and the length of the response.
fn fetch(client: &mut Client, target: &str, accept: &str) -> (Option<String>, usize) {
    let response = client.fetch(request("GET", target, &format!("Accept-Encoding: {accept}\r\n")));
    assert_eq!((response.status, response.header("Vary")), (200, Some("Accept-Encoding")), "{target}");
    (response.header("Content-Encoding").map(str::to_owned), response.body.len())
}

two_kinds! {
    fn text_is_sent_compressed(kind: ServerKind) {
        let root = Directory::new();
        root.write("page.txt", "text ".repeat(20_000));
        root.write("page.txt.br", "BROTLI");
        for (arguments, gzip, br) in [
            (&[][..], Some("gzip"), Some("br")),
            (&["--compress", "off"], None, Some("br")),
            (&["--precompressed", "off"], Some("gzip"), None),
        ] {
            let server = program::serve_root(kind, root.root(), arguments);
            let mut client = Client::connect(server.address());
            // For a moment after its last change, a file is sent as it is.
            wait_for("a compressed file", || {
                let (coding, len) = fetch(&mut client, "/page.txt", "gzip");
                assert_eq!(coding.is_some(), len < 100_000);
                (coding.as_deref() == gzip).then_some(())
            });
            assert_eq!(fetch(&mut client, "/page.txt", "br").0.as_deref(), br, "{arguments:?}");
            assert_eq!(fetch(&mut client, "/page.txt", "identity"), (None, 100_000));
        }
        let server = program::serve_root(kind, root.root(), &["--compress", "off", "--precompressed", "off"]);
        let response = Client::connect(server.address()).fetch(request("GET", "/page.txt", "Accept-Encoding: br\r\n"));
        assert_eq!((response.header("Content-Encoding"), response.header("Vary")), (None, None));
    }
}
