//! Confines the process with Landlock to the files that it serves, logs and executes.
//!
//! Landlock rules restrict opening files. Descriptors that are already open, such as the listening sockets, stay
//! usable. Worker processes and successors inherit the rules and cannot remove them.

use crate::system::{Context, parent_directory, require_single_thread};
use landlock::{
    ABI, Access as _, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};
use rustix::fs::{Access, access};
use std::{collections::BTreeSet, error::Error, fmt, fs, io, os::unix::fs::MetadataExt, path::Path};

/// The latest Landlock version that added kinds of file access. [`restrict`] denies every kind that this version knows,
/// except where a rule permits it.
const LANDLOCK_VERSION: ABI = ABI::V5;

/// The result of [`confine`]: how far the kernel restricts the file access of this process. The `Display` output is
/// part of the line that announces the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// The kernel denies every kind of access that the Landlock rules do not permit.
    Full,
    /// The kernel is too old to restrict every kind of access. It restricts at least reading, writing, executing,
    /// creating and removing files.
    Partial,
    /// The process was confined before it called [`confine`]: it inherited the Landlock rules of its parent. The parent
    /// has the same arguments, so this process needs the same rules.
    Inherited,
    /// Landlock restricts nothing, because the kernel does not support it.
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

/// Restricts the file access of this process permanently, as far as the kernel supports it, and returns how far. What
/// stays possible:
///
/// * to read files and directories below the `roots`, and files in the directories of the files `reads` and below: a
///   changed file is often a new one;
/// * to create and write files in the directories of the log files `logs`, and below: a log is created again after its
///   rotation, and Landlock has no rule for a file that does not exist yet;
/// * to remove files in the directories of the files `removed`, and below: removing is a right to a directory;
/// * to start the program again as a worker or a successor: to read and execute the file of the program (see
///   [`executable`]) and the files in the directories of its libraries, which a system update replaces by new files; to
///   open `/etc/ld.so.cache` and `/dev/null`.
///
/// If this process has inherited such rules from its parent, sets no rules. Then it only checks that the inherited
/// rules permit reading the `roots`, and returns [`Confinement::Inherited`].
///
/// Fails if a root cannot be opened, if inherited rules forbid reading it, or if the process has a second thread, which
/// would stay unconfined. A kernel without Landlock is not a failure: the result is [`Confinement::Unavailable`].
pub fn confine(
    roots: &[&Path],
    reads: &[&Path],
    logs: &[&Path],
    removed: &[&Path],
) -> io::Result<Confinement> {
    let proc_maps = match fs::read_to_string("/proc/self/maps") {
        // Every process may read its own mappings, unless its parent's rules forbid it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return check_inherited(roots),
        result => result.context("cannot read /proc/self/maps")?,
    };
    require_single_thread()?;
    let program = fs::read_link("/proc/self/exe").context("cannot read /proc/self/exe")?;
    restrict((roots, reads), logs, removed, &program, &proc_maps).map_err(io::Error::other)
}

/// Returns [`Confinement::Inherited`] if the rules inherited from the parent process permit reading each of the
/// `roots`. Fails if they forbid reading one: then its path leads to another directory than it did when the parent set
/// the rules.
fn check_inherited(roots: &[&Path]) -> io::Result<Confinement> {
    // access(2) ignores Landlock, so a directory that it permits to read and open(2) does not is excluded by Landlock.
    let is_outside = |root: &&&Path| access(**root, Access::READ_OK).is_ok() && fs::read_dir(root).is_err();
    match roots.iter().find(is_outside) {
        Some(root) => {
            let root = root.display();
            Err(io::Error::other(format!("{root} is outside the files that its parent is confined to")))
        }
        None => Ok(Confinement::Inherited),
    }
}

