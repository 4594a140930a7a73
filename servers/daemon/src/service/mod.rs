//! Running as a service: what an operating system's administrator expects of a program that stays.
//!
//! | when | what |
//! |---|---|
//! | first of all | [`PidFile::claim`], which fails while another process serves in this one's place |
//! | listeners bound, documents and logs opened | [`privileges::drop_to`], then [`confinement::confine`] |
//! | serving, re-reading, stopping | [`notify::tell`] |
//! | in the end | the [`PidFile`] is dropped, and the file with it |
//!
//! Privileges and confinement belong to threads, and are inherited by those that a thread starts: whoever gives
//! something up must still be alone.

pub mod confinement;
pub mod notify;
mod pid_file;
pub mod privileges;
#[cfg_attr(not(feature = "confine"), path = "no_ruleset.rs")]
mod ruleset;

pub use pid_file::PidFile;

use std::{fs, io};

/// Makes sure that no second thread would keep what this one gives up.
fn only_thread() -> io::Result<()> {
    match fs::read_dir("/proc/self/task")?.count() {
        1 => Ok(()),
        threads => {
            Err(io::Error::other(format!("{threads} threads run already, where there may be but one")))
        }
    }
}
