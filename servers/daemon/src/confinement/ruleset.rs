//! Needs as Landlock's rules: which folder may be opened for what.

use super::{Confinement, Needs};
use crate::privileges::only_thread;
use landlock::{
    ABI, Access as _, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus, make_bitflags, path_beneath_rules,
};
use rustix::fs::{Access, access};
use std::{
    collections::BTreeSet,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

/// Every access to files that Landlock knew when this was written; what came later is about other things.
const KNOWN: ABI = ABI::V5;

pub(super) fn enforce(needs: &Needs) -> io::Result<Confinement> {
    let mappings = match fs::read_to_string("/proc/self/maps") {
        // Everybody may read this, but who is confined already.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return inherit(needs),
        outcome => outcome?,
    };
    only_thread()?;
    restrict(needs, &mappings).map_err(io::Error::other)
}

/// The confinement of a predecessor or master will do, unless a root's name leads elsewhere by now.
fn inherit(needs: &Needs) -> io::Result<Confinement> {
    // What access(2) grants and open(2) refuses is refused by Landlock, of which the former knows nothing.
    let is_beyond = |root: &PathBuf| access(root, Access::READ_OK).is_ok() && fs::read_dir(root).is_err();
    let Some(root) = needs.roots.iter().find(|root| is_beyond(root)) else {
        return Ok(Confinement::Inherited);
    };
    let why = format!("{} lies outside of what this process has been confined to", root.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

fn restrict(needs: &Needs, mappings: &str) -> Result<Confinement, Box<dyn Error + Send + Sync>> {
    Ok(match rules(needs, mappings)?.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Whole,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::Unavailable,
    })
}

fn rules(needs: &Needs, mappings: &str) -> Result<RulesetCreated, Box<dyn Error + Send + Sync>> {
    let serving = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let logging = make_bitflags!(AccessFs::{WriteFile | MakeReg});
    let starting = make_bitflags!(AccessFs::{ReadFile | Execute});
    let nothing = make_bitflags!(AccessFs::{ReadFile | WriteFile});
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?.create()?;
    // A root that is not there is an error. Of all else, what is not there is not needed.
    for root in &needs.roots {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(root)?, serving))?;
    }
    let ruleset = ruleset
        .add_rules(path_beneath_rules(folders(&needs.logs), logging))?
        .add_rules(path_beneath_rules(folders(&needs.removed), AccessFs::RemoveFile))?
        .add_rules(path_beneath_rules(programs(mappings), starting))?
        .add_rules(path_beneath_rules(["/etc/ld.so.cache"], AccessFs::ReadFile))?
        // What a program that starts puts in the place of a standard stream it was not given.
        .add_rules(path_beneath_rules(["/dev/null"], nothing))?;
    Ok(ruleset)
}

/// The folders of these files. What is no file, but a terminal or a pipe, opens none: `/dev` least of all, where a
/// name may lead to a file that is somewhere else.
fn folders(files: &[PathBuf]) -> BTreeSet<&Path> {
    let is_file = |path: &&PathBuf| {
        !path.starts_with("/dev") && fs::metadata(path).map_or(true, |metadata| metadata.is_file())
    };
    let folders = files.iter().filter(is_file).filter_map(|path| path.parent());
    folders.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).collect()
}

/// What must be opened to start this program: its executable and its libraries, which are what is mapped to be
/// executed. It is their folders, for a newer version is another file.
fn programs(mappings: &str) -> BTreeSet<&Path> {
    mappings.lines().filter(|line| is_executed(line)).filter_map(mapped).map(folder_of_program).collect()
}

/// A line of proc_pid_maps(5) has the range, what may be done there, the offset, device and inode, and the path.
fn is_executed(mapping: &str) -> bool {
    mapping.split_whitespace().nth(1).is_some_and(|allowed| allowed.contains('x'))
}

fn mapped(mapping: &str) -> Option<&Path> {
    mapping.find('/').map(|start| Path::new(&mapping[start..]))
}

