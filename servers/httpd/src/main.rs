//! `httpd`: serves the files of a directory over HTTP/1.1.
//!
//! | file | what it does |
//! |---|---|
//! | `access` | which requests reach the files |
//! | `options` | the options of the command line that the other servers do not have |
//! | `site` | what the options mean: the handler of each worker |

mod access;
mod options;
mod site;

use options::Arguments;
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    let arguments: Arguments = http_daemon::options::parse("httpd", "8080");
    let (site, engine, common) = arguments.into_site();
    common.run("httpd", Arc::new(site), engine)
}
