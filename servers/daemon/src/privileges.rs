//! Giving up root: what only it may do is done, and what peers send is read by somebody who may do little.
//!
//! Names are looked up in `/etc/passwd` and `/etc/group`. A user who is known elsewhere, as in a directory service,
//! is named by number.

use rustix::{
    process::{Gid, Uid, getegid, geteuid, getgid, getuid},
    thread::{
        set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
        set_thread_uid,
    },
};
use std::{fs, io};

/// Becomes this user, with this group or the user's own, and with the user's supplementary groups; for good, and so
/// that no program started from here gains anything either. Each is a name or a number. Where this process is that
/// user already, as a worker or a successor is, it stays so.
///
/// # Errors
///
/// When there is no such user or group, or it is root; when there is a second thread, which would keep its
/// privileges; when this process may not change its user; and when root could be regained afterwards: then the
/// process may be root again, and must end.
pub fn drop_to(user: &str, group: Option<&str>) -> io::Result<()> {
    let accounts = Accounts { passwd: read("/etc/passwd")?, group: read("/etc/group")? };
    let identity = accounts.identity(user, group)?;
    if !identity.is_ours() {
        only_thread()?;
        identity.assume()?;
    }
    set_no_new_privs(true)?;
    if identity.can_regain_root() {
        return Err(io::Error::other("root could be regained"));
    }
    Ok(())
}

/// Makes sure that no second thread would keep what this one gives up.
pub(crate) fn only_thread() -> io::Result<()> {
    match fs::read_dir("/proc/self/task")?.count() {
        1 => Ok(()),
        threads => {
            Err(io::Error::other(format!("{threads} threads run already, where there may be but one")))
        }
    }
}

fn read(path: &str) -> io::Result<String> {
    let content = fs::read(path).map_err(failed(path))?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Puts what was tried before the system's own words.
fn failed<E: Into<io::Error>>(what: &str) -> impl FnOnce(E) -> io::Error {
    move |why| {
        let why = why.into();
        io::Error::new(why.kind(), format!("{what}: {why}"))
    }
}

/// Who a process is to the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    user: Uid,
    group: Gid,
    /// Sorted, the group among them.
    supplementary: Vec<Gid>,
}

impl Identity {
    fn assume(&self) -> io::Result<()> {
        let Identity { user, group, supplementary } = self;
        // The user comes last: whoever is no longer root can change no groups.
        set_thread_groups(supplementary).map_err(failed("supplementary groups"))?;
        set_thread_res_gid(*group, *group, *group).map_err(failed("group"))?;
        set_thread_res_uid(*user, *user, *user).map_err(failed("user"))
    }

    fn is_ours(&self) -> bool {
        [getuid(), geteuid()] == [self.user; 2] && [getgid(), getegid()] == [self.group; 2]
    }

    /// Tries it, for nothing else proves it.
    fn can_regain_root(&self) -> bool {
        set_thread_uid(Uid::ROOT).is_ok() || (!self.group.is_root() && set_thread_gid(Gid::ROOT).is_ok())
    }
}

/// The texts of passwd(5) and group(5).
struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    fn identity(&self, user: &str, group: Option<&str>) -> io::Result<Identity> {
        let account = self.account(user);
        let (number, own_group) = match &account {
            Some(account) => (account.user, Some(account.group)),
            None => (number(user).ok_or_else(|| unknown("user", user))?, None),
        };
        if number == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "root is what is to be given up"));
        }
        let group = match group {
            Some(group) => self.group(group).ok_or_else(|| unknown("group", group))?,
            None => own_group.ok_or_else(|| {
                let why = format!("user {user} has no entry, so a group must be named");
                io::Error::new(io::ErrorKind::InvalidInput, why)
            })?,
        };
        let mut supplementary = account.map_or_else(Vec::new, |account| self.memberships(account.name));
        supplementary.push(group);
        supplementary.sort_unstable();
        supplementary.dedup();
        let supplementary = supplementary.into_iter().map(Gid::from_raw).collect();
        Ok(Identity { user: Uid::from_raw(number), group: Gid::from_raw(group), supplementary })
    }

    /// The user of this name, or else of this number: a name may consist of digits.
    fn account(&self, user: &str) -> Option<Account<'_>> {
        let accounts = || self.passwd.lines().filter_map(Account::parse);
        let number = number(user);
        accounts()
            .find(|account| account.name == user)
            .or_else(|| accounts().find(|account| Some(account.user) == number))
    }

    fn group(&self, group: &str) -> Option<u32> {
        let named = self.groups().find(|(name, ..)| *name == group);
        named.map(|(_, number, _)| number).or_else(|| number(group))
    }

    /// The groups that have this user as a member.
    fn memberships(&self, user: &str) -> Vec<u32> {
        let has = |members: &str| members.split(',').any(|member| member == user);
        self.groups().filter(|(.., members)| has(members)).map(|(_, number, _)| number).collect()
    }

    /// Names, numbers, and members with commas between.
    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?, number(fields.nth(1)?)?, fields.next()?))
        })
    }
}

struct Account<'a> {
    name: &'a str,
    user: u32,
    group: u32,
}

impl Account<'_> {
    fn parse(line: &str) -> Option<Account<'_>> {
        let mut fields = line.split(':');
        Some(Account { name: fields.next()?, user: number(fields.nth(1)?)?, group: number(fields.next()?)? })
    }
}

