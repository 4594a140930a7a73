//! Reading a file fails in mid-transfer: that connection ends, and no other.
//!
//! A disk that fails cannot be had without rights over the machine, so the system call fails in its place: strace makes
//! one `sendfile` of each thread come back with EIO.

use crate::{
    client::{Client, get},
    program::Program,
    reply::Asked,
    server::Kind,
    site::Site,
    subject::Subject,
};
use std::process::{Command, Stdio};

/// The call of each thread that fails: in the middle of the first large file that it sends.
const FAILING: &str = "inject=sendfile:error=EIO:when=3";

const DOWNLOADS: usize = 12;

/// The program under strace, of which it is no child: signals and waiting are as ever.
fn start(kind: Kind, site: &Site) -> Program {
    let mut command = traced();
    command.args(["-e", "trace=sendfile", "-e", FAILING, env!("CARGO_BIN_EXE_httpd")]);
    command.args(["-b", "127.0.0.1", "-p", "0", "-w", "2", "-r"]).arg(site.root()).args(kind.arguments());
    Program::start(&mut command)
}

fn traced() -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
    command
}

fn may_trace() -> bool {
    let run = traced().arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

http_testing::both_engines! {
    fn an_error_in_mid_file_ends_that_connection(kind: Kind) {
        if !may_trace() {
            return eprintln!("skipped: strace is not here, or may not trace");
        }
        let site = Site::shared();
        let subject = Subject::of(kind, "/notes.txt", || start(kind, &site));
        let mut kept = subject.connect();
        assert_eq!(kept.ask(get("/notes.txt")).text(), "notes\n");
        let mut failed = 0;
        for _ in 0..DOWNLOADS {
            let mut client = Client::connect(subject.address());
            client.send(get("/large.bin") + &get("/notes.txt"));
            match client.try_reply(Asked::Http11) {
                Ok(reply) => {
                    assert!(reply.content == site.large, "other bytes than the file's");
                    assert_eq!(client.reply(Asked::Http11).text(), "notes\n");
                }
                Err(fault) => {
                    assert!(fault.starts_with("content cut short"), "{fault}");
                    failed += 1;
                }
            }
            assert_eq!(kept.ask(get("/notes.txt")).text(), "notes\n");
        }
        eprintln!("{kind:?}: {failed} of {DOWNLOADS} downloads failed");
        assert!(failed > 0, "no download failed");
        kept.finish();
        subject.recovers();
    }
}
