//! `async-server`: the demo application on the event-loop engine.

use demo::program;
use http_engine::Engine;
use std::process::ExitCode;

fn main() -> ExitCode {
    program::run("async-server", "async", "8002", Engine::EventLoop)
}
