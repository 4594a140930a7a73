//! Drops root privileges: the process becomes an unprivileged user before it reads anything from a client.
//!
//! Users and groups are looked up in `/etc/passwd` and `/etc/group` only. A user from another source, such as a
//! directory service, can be given by number.

use crate::system::{Context, require_single_thread};
use rustix::{
    fs::{AtFlags, chownat},
    process::{Gid, Uid, getegid, geteuid, getgid, getuid},
    thread::{
        set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
        set_thread_uid,
    },
};
use std::{
    collections::BTreeSet,
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    panic::resume_unwind,
    path::Path,
    thread,
};

/// An unprivileged user and its groups, to which a process switches.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    user: Uid,
    group: Gid,
    /// The supplementary groups in ascending order, including `group`.
    supplementary: Vec<Gid>,
}

impl Identity {
    /// Looks up `user`, `group` and the user's supplementary groups. `user` and `group` are names or numbers. Without
    /// `group`, the user's group in `/etc/passwd` is used.
    ///
    /// Fails if the user or group does not exist, or if the user or one of its groups is root.
    pub fn find(user: &str, group: Option<&str>) -> io::Result<Identity> {
        find_identity(&read_text("/etc/passwd")?, &read_text("/etc/group")?, user, group)
    }

    /// Switches this process permanently to this user and these groups. Programs that the process starts cannot gain
    /// privileges either (`no_new_privs`). If the process already has this user and group, its supplementary groups
    /// stay as they are.
    ///
    /// Fails if the kernel forbids the switch, or if the process has a second thread, which would keep its privileges.
    /// Also fails if the process can become root again. After that error the process may be root, so it must end.
    pub fn switch(&self) -> io::Result<()> {
        if !self.is_current() {
            require_single_thread()?;
            self.assume()?;
        }
        set_no_new_privs(true).context("cannot set no_new_privs")?;
        if self.can_regain_root() {
            return Err(io::Error::other("cannot drop root privileges: the process can become root again"));
        }
        Ok(())
    }

    /// Runs `function` as this user and returns its result. The process stays what it is: only a thread becomes the
    /// user, and ends. Needs root privileges.
    pub fn run<T: Send>(&self, function: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, || self.assume().map(|()| function()))?;
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Makes a file belong to this user and group. `file` may be opened as a path.
    pub fn own(&self, file: impl AsFd) -> io::Result<()> {
        Ok(chownat(file, "", Some(self.user), Some(self.group), AtFlags::EMPTY_PATH)?)
    }

