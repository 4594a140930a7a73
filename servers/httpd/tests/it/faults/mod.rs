//! Faults: clients that are slow, many or misbehaving, files that change while they are sent, a disk that fails or
//! hangs. The server must serve other clients during each fault, and release all resources after it.
//!
//! | module | fault |
//! |---|---|
//! | [`slow`] | heads that arrive byte by byte, downloads that no client reads, idle connections, timeouts |
//! | [`many`] | more connections than the limits allow, or than there are descriptors |
//! | [`misbehaving`] | resets, long pipelines, clients that never read, oversized requests |
//! | [`memory`] | large content that is not used, and connections that count as idle after it |
//! | [`open_files`] | files deleted while they are open, and many names of one file |
//! | [`files`] | files truncated, replaced, removed, lengthened or rewritten while they are sent |
//! | [`disk`] | a read error while a file is sent |
//! | [`hanging_disk`] | a file system that does not answer |

use crate::program::{self, ServerKind};
use http_testing::server_under_test::ServerUnderTest;

mod disk;
mod files;
mod hanging_disk;
mod many;
mod memory;
mod misbehaving;
mod open_files;
mod slow;

/// Starts an `httpd` of this kind that serves the shared site.
fn start(kind: ServerKind, arguments: &[&str]) -> ServerUnderTest {
    ServerUnderTest::start(kind, "/notes.txt", || program::serve(kind, arguments))
}
