//! Which directories and files the user of the server may not access, although root has opened them at the start.

use super::settings::Application;
use rustix::{
    fs::{Access, AtFlags, CWD, accessat},
    io::Errno,
};
use std::path::Path;

/// Returns a message for each document root and each file of `application` that the user of the calling thread may not
/// access.
pub(super) fn denied(application: &dyn Application) -> Vec<String> {
    let roots = application.roots().into_iter().filter(|root| is_denied(root, Access::EXEC_OK));
    let roots = roots.map(|root| {
        format!(
            "cannot enter the document root {} as this user: clients get 403, or a reload will fail (permit the user \
             to enter it: chmod o+x)",
            root.display()
        )
    });
    let files = application.reads().into_iter().filter(|file| is_denied(file, Access::READ_OK));
    let files = files.map(|file| format!("cannot read {} as this user: a reload will fail", file.display()));
    roots.chain(files).collect()
}

/// Whether the kernel denies the user of the calling thread this access.
fn is_denied(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS) == Err(Errno::ACCESS)
}