/// Restricts the calling thread, and the threads and processes that it starts later, with Landlock. They may read below
/// the `roots` and in the directories of the files `reads`, create and write files in the directories of `logs`, remove
/// files in the directories of `removed`, and start `program` again. For that they may execute what is in the
/// directories of its libraries, too. `proc_maps` lists these: it is the content of `/proc/self/maps`.
///
/// Returns how far the kernel enforces the rules. Fails if a root cannot be opened.
fn restrict(
    (roots, reads): (&[&Path], &[&Path]),
    logs: &[&Path],
    removed: &[&Path],
    program: &Path,
    proc_maps: &str,
) -> Result<Confinement, Box<dyn Error + Send + Sync>> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(LANDLOCK_VERSION))?.create()?;
    // A missing root is an error. All other missing files are ignored.
    for root in roots {
        let serve = AccessFs::ReadFile | AccessFs::ReadDir;
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(root)?, serve))?;
    }
    let libraries = proc_maps.lines().filter_map(mapped_program).filter(|file| *file != program);
    let mut programs: BTreeSet<_> = libraries.filter_map(directory_of_programs).collect();
    programs.insert(executable(program));
    let ruleset = ruleset
        .add_rules(path_beneath_rules(parent_directories(reads), AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(parent_directories(logs), AccessFs::WriteFile | AccessFs::MakeReg))?
        .add_rules(path_beneath_rules(
            removed.iter().map(|path| parent_directory(path)),
            AccessFs::RemoveFile,
        ))?
        .add_rules(path_beneath_rules(programs, AccessFs::ReadFile | AccessFs::Execute))?
        .add_rules(path_beneath_rules(["/etc/ld.so.cache"], AccessFs::ReadFile))?
        // A starting program opens `/dev/null` in place of a missing standard stream.
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?;
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Full,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::Unavailable,
    })
}

/// Returns the directories that contain `files`. Skips a file that exists and is not regular, such as a terminal or a
/// pipe, and every file in `/dev`.
fn parent_directories<'a>(files: &[&'a Path]) -> BTreeSet<&'a Path> {
    // A terminal or a pipe is not rotated. A name in `/dev` can lead to a file elsewhere: `/dev/stdout`.
    let is_file = |path: &&&Path| {
        !path.starts_with("/dev") && fs::metadata(path).map_or(true, |metadata| metadata.is_file())
    };
    let files = files.iter().filter(is_file).filter(|path| path.parent().is_some());
    files.map(|path| parent_directory(path)).collect()
}

/// Returns what must be executable so that `program` can be started again: its directory if that contains no other
/// program and no directory. Then an upgrade can start a new file of the program. Otherwise returns only the file, so
/// that this process cannot start the other programs.
fn executable(program: &Path) -> &Path {
    let directory = directory_of_programs(program);
    let others = directory.and_then(|directory| fs::read_dir(directory).ok());
    let is_alone = others.is_some_and(|mut entries| {
        entries.all(|entry| {
            let is_harmless = |entry: fs::DirEntry| {
                let metadata = fs::metadata(entry.path()).ok()?;
                Some(metadata.is_file() && metadata.mode() & 0o111 == 0)
            };
            entry.is_ok_and(|entry| entry.path() == program || is_harmless(entry) == Some(true))
        })
    });
    directory.filter(|_| is_alone).unwrap_or(program)
}

/// Returns the program or library that a line of `/proc/self/maps` names (proc_pid_maps(5)). Returns `None` if the line
/// is not about a file, or if its mapping is not executable.
fn mapped_program(maps_line: &str) -> Option<&Path> {
    maps_line.split_whitespace().nth(1).filter(|permissions| permissions.contains('x'))?;
    Some(Path::new(&maps_line[maps_line.find('/')?..]))
}

