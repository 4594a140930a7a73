//! Confines the process with Landlock to the files that it serves, logs and executes.
//!
//! The rules hold for files that are opened from then on. Descriptors that are already open, the listening sockets among
//! them, stay usable. Workers and successors inherit the rules and cannot remove them.

use crate::system::{Context, require_single_thread};
use landlock::{
    ABI, Access as _, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};
use rustix::fs::{Access, access};
use std::{collections::BTreeSet, error::Error, fmt, fs, io, path::Path};

/// All kinds of file access that Landlock controls up to this version. Later versions only add other kinds of access.
const LANDLOCK_VERSION: ABI = ABI::V5;

/// How far the kernel confines this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// All rules apply.
    Full,
    /// The rules that this kernel knows apply: at least those for reading, creating and removing files.
    Partial,
    /// The rules of the parent process, which has the same needs, apply.
    Inherited,
    /// None: the kernel has no Landlock.
    Unavailable,
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Confinement::Full | Confinement::Inherited => "confined to its files",
            Confinement::Partial => "confined to its files as far as this kernel can",
            Confinement::Unavailable => "not confined: Landlock is not available",
        })
    }
}

/// Confines this process, for good and as far as the kernel supports it: the files in the directory `root` stay readable,
/// and these logs and this PID file stay usable. A log file is created again after rotation, and removing a file is a
/// right to its directory, so files can be created in the directories of the logs, and removed in that of the PID file.
///
/// It can still start itself as a worker or a successor: the directories of its executable and libraries stay readable.
///
/// Fails if the root cannot be opened, or if the process has a second thread, which would stay unconfined.
pub fn confine(root: Option<&Path>, logs: &[&Path], pid_file: Option<&Path>) -> io::Result<Confinement> {
    let mappings = match fs::read_to_string("/proc/self/maps") {
        // Every process may read its own mappings unless it is confined already.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return inherit(root),
        result => result.context("cannot read /proc/self/maps")?,
    };
    require_single_thread()?;
    restrict(root, logs, pid_file, &mappings).map_err(io::Error::other)
}

/// Keeps the rules of the parent process. Fails if the root's name now refers to a directory that they exclude.
fn inherit(root: Option<&Path>) -> io::Result<Confinement> {
    match root {
        // access(2) ignores Landlock. What it grants and open(2) refuses is therefore excluded by Landlock.
        Some(root) if access(root, Access::READ_OK).is_ok() && fs::read_dir(root).is_err() => {
            let root = root.display();
            Err(io::Error::other(format!("{root} is outside the files that its parent is confined to")))
        }
        _ => Ok(Confinement::Inherited),
    }
}

fn restrict(
    root: Option<&Path>,
    logs: &[&Path],
    pid_file: Option<&Path>,
    mappings: &str,
) -> Result<Confinement, Box<dyn Error + Send + Sync>> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(LANDLOCK_VERSION))?.create()?;
    // A missing root is an error. All other missing files are ignored.
    if let Some(root) = root {
        let serve = AccessFs::ReadFile | AccessFs::ReadDir;
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(root)?, serve))?;
    }
    let programs: BTreeSet<_> = mappings.lines().filter_map(program_directory).collect();
    let ruleset = ruleset
        .add_rules(path_beneath_rules(directories(logs), AccessFs::WriteFile | AccessFs::MakeReg))?
        .add_rules(path_beneath_rules(directories(pid_file.as_slice()), AccessFs::RemoveFile))?
        .add_rules(path_beneath_rules(programs, AccessFs::ReadFile | AccessFs::Execute))?
        .add_rules(path_beneath_rules(["/etc/ld.so.cache"], AccessFs::ReadFile))?
        // A starting program opens it in place of a missing standard stream.
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?;
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Full,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::Unavailable,
    })
}

/// The directories of these files. Terminals and pipes need no rule, and no rule opens `/dev`, where a name can refer to
/// a file elsewhere.
fn directories<'a>(files: &[&'a Path]) -> BTreeSet<&'a Path> {
    let is_file = |path: &&&Path| {
        !path.starts_with("/dev") && fs::metadata(path).map_or(true, |metadata| metadata.is_file())
    };
    let parents = files.iter().filter(is_file).filter_map(|path| path.parent());
    parents.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).collect()
}