    /// Whether this user can create files in `directory`, or replace it or a directory above it, according to their
    /// owners and modes. Fails if one of them cannot be examined.
    pub fn controls(&self, directory: &Path) -> io::Result<bool> {
        let directory = fs::canonicalize(directory)?;
        for ancestor in directory.ancestors() {
            let metadata = fs::metadata(ancestor)?;
            let is_member = self.supplementary.contains(&Gid::from_raw(metadata.gid()));
            let writable = metadata.mode() & if is_member { 0o022 } else { 0o002 } != 0;
            // In a directory with the sticky bit, a user can replace only its own files.
            let is_sticky = ancestor != directory && metadata.mode() & 0o1000 != 0;
            if metadata.uid() == self.user.as_raw() || (writable && !is_sticky) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Creates an identity from numbers. Sorts `supplementary`, removes duplicates, and adds `group` if it is missing.
    fn new(user: u32, group: u32, supplementary: impl Iterator<Item = u32>) -> Identity {
        let supplementary: BTreeSet<u32> = supplementary.chain([group]).collect();
        let supplementary = supplementary.into_iter().map(Gid::from_raw).collect();
        Identity { user: Uid::from_raw(user), group: Gid::from_raw(group), supplementary }
    }

    /// Switches the calling thread to this user and these groups. Needs root privileges. After an error, the groups may
    /// have changed.
    fn assume(&self) -> io::Result<()> {
        let Identity { user, group, supplementary } = self;
        // The user is set last, because only root may change groups.
        set_thread_groups(supplementary)
            .context("cannot set the supplementary groups (--user needs root)")?;
        set_thread_res_gid(*group, *group, *group).context("cannot set the group")?;
        set_thread_res_uid(*user, *user, *user).context("cannot set the user")
    }

    /// Whether the calling thread has this user and group. Ignores supplementary groups.
    fn is_current(&self) -> bool {
        [getuid(), geteuid()] == [self.user; 2] && [getgid(), getegid()] == [self.group; 2]
    }

    /// Whether the calling thread can become root again. Finds out by trying it: after `true` the thread has root's
    /// user or group.
    fn can_regain_root(&self) -> bool {
        set_thread_uid(Uid::ROOT).is_ok() || (!self.group.is_root() && set_thread_gid(Gid::ROOT).is_ok())
    }
}

/// Reads a text file. Replaces bytes that are not UTF-8.
fn read_text(path: &str) -> io::Result<String> {
    let content = fs::read(path).context(format_args!("cannot read {path}"))?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Finds `user` and its groups. `passwd` and `groups` are the contents of `/etc/passwd` and `/etc/group`. `user` and
/// `group` are names or numbers; a number need not be listed in these files. Without `group`, the result has the user's
/// group in `passwd`.
///
/// Fails if a name is not listed, if the user or one of its groups is root, or if `group` is `None` and the user is not
/// listed.
fn find_identity(passwd: &str, groups: &str, user: &str, group: Option<&str>) -> io::Result<Identity> {
    let account = find_entry(passwd, user)
        .and_then(|(name, uid, rest)| Some((name, uid, parse_id(rest.split(':').next()?)?)));
    let uid = account.map(|(_, uid, _)| uid).or_else(|| parse_id(user));
    let uid = require_found(uid, "user", user, "/etc/passwd")?;
    if uid == 0 {
        return Err(io::Error::other(format!("refusing --user {user}: choose an unprivileged user")));
    }
    let gid = if let Some(group) = group {
        let gid = find_entry(groups, group).map(|(_, gid, _)| gid).or_else(|| parse_id(group));
        require_found(gid, "group", group, "/etc/group")?
    } else {
        let gid = account.map(|(.., gid)| gid);
        require_found(gid, "the group of user", user, "/etc/passwd (add --group)")?
    };
    if gid == 0 {
        return Err(io::Error::other(match group {
            Some(group) => format!("refusing --group {group}: choose an unprivileged group"),
            None => format!("refusing --user {user}: its group is root (add --group)"),
        }));
    }
    let is_member =
        |members: &str| members.split(',').any(|member| account.is_some_and(|(name, ..)| member == name));
    let memberships = entries(groups).filter(|(.., members)| is_member(members)).map(|(_, gid, _)| gid);
    let identity = Identity::new(uid, gid, memberships);
    if identity.supplementary.contains(&Gid::ROOT) {
        let message = format!("refusing --user {user}: it is a member of the group root in /etc/group");
        return Err(io::Error::other(message));
    }
    Ok(identity)
}

/// Finds a line of `/etc/passwd` or `/etc/group` (`text`) by the name of the user or group. If no name matches, finds
/// it by the number. The result is an item of [`entries`]: name, number and the rest of the line.
fn find_entry<'a>(text: &'a str, name_or_number: &str) -> Option<(&'a str, u32, &'a str)> {
    let named = entries(text).find(|(name, ..)| *name == name_or_number);
    named.or_else(|| entries(text).find(|(_, id, _)| Some(*id) == parse_id(name_or_number)))
}

/// Returns the name, the number and the rest of each line of `/etc/passwd` or `/etc/group` (`text`). A line begins with
/// `name:password:number:`. In `/etc/passwd` the rest begins with the number of the user's group; in `/etc/group` it is
/// the list of members. Skips invalid lines.
fn entries(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.splitn(4, ':');
        Some((fields.next()?, parse_id(fields.nth(1)?)?, fields.next()?))
    })
}