/// A user's or group's number. The largest is none: to the kernel it means "leave it as it is".
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn unknown(kind: &str, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no {kind} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        # a comment\n\
        broken:x\n\
        web:x:33:34:with:too:many:fields\n\
        1000:x:7:8::/:/bin/sh\n\
        someone:x:1000:1000::/:/bin/sh\n\
        nobody:x:65534:65534::/:/bin/false";
    const GROUP: &str = "root:x:0:\nlogs:x:4:web,someone\nweb:x:33:\nwebs:x:50:web2\nown:x:34:web\n\
        users:x:100:someone,web\nbroken:x:no:web";

    fn check(user: &str, group: Option<&str>, expected: Result<(u32, u32, &[u32]), &str>) {
        let accounts = Accounts { passwd: PASSWD.to_owned(), group: GROUP.to_owned() };
        let found = accounts.identity(user, group).map_err(|error| error.to_string());
        let expected = expected.map(|(user, group, supplementary)| Identity {
            user: Uid::from_raw(user),
            group: Gid::from_raw(group),
            supplementary: supplementary.iter().copied().map(Gid::from_raw).collect(),
        });
        assert_eq!(found, expected.map_err(str::to_owned), "{user}, {group:?}");
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        check("web", None, Ok((33, 34, &[4, 34, 100])));
        check("33", None, Ok((33, 34, &[4, 34, 100])));
        check("web", Some("web"), Ok((33, 33, &[4, 33, 34, 100])));
        check("web", Some("50"), Ok((33, 50, &[4, 34, 50, 100])));
        check("nobody", None, Ok((65534, 65534, &[65534])));
        check("nobody", Some("12345"), Ok((65534, 12345, &[12345])));
        check("54321", Some("logs"), Ok((54321, 4, &[4])));
        // A name goes before a number.
        check("1000", None, Ok((7, 8, &[8])));
    }

    #[test]
    fn who_is_not_there_is_said() {
        check("nobody2", None, Err("there is no user nobody2"));
        check("", None, Err("there is no user "));
        check("broken", None, Err("there is no user broken"));
        check("-1", None, Err("there is no user -1"));
        check("+33", None, Err("there is no user +33"));
        check("4294967295", Some("web"), Err("there is no user 4294967295"));
        check("4294967296", Some("web"), Err("there is no user 4294967296"));
        check("web", Some("broken"), Err("there is no group broken"));
        check("web", Some(""), Err("there is no group "));
        check("web", Some("4294967295"), Err("there is no group 4294967295"));
        check("54321", None, Err("user 54321 has no entry, so a group must be named"));
    }

    #[test]
    fn root_is_refused() {
        check("root", None, Err("root is what is to be given up"));
        check("0", Some("web"), Err("root is what is to be given up"));
    }

    #[test]
    fn two_threads_are_one_too_many() {
        if !geteuid().is_root() {
            return println!("skipped: only root has privileges to drop");
        }
        // A test is a thread beside the one that waits for it.
        let refused = drop_to("12345", Some("12345")).expect_err("the other thread would stay root");
        assert!(refused.to_string().contains("threads run already"), "{refused}");
        assert!(geteuid().is_root());
    }

    /// To the kernel a user belongs to a thread, so a thread can try it out.
    #[test]
    fn nothing_of_root_is_left() {
        if !geteuid().is_root() {
            return println!("skipped: only root has privileges to drop");
        }
        let identity = Identity {
            user: Uid::from_raw(12345),
            group: Gid::from_raw(12346),
            supplementary: [4, 12346].map(Gid::from_raw).to_vec(),
        };
        let dropped = move || {
            assert!(!identity.is_ours());
            identity.assume().expect("root may");
            assert!(identity.is_ours() && !identity.can_regain_root());
            fs::read_to_string("/proc/thread-self/status").expect("its status")
        };
        let status = thread::spawn(dropped).join().expect("no panic");
        for (name, expected) in [
            ("Uid", "12345 12345 12345 12345"),
            ("Gid", "12346 12346 12346 12346"),
            ("Groups", "4 12346"),
            ("CapPrm", "0000000000000000"),
            ("CapEff", "0000000000000000"),
        ] {
            let fields = status.lines().filter_map(|line| line.split_once(':'));
            let value =
                fields.filter(|(field, _)| *field == name).map(|(_, value)| value).next().unwrap_or("");
            assert_eq!(value.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{name}");
        }
    }

    /// A drop that leaves a way back must not go unnoticed.
    #[test]
    fn half_a_drop_is_noticed() {
        if !geteuid().is_root() {
            return println!("skipped: only root has privileges to drop");
        }
        let check = |saved_group: u32, saved_user: u32, expected: bool| {
            let (user, group) = (Uid::from_raw(12345), Gid::from_raw(12346));
            let half = move || {
                set_thread_res_gid(group, group, Gid::from_raw(saved_group)).expect("root may");
                set_thread_res_uid(user, user, Uid::from_raw(saved_user)).expect("root may");
                Identity { user, group, supplementary: Vec::new() }.can_regain_root()
            };
            let noticed = thread::spawn(half).join().expect("no panic");
            assert_eq!(noticed, expected, "{saved_group}, {saved_user}");
        };
        check(12346, 12345, false);
        check(0, 12345, true);
        check(12346, 0, true);
    }
}