/// The directory of the executable or library in a line of proc_pid_maps(5), because a new version of the program is a
/// different file; for a program in `/`, as in a minimal container, the program itself. `None` if the line's second
/// column, the permissions, does not include execution, or its last column is no path.
fn program_directory(mapping: &str) -> Option<&Path> {
    mapping.split_whitespace().nth(1).filter(|permissions| permissions.contains('x'))?;
    let program = Path::new(&mapping[mapping.find('/')?..]);
    program.parent().filter(|directory| directory.parent().is_some()).or(Some(program))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::unix::fs::symlink, process::Command, thread};

    #[test]
    fn finds_the_directories_of_executable_and_libraries() {
        let check = |mappings: &str, expected: &[&str]| {
            let found: Vec<_> = mappings.lines().filter_map(program_directory).collect();
            assert_eq!(found, expected.iter().map(Path::new).collect::<Vec<_>>(), "{mappings}");
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
    fn finds_the_directories_of_regular_files_only() {
        let check = |files: &[&str], expected: &[&str]| {
            let files: Vec<_> = files.iter().map(Path::new).collect();
            assert_eq!(directories(&files), expected.iter().map(Path::new).collect(), "{files:?}");
        };
        check(&["/var/log/httpd/access", "/var/log/httpd/error"], &["/var/log/httpd"]);
        check(&["access", "logs/access"], &[".", "logs"]);
        check(&["/dev/null", "/dev/stdout", "/proc", "/"], &[]);
    }

    #[test]
    fn refuses_to_confine_one_of_two_threads() {
        // A test runs in another thread than the one that waits for it.
        let error = confine(None, &[], None).expect_err("the other thread would stay unconfined");
        assert!(error.to_string().contains("threads: expected one"), "{error}");
    }

    #[test]
    fn a_missing_root_is_an_error() {
        let error = restrict(Some(Path::new("/nowhere/at/all")), &[], None, "").expect_err("a missing root");
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }

    /// Runs `act` in a confined thread. To the kernel the rules belong to a thread and the processes that it starts.
    fn confined(root: Option<&Path>, logs: &[&Path], pid_file: Option<&Path>, act: impl FnOnce() + Send) {
        let confined = || {
            let mappings = fs::read_to_string("/proc/self/maps").expect("its own mappings");
            match restrict(root, logs, pid_file, &mappings).expect("rules") {
                Confinement::Unavailable => println!("skipped: {}", Confinement::Unavailable),
                _ => act(),
            }
        };
        thread::scope(|scope| scope.spawn(confined).join()).expect("no panic");
    }

    fn check_denied<T>(result: io::Result<T>, what: &str) {
        let error = result.map(drop).expect_err(what);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{what}: {error}");
    }

    #[test]
    fn allows_only_what_is_needed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        for name in ["www/below/page", "log/access", "run/pid", "other/secret"] {
            fs::create_dir_all(path(name).parent().expect("one")).expect("a directory");
            fs::write(path(name), name).expect("a file");
        }
        symlink("../other/secret", path("www/link")).expect("a link");
        let (root, log, pid_file) = (path("www"), path("log/access"), path("run/pid"));
        confined(Some(&root), &[&log], Some(&pid_file), || {
            let append = |name| File::options().append(true).create(true).open(path(name));
            assert_eq!(fs::read(path("www/below/page")).expect("served"), b"www/below/page");
            assert_eq!(fs::read_dir(path("www")).expect("served").count(), 2);
            append("log/access").expect("a log");
            append("log/access.new").expect("a log");
            fs::remove_file(path("run/pid")).expect("a pid file");
            check_denied(append("www/below/page"), "writing a served file");
            check_denied(append("www/new"), "creating a file in a root");
            check_denied(fs::remove_file(path("www/below/page")), "removing a served file");
            check_denied(fs::read(path("log/access")), "reading a log");
            check_denied(fs::remove_file(path("log/access")), "removing a log");
            check_denied(append("run/pid"), "creating a file in the PID file's directory");
            check_denied(fs::read(path("other/secret")), "reading another file");
            check_denied(fs::read(path("www/link")), "reading another file through a link");
            check_denied(fs::read_dir(path("other")), "reading another directory");
            check_denied(fs::read("/etc/passwd"), "reading /etc/passwd");
            check_denied(fs::read_to_string("/proc/self/maps"), "reading its mappings");
        });
    }

    #[test]
    fn can_start_its_own_program_and_no_other() {
        confined(None, &[], None, || {
            let again = Command::new("/proc/self/exe").arg("--list").output().expect("this program");
            assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
            check_denied(Command::new("/bin/true").status(), "starting another program");
        });
    }

    #[test]
    fn a_confined_process_keeps_its_rules() {
        let directory = tempfile::tempdir().expect("a directory");
        let roots = ["old", "new"].map(|name| directory.path().join(name));
        roots.iter().for_each(|root| fs::create_dir(root).expect("a directory"));
        confined(Some(&roots[0]), &[], None, || {
            assert_eq!(confine(Some(&roots[0]), &[], None).ok(), Some(Confinement::Inherited));
            let error = confine(Some(&roots[1]), &[], None).expect_err("the rules exclude the new root");
            assert!(error.to_string().contains("new is outside"), "{error}");
        });
    }
}