/// Returns the directory that contains the program or library `file`. Returns `None` if that is `/`, which contains
/// every file.
fn directory_of_programs(file: &Path) -> Option<&Path> {
    file.parent().filter(|directory| directory.parent().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs::File, os::unix::fs::symlink, process::Command, sync::mpsc::channel, thread};

    #[test]
    fn finds_the_program_and_its_libraries() {
        let check = |proc_maps: &str, expected: &[&str]| {
            let found: Vec<_> = proc_maps.lines().filter_map(mapped_program).collect();
            assert_eq!(found, expected.iter().map(Path::new).collect::<Vec<_>>(), "{proc_maps}");
        };
        check(
            "5f00-5f01 r--p 00000000 fe:00 17 /usr/local/bin/httpd\n\
             5f01-5f09 r-xp 00001000 fe:00 17 /usr/local/bin/httpd\n\
             5f10-5f20 rw-p 00000000 00:00 0  [heap]\n\
             7f00-7f10 r--p 00000000 fe:00 19 /usr/lib/locale/exotic\n\
             7f10-7f20 r-xp 00028000 fe:00 18 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
             7f30-7f40 r-xp 00000000 00:00 0  [vdso]\n",
            &["/usr/local/bin/httpd", "/usr/lib/x86_64-linux-gnu/libc.so.6"],
        );
        check("5f01-5f09 r-xp 00001000 fe:00 17 /srv/my programs/httpd", &["/srv/my programs/httpd"]);
        check("", &[]);
        assert_eq!(directory_of_programs(Path::new("/usr/lib/libc.so.6")), Some(Path::new("/usr/lib")));
        assert_eq!(directory_of_programs(Path::new("/httpd")), None);
    }

    /// Copies a program in another process: if this process had the file open for writing when another thread starts a
    /// program, the file could not be executed (ETXTBSY).
    fn copy_program(to: &Path) {
        assert!(Command::new("cp").arg("/bin/true").arg(to).status().expect("cp").success());
    }

    #[test]
    fn finds_out_whether_a_program_has_its_directory_for_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let program = path("httpd");
        copy_program(&program);
        assert_eq!(executable(&program), directory.path());
        fs::write(path("README"), "text").expect("a file");
        assert_eq!(executable(&program), directory.path());
        copy_program(&path("other"));
        assert_eq!(executable(&program), program);
        fs::remove_file(path("other")).and_then(|()| fs::create_dir(path("below"))).expect("a directory");
        assert_eq!(executable(&program), program);
        fs::remove_dir(path("below")).and_then(|()| symlink("/bin/sh", path("sh"))).expect("a link");
        assert_eq!(executable(&program), program);
        assert_eq!(executable(Path::new("/httpd")), Path::new("/httpd"));
    }

    #[test]
    fn finds_the_directories_of_regular_files_only() {
        let check = |files: &[&str], expected: &[&str]| {
            let files: Vec<_> = files.iter().map(Path::new).collect();
            assert_eq!(parent_directories(&files), expected.iter().map(Path::new).collect(), "{files:?}");
        };
        check(&["/var/log/httpd/access", "/var/log/httpd/error"], &["/var/log/httpd"]);
        check(&["access", "logs/access"], &[".", "logs"]);
        check(&["/dev/null", "/dev/stdout", "/proc", "/"], &[]);
    }

    #[test]
    fn refuses_to_confine_one_of_two_threads() {
        // A test runs in a thread of its own, beside the main thread of the test program.
        let error = confine(&[], &[], &[], &[]).expect_err("the other thread would stay unconfined");
        assert!(error.to_string().contains("threads: expected one"), "{error}");
    }

    #[test]
    fn a_missing_root_is_an_error() {
        let error = restrict((&[Path::new("/nowhere/at/all")], &[]), &[], &[], Path::new("/httpd"), "")
            .expect_err("a missing root");
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }

    /// Runs `act` in a thread that [`restrict`] has restricted, so that the other tests stay unconfined. It may start
    /// `program`, or without one this program. Does nothing if the kernel has no Landlock.
    fn run_confined(
        readable: (&[&Path], &[&Path]),
        logs: &[&Path],
        removed: &[&Path],
        program: Option<&Path>,
        act: impl FnOnce() + Send,
    ) {
        let confined = || {
            let proc_maps = fs::read_to_string("/proc/self/maps").expect("its own mappings");
            let program = program.map_or_else(|| env::current_exe().expect("this program"), Path::to_owned);
            match restrict(readable, logs, removed, &program, &proc_maps).expect("rules") {
                Confinement::Unavailable => println!("skipped: {}", Confinement::Unavailable),
                _ => act(),
            }
        };
        thread::scope(|scope| scope.spawn(confined).join()).expect("no panic");
    }

    /// Checks that `operation` has failed with `result` because the rules deny it.
    fn check_denied<T>(result: io::Result<T>, operation: &str) {
        let error = result.map(drop).expect_err(operation);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{operation}: {error}");
    }

    #[test]
    fn allows_only_what_is_needed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        for name in ["www/below/page", "log/access", "run/pid", "other/secret", "more/page", "etc/httpd.toml"]
        {
            fs::create_dir_all(path(name).parent().expect("one")).expect("a directory");
            fs::write(path(name), name).expect("a file");
        }
        symlink("../other/secret", path("www/link")).expect("a link");
        let (root, log, pid_file) = (path("www"), path("log/access"), path("run/pid"));
        run_confined(
            (&[&root, &path("more")], &[&path("etc/httpd.toml")]),
            &[&log],
            &[&pid_file],
            None,
            || {
                let append = |name| File::options().append(true).create(true).open(path(name));
                assert_eq!(fs::read(path("www/below/page")).expect("served"), b"www/below/page");
                assert_eq!(fs::read_dir(path("www")).expect("served").count(), 2);
                assert_eq!(fs::read(path("more/page")).expect("served"), b"more/page");
                assert_eq!(fs::read(path("etc/httpd.toml")).expect("a file"), b"etc/httpd.toml");
                check_denied(append("etc/httpd.toml"), "writing a file that may be read");
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
            },
        );
    }

    #[test]
    fn can_start_its_own_program_and_no_other() {
        run_confined((&[], &[]), &[], &[], None, || {
            let again = Command::new("/proc/self/exe").arg("--list").output().expect("this program");
            assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
            check_denied(Command::new("/bin/true").status(), "starting another program");
        });
    }

    /// In a directory of programs, the rules permit one file. In a directory of its own, they permit its successors.
    #[test]
    fn can_start_a_new_file_only_in_a_directory_of_its_own() {
        for is_alone in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let path = |name: &str| directory.path().join(name);
            copy_program(&path("httpd"));
            if !is_alone {
                copy_program(&path("other"));
            }
            let (request, requests) = channel();
            let (confirm, confirmed) = channel();
            // Installs a new file when it is asked to: the confined thread may not.
            let install = move || {
                if requests.recv().is_ok() {
                    copy_program(&path("new"));
                    fs::rename(path("new"), path("httpd")).expect("a program");
                    confirm.send(()).expect("a thread that waits");
                }
            };
            let act = move || {
                let start = |name| Command::new(path(name)).status();
                assert!(start("httpd").expect("the program").success());
                if !is_alone {
                    check_denied(start("other"), "starting a program beside it");
                }
                request.send(()).expect("a thread that waits");
                confirmed.recv().expect("a new file");
                if is_alone {
                    assert!(start("httpd").expect("the new file").success());
                } else {
                    check_denied(start("httpd"), "starting a new file");
                }
            };
            let program = path("httpd");
            thread::scope(|scope| {
                scope.spawn(install);
                run_confined((&[], &[]), &[], &[], Some(&program), act);
            });
        }
    }

    #[test]
    fn a_confined_process_keeps_its_rules() {
        let directory = tempfile::tempdir().expect("a directory");
        let roots = ["old", "new"].map(|name| directory.path().join(name));
        roots.iter().for_each(|root| fs::create_dir(root).expect("a directory"));
        run_confined((&[&roots[0]], &[]), &[], &[], None, || {
            assert_eq!(confine(&[&roots[0]], &[], &[], &[]).ok(), Some(Confinement::Inherited));
            let error =
                confine(&[&roots[0], &roots[1]], &[], &[], &[]).expect_err("the rules exclude the new root");
            assert!(error.to_string().contains("new is outside"), "{error}");
        });
    }
}
