//! `sync-server`: the demo application on the blocking engine.

use servers::{cli, launch::Engine};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::demo("sync-server", "sync", "8001", Engine::Blocking)
}
