//! `sync-server`: the demo application on the blocking engine.

use demo::program;
use http_engine::Engine;
use std::process::ExitCode;

fn main() -> ExitCode {
    program::run("sync-server", "sync", "8001", Engine::Blocking)
}