/// Parses the number of a user or group. Returns `None` for other text and for `u32::MAX`, which tells the kernel not
/// to change the user or group.
fn parse_id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns `id`, or if that is `None` the error `cannot find KIND NAME: not in FILE`.
fn require_found(id: Option<u32>, kind: &str, name: &str, file: &str) -> io::Result<u32> {
    id.ok_or_else(|| io::Error::other(format!("cannot find {kind} {name}: not in {file}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt, chown},
    };

    /// The content of `/etc/passwd`.
    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        # a comment\n\
        broken:x\n\
        web:x:33:34:with:too:many:fields\n\
        1000:x:7:8::/:/bin/sh\n\
        someone:x:1000:1000::/:/bin/sh\n\
        operator:x:11:0::/root:/bin/false\n\
        backup:x:34:34::/:/bin/false\n\
        nobody:x:65534:65534::/:/bin/false";
    /// The content of `/etc/group`.
    const GROUP: &str = "root:x:0:backup\nlogs:x:4:web,someone\nweb:x:33:\nwebs:x:50:web2\nown:x:34:web\n\
        users:x:100:someone,web\nbroken:x:no:web";

    /// Looks up `user` and `group` in [`PASSWD`] and [`GROUP`]. Expects the numbers of the user, its group and all its
    /// supplementary groups, or an error message.
    fn check(user: &str, group: Option<&str>, expected: Result<(u32, u32, &[u32]), &str>) {
        let found = find_identity(PASSWD, GROUP, user, group).map_err(|error| error.to_string());
        let expected =
            expected.map(|(user, group, others)| Identity::new(user, group, others.iter().copied()));
        assert_eq!(found, expected.map_err(str::to_owned), "{user}, {group:?}");
    }

    #[test]
    fn finds_users_and_groups_by_name_and_number() {
        check("web", None, Ok((33, 34, &[4, 34, 100])));
        check("33", None, Ok((33, 34, &[4, 34, 100])));
        check("web", Some("web"), Ok((33, 33, &[4, 33, 34, 100])));
        check("web", Some("50"), Ok((33, 50, &[4, 34, 50, 100])));
        check("nobody", None, Ok((65534, 65534, &[65534])));
        check("nobody", Some("12345"), Ok((65534, 12345, &[12345])));
        check("54321", Some("logs"), Ok((54321, 4, &[4])));
        // A name takes precedence over a number.
        check("1000", None, Ok((7, 8, &[8])));
    }

    #[test]
    fn rejects_root_and_unknown_users_and_groups() {
        for user in ["nobody2", "", "broken", "-1", "+33", "4294967295", "4294967296"] {
            check(user, Some("web"), Err(&format!("cannot find user {user}: not in /etc/passwd")));
            check(user, None, Err(&format!("cannot find user {user}: not in /etc/passwd")));
        }
        for group in ["broken", "", "4294967295"] {
            check("web", Some(group), Err(&format!("cannot find group {group}: not in /etc/group")));
        }
        let no_group = "cannot find the group of user 54321: not in /etc/passwd (add --group)";
        check("54321", None, Err(no_group));
        check("root", None, Err("refusing --user root: choose an unprivileged user"));
        check("0", Some("web"), Err("refusing --user 0: choose an unprivileged user"));
        for group in ["root", "0"] {
            let message = format!("refusing --group {group}: choose an unprivileged group");
            check("web", Some(group), Err(&message));
        }
        check("operator", None, Err("refusing --user operator: its group is root (add --group)"));
        check("operator", Some("web"), Ok((11, 33, &[33])));
        let member = "refusing --user backup: it is a member of the group root in /etc/group";
        check("backup", Some("web"), Err(member));
    }

    #[test]
    fn refuses_to_drop_privileges_beside_a_second_thread() {
        if !geteuid().is_root() {
            return println!("skipped: only root has privileges to drop");
        }
        // A test runs in a thread of its own, beside the main thread of the test program.
        let identity = Identity::find("12345", Some("12345")).expect("numbers");
        let error = identity.switch().expect_err("the other thread would stay root");
        assert!(error.to_string().contains("threads: expected one"), "{error}");
        assert!(geteuid().is_root());
    }

    /// Drops the privileges of one thread only, because to the kernel they belong to a thread. Other tests need root.
    #[test]
    fn drops_all_privileges() {
        if !geteuid().is_root() {
            return println!("skipped: only root has privileges to drop");
        }
        let dropped = || {
            let identity = Identity::new(12345, 12346, [4].into_iter());
            assert!(!identity.is_current());
            identity.assume().expect("root may");
            assert!(identity.is_current() && !identity.can_regain_root());
            fs::read_to_string("/proc/thread-self/status").expect("its status")
        };
        let status = thread::spawn(dropped).join().expect("no panic");
        for expected in [
            "\nUid:\t12345\t12345\t12345\t12345\n",
            "\nGid:\t12346\t12346\t12346\t12346\n",
            "\nGroups:\t4 12346 \n",
            "\nCapPrm:\t0000000000000000\n",
            "\nCapEff:\t0000000000000000\n",
        ] {
            assert!(status.contains(expected), "no {expected:?} in {status}");
        }
    }

    #[test]
    fn a_user_controls_the_directories_that_it_can_write_and_those_below() {
        if !geteuid().is_root() {
            return println!("skipped: only root can change the owner of a directory");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let (above, below) = (directory.path().join("above"), directory.path().join("above/below"));
        fs::create_dir_all(&below).expect("directories");
        // The path to the temporary directory.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("ours");
        let identity = Identity::new(12345, 12346, [4].into_iter());
        let check = |(owner, group, mode), (below_owner, below_mode), expected| {
            chown(&above, Some(owner), Some(group)).expect("root may");
            chown(&below, Some(below_owner), Some(0)).expect("root may");
            fs::set_permissions(&above, Permissions::from_mode(mode)).expect("root may");
            fs::set_permissions(&below, Permissions::from_mode(below_mode)).expect("root may");
            let controls = identity.controls(&below).expect("directories");
            assert_eq!(controls, expected, "{owner} {group} {mode:o}, {below_owner} {below_mode:o}");
        };
        check((0, 0, 0o755), (0, 0o755), false);
        check((0, 0, 0o755), (12345, 0o555), true);
        check((0, 0, 0o755), (54321, 0o755), false);
        check((0, 0, 0o755), (0, 0o777), true);
        check((0, 0, 0o755), (0, 0o1777), true);
        check((0, 99, 0o775), (0, 0o755), false);
        check((0, 4, 0o775), (0, 0o755), true);
        check((0, 12346, 0o775), (0, 0o755), true);
        check((12345, 0, 0o755), (0, 0o755), true);
        check((0, 0, 0o777), (0, 0o755), true);
        check((0, 0, 0o1777), (0, 0o755), false);
        check((0, 0, 0o1777), (12345, 0o755), true);
        identity.controls(&above.join("missing")).expect_err("no directory");
    }

    #[test]
    fn notices_an_incomplete_drop() {
        if !geteuid().is_root() {
            return println!("skipped: only root has privileges to drop");
        }
        for (saved_group, saved_user, expected) in [(12346, 12345, false), (0, 12345, true), (12346, 0, true)]
        {
            let identity = Identity::new(12345, 12346, [].into_iter());
            let drop_some = move || {
                let Identity { user, group, .. } = identity;
                set_thread_res_gid(group, group, Gid::from_raw(saved_group)).expect("root may");
                set_thread_res_uid(user, user, Uid::from_raw(saved_user)).expect("root may");
                identity.can_regain_root()
            };
            let noticed = thread::spawn(drop_some).join().expect("no panic");
            assert_eq!(noticed, expected, "{saved_group}, {saved_user}");
        }
    }
}
