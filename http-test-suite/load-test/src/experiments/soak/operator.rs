//! The operator of the server during a soak: publishes versions of the site, one after another, and makes the server
//! reload.
//!
//! The site is a symbolic link to a directory, and a version is another directory for it. All versions have the same
//! documents, so that no client may notice a change; only one file names its version.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use http_test_suite::exchange::{Ending, Step, Timeouts, run_script};
use http_test_suite::request::get;
use serde::Serialize;

use super::documents::{self, Document};
use crate::subject::process::{Server, first_line};

/// The time from one version to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a server may serve the earlier version after it was told to reload.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(3);

/// The interval between two requests for the version.
const POLL: Duration = Duration::from_millis(50);

/// The versions, which are published in turn.
const VERSIONS: [&str; 2] = ["first", "second"];

/// The name of the file that names the version.
const VERSION_FILE: &str = "version.txt";

/// The directory in the site on which a file system that never answers may be mounted.
pub(super) const DEAD_DIR: &str = "dead";

/// The site: the directories of its versions, and the link to the published version.
#[derive(Debug)]
pub(super) struct Site {
    dir: PathBuf,
    pub(super) documents: Vec<Document>,
}

impl Site {
    /// Writes all versions into `dir`, and publishes the first.
    pub(super) fn create(dir: &Path) -> io::Result<Site> {
        let [first, second] = VERSIONS.map(|version| dir.join(version));
        let site = Site { dir: dir.to_owned(), documents: documents::write(&first)? };
        fs::create_dir(&second)?;
        for document in &site.documents {
            let name = document.target.trim_start_matches('/');
            // The same file, so that it keeps its entity tag.
            fs::hard_link(first.join(name), second.join(name))?;
        }
        for version in VERSIONS {
            fs::write(dir.join(version).join(VERSION_FILE), version)?;
        }
        site.publish(VERSIONS[0])?;
        Ok(site)
    }

    /// The directory to serve: a link to the published version.
    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("site")
    }

    /// The directory in each version on which a file system that never answers is mounted, if one is.
    fn mount_points(&self) -> [PathBuf; 2] {
        VERSIONS.map(|version| self.dir.join(version).join(DEAD_DIR))
    }

    /// Starts `program`, which mounts file systems that never answer on the mount points given as its arguments, prints
    /// a line, and unmounts them when its input ends.
    pub(super) fn mount(&self, program: &Path) -> io::Result<Mount> {
        let mount_points = self.mount_points();
        mount_points.iter().try_for_each(fs::create_dir_all)?;
        let mut command = Command::new(program);
        command.args(mount_points).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        match child.stdout.take().map(first_line) {
            Some(line) if !line.is_empty() => Ok(Mount(child)),
            _ => Err(io::Error::other(format!("{} mounts nothing", program.display()))),
        }
    }

    /// Replaces the published version in one step.
    fn publish(&self, version: &str) -> io::Result<()> {
        let link = self.dir.join("next");
        symlink(version, &link)?;
        fs::rename(link, self.root())
    }
}

/// File systems that never answer. They are unmounted when this is dropped.
#[derive(Debug)]
pub(super) struct Mount(Child);

impl Drop for Mount {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // An error means that it has ended already.
        let _ = self.0.wait();
    }
}

/// What the operator has done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Operations {
    /// How many versions were published and then served.
    pub published: u64,
    /// The longest time from a reload until the new version was served, in seconds.
    pub longest_seconds: f64,
    /// Why the operator has stopped before the clients, if it has.
    pub fault: Option<String>,
}

/// Publishes a version at each interval, and makes the server reload, until `clients_left` is disconnected or the
/// server fails to serve a version. `entry` is the address of the server, or of a tunnel to it.
pub(super) fn operate(
    server: &Server,
    entry: SocketAddr,
    site: &Site,
    clients_left: &Receiver<()>,
) -> Operations {
    let mut operations = Operations::default();
    for version in VERSIONS.iter().cycle().skip(1) {
        if clients_left.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Disconnected) {
            break;
        }
        match publish(server, entry, site, version) {
            Ok(time) => {
                operations.published += 1;
                operations.longest_seconds = operations.longest_seconds.max(time.as_secs_f64());
            }
            Err(error) => {
                operations.fault = Some(error.to_string());
                break;
            }
        }
    }
    operations
}

/// Publishes a version, makes the server reload, and waits until it serves the version. Returns how long that took.
fn publish(server: &Server, entry: SocketAddr, site: &Site, version: &str) -> io::Result<Duration> {
    site.publish(version)?;
    server.reload()?;
    let start = Instant::now();
    while served_version(entry)? != version.as_bytes() {
        if start.elapsed() > PUBLISHED_WITHIN {
            let seconds = PUBLISHED_WITHIN.as_secs();
            let message = format!("the earlier version is served {seconds} s after a reload");
            return Err(io::Error::other(message));
        }
        thread::sleep(POLL);
    }
    Ok(start.elapsed())
}

/// Returns the content of the file that names the version, as the server sends it; nothing without a response.
fn served_version(entry: SocketAddr) -> io::Result<Vec<u8>> {
    let timeouts = Timeouts { response: PUBLISHED_WITHIN, quiet: Duration::ZERO };
    let request = get(&format!("/{VERSION_FILE}")).closing();
    let script = [Step::Send(request.into())];
    let mut exchange = run_script(entry, timeouts, &script, 1, Ending::Close)?;
    Ok(exchange.responses.pop().map(|response| response.body).unwrap_or_default())
}
