//! A read error while a file is sent: the server closes that connection, and no other.
//!
//! Instead of a faulty disk, strace injects the error: it makes one `sendfile` of each thread fail with EIO.

use crate::{
    client::{Client, get},
    program::{self, HTTPD, Program},
    site::Site,
};
use http_testing::server_under_test::ServerUnderTest;
use std::process::{Command, Stdio};

/// The option of strace that makes the third `sendfile` of each thread fail with EIO. The third call is in the middle
/// of the first large file that the thread sends.
const INJECTION: &str = "inject=sendfile:error=EIO:when=3";

/// How many times `large.bin` is requested: so often that several threads send it.
const DOWNLOADS: usize = 12;

/// Returns the command strace with options that print nothing. With `-D` the traced program is our child, not strace's,
/// so that signals and waiting work as usual.
fn strace() -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
    command
}

two_kinds! {
    fn a_read_error_closes_only_its_connection(kind: ServerKind) {
        let run = strace().arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !run.is_ok_and(|status| status.success()) {
            return eprintln!("skipped: strace is not installed, or may not trace processes");
        }
        let site = Site::shared();
        let httpd = program::command(HTTPD, kind, site.root(), &[]);
        let mut command = strace();
        command.args(["-e", "trace=sendfile", "-e", INJECTION, HTTPD]).args(httpd.get_args());
        let server = ServerUnderTest::start(kind, "/notes.txt", || Program::start(&mut command));
        let mut kept = server.connect();
        let mut failed = 0;
        for _ in 0..DOWNLOADS {
            let requests = get("/large.bin") + &get("/notes.txt");
            let mut client = Client::connect_and_send(server.address(), requests);
            match client.try_response() {
                Ok(response) => {
                    assert!(response.body == site.large, "other bytes than the file's");
                    assert_eq!(client.response().text(), "notes\n");
                }
                Err(error) => {
                    assert!(error.contains("inside the body"), "{error}");
                    failed += 1;
                }
            }
            assert_eq!(kept.fetch(get("/notes.txt")).text(), "notes\n");
        }
        assert!(failed > 0, "none of {DOWNLOADS} downloads failed");
        kept.finish();
        server.check_recovers();
    }
}
