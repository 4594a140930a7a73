//! The conformance suite, held against every shape of the servers: nothing that the RFCs demand or recommend may fail.

use crate::server::{FileServer, Kind, Threads, settings};
use http_engine::Engine;
use http_test_suite::{Options, Target, fixtures, run};

/// The example, so that what is judged here is what others are told to judge.
#[path = "../../../engine/examples/echo.rs"]
#[allow(dead_code, reason = "its main is not called here")]
mod echo;

http_testing::both_engines! {
    fn every_must_and_every_should_holds(kind: Kind) {
        let root = tempfile::tempdir().unwrap();
        fixtures::write(root.path()).unwrap();
        let files = FileServer::start(kind, root.path());
        let engine = match kind {
            Kind::EventLoop | Kind::EventLoopPrefork => Engine::EventLoop,
            Kind::Blocking | Kind::BlockingPrefork => Engine::Blocking,
        };
        let echo = Threads::start(engine, settings(), echo::echo);
        let target = Target::new(files.address).unwrap().with_echo(echo.address).unwrap();
        let report = run(&target, &Options { jobs: 16, ..Options::default() }).unwrap();
        assert!(report.passes(true), "{report}");
    }
}
