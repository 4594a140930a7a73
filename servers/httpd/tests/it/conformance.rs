//! Runs our http-test-suite against each kind of server: no case may fail or be skipped.

use crate::program;
use http_test_suite::{
    Options, Target, fixtures,
    report::{Outcome, Verdict},
    run,
};
use http_testing::server::{InProcessServer, settings};

/// The example that the documentation of the suite names, so that it is tested as well.
#[path = "../../../engine/examples/echo.rs"]
#[allow(dead_code, reason = "its main is not called here")]
mod echo;

http_testing::both_engines! {
    fn every_conformance_case_passes(kind: ServerKind) {
        let root = tempfile::tempdir().unwrap();
        fixtures::write(root.path()).unwrap();
        let files = program::serve_root(kind, root.path(), &[]);
        let echo = InProcessServer::start(kind.engine(), settings(), echo::Echo);
        let target = Target { server: files.address(), echo: Some(echo.address) };
        let report = run(&target, &Options { jobs: 16, ..Options::default() }).unwrap();
        let passed = |outcome: &Outcome| outcome.verdict == Verdict::Passed;
        assert!(report.outcomes.iter().all(passed), "{report}");
    }
}
