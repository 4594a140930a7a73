//! Mounts file systems that never answer, for `load-test soak`.
//!
//! ```text
//! dead_mount DIRECTORY...
//! ```
//!
//! Prints a line when all are mounted, and unmounts them when its standard input ends. Each has one file, `file`, and
//! every attempt to find it hangs. Needs the permission to mount FUSE file systems.

use http_testing::slow_fs::{Op, SlowFs};
use std::{env, io, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let mut mounts = Vec::new();
    for directory in env::args_os().skip(1) {
        let Some(mount) = SlowFs::mount_at(Path::new(&directory)) else { return ExitCode::FAILURE };
        mount.add("file", *b"never sent");
        mounts.push((mount.hang(Op::Lookup, &["file"]), mount));
    }
    println!("mounted");
    // The end of the input, or an error: both end the program.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    ExitCode::SUCCESS
}