/// Its folder; but a program that stands alone in a container's root must not open all there is.
fn folder_of_program(path: &Path) -> &Path {
    path.parent().filter(|folder| folder.parent().is_some()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::unix::fs::symlink, process::Command, thread};

    #[test]
    fn a_program_is_started_from_its_folders() {
        let check = |mappings: &str, expected: &[&str]| {
            let expected: BTreeSet<_> = expected.iter().map(Path::new).collect();
            assert_eq!(programs(mappings), expected, "{mappings}");
        };
        check(
            "5f00-5f01 r--p 00000000 fe:00 17 /usr/local/bin/httpd\n\
             5f01-5f09 r-xp 00001000 fe:00 17 /usr/local/bin/httpd\n\
             5f10-5f20 rw-p 00000000 00:00 0  [heap]\n\
             7f00-7f10 r--p 00000000 fe:00 19 /usr/lib/locale/exotic\n\
             7f10-7f20 r-xp 00028000 fe:00 18 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
             7f30-7f40 r-xp 00000000 00:00 0  [vdso]\n",
            &["/usr/local/bin", "/usr/lib/x86_64-linux-gnu"],
        );
        check("5f01-5f09 r-xp 00001000 fe:00 17 /srv/my programs/httpd (deleted)", &["/srv/my programs"]);
        check("5f01-5f09 r-xp 00001000 fe:00 17 /httpd", &["/httpd"]);
        check("", &[]);
    }

    #[test]
    fn only_files_open_their_folders() {
        let check = |files: &[&str], expected: &[&str]| {
            let files: Vec<_> = files.iter().map(PathBuf::from).collect();
            assert_eq!(folders(&files), expected.iter().map(Path::new).collect(), "{files:?}");
        };
        check(&["/var/log/httpd/access", "/var/log/httpd/error"], &["/var/log/httpd"]);
        check(&["access", "logs/access"], &[".", "logs"]);
        check(&["/dev/null", "/dev/stdout", "/proc", "/"], &[]);
    }

    #[test]
    fn two_threads_are_one_too_many() {
        // A test is a thread beside the one that waits for it.
        let refused = enforce(&Needs::default()).expect_err("the other thread would stay free");
        assert!(refused.to_string().contains("threads run already"), "{refused}");
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        let needs = Needs { roots: vec!["/nowhere/at/all".into()], ..Needs::default() };
        let refused = restrict(&needs, "").expect_err("nothing to serve");
        assert!(refused.to_string().contains("/nowhere/at/all"), "{refused}");
    }

    /// To the kernel the rules belong to a thread and what it starts, so a thread can try them out.
    fn confined(needs: Needs, act: impl FnOnce() + Send + 'static) {
        let confined = move || {
            let mappings = fs::read_to_string("/proc/self/maps").expect("its own");
            match restrict(&needs, &mappings).expect("rules") {
                Confinement::Unavailable => println!("skipped: {}", Confinement::Unavailable),
                _ => act(),
            }
        };
        thread::spawn(confined).join().expect("no panic");
    }

    fn check_denied<T>(outcome: io::Result<T>, what: &str) {
        let error = outcome.map(drop).expect_err(what);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{what}: {error}");
    }

    #[test]
    fn only_what_is_needed_can_be_opened() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        for name in ["www/below", "log", "run", "other"] {
            fs::create_dir_all(path(name)).expect("a directory");
        }
        for name in ["www/below/page", "log/access", "run/pid", "other/secret"] {
            fs::write(path(name), name).expect("a file");
        }
        symlink("../other/secret", path("www/link")).expect("a link");
        let needs = Needs {
            roots: vec![path("www")],
            logs: vec![path("log/access")],
            removed: vec![path("run/pid")],
        };
        let base = directory.path().to_owned();
        confined(needs, move || {
            let path = |name: &str| base.join(name);
            let append = |name| File::options().append(true).create(true).open(path(name));
            assert_eq!(fs::read(path("www/below/page")).expect("served"), b"www/below/page");
            assert_eq!(fs::read_dir(path("www")).expect("served").count(), 2);
            append("log/access").expect("a log");
            append("log/access.new").expect("a log");
            fs::remove_file(path("run/pid")).expect("a pid file");
            check_denied(append("www/below/page"), "writing what is served");
            check_denied(append("www/new"), "making a file where files are served");
            check_denied(fs::remove_file(path("www/below/page")), "removing what is served");
            check_denied(fs::read(path("log/access")), "reading a log");
            check_denied(fs::remove_file(path("log/access")), "removing a log");
            check_denied(append("run/pid"), "making a file where the pid file was");
            check_denied(fs::read(path("other/secret")), "reading another file");
            check_denied(fs::read(path("www/link")), "reading another file by a link");
            check_denied(fs::read_dir(path("other")), "reading another directory");
            check_denied(fs::read("/etc/passwd"), "reading the users");
            check_denied(fs::read_to_string("/proc/self/maps"), "reading what it has mapped");
        });
    }

    #[test]
    fn the_program_can_be_started_again_and_no_other() {
        confined(Needs::default(), || {
            let again = Command::new("/proc/self/exe").arg("--list").output().expect("this program");
            assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
            check_denied(Command::new("/bin/true").status(), "starting another program");
        });
    }

    #[test]
    fn who_is_confined_already_stays_so() {
        let directory = tempfile::tempdir().expect("a directory");
        let needs = |root| Needs { roots: vec![directory.path().join(root)], ..Needs::default() };
        for root in ["old", "new"] {
            fs::create_dir(directory.path().join(root)).expect("a directory");
        }
        let (old, new) = (needs("old"), needs("new"));
        confined(old.clone(), move || {
            assert_eq!(enforce(&old).ok(), Some(Confinement::Inherited));
            let refused = enforce(&new).expect_err("it could serve nothing");
            assert!(refused.to_string().contains("new lies outside"), "{refused}");
        });
    }
}
