//! `async-server`: the demo application on the event loop.

use servers::{cli, launch::Engine};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::demo("async-server", "async", "8002", Engine::EventLoop)
}
