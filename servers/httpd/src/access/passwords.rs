//! The users of a password file, as `htpasswd` writes it: a name and a hash of a password on each line.

use super::login::MAX_LEN;
use crate::text_file;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io,
    path::Path,
    str::FromStr,
};

/// The size of the largest password file in MiB, for a hundred thousand users.
const MAX_FILE_MIB: u64 = 16;

/// The highest cost of a bcrypt hash: two seconds.
const MAX_BCRYPT_COST: u32 = 15;

/// The rounds that a SHA-crypt hash may have: at most a second. The algorithm knows no fewer.
const SHA_CRYPT_ROUNDS: std::ops::RangeInclusive<u32> = 1000..=1_000_000;

/// The hash of a password.
#[derive(Debug)]
enum PasswordHash {
    /// `$2y$…`, `$2b$…` or `$2a$…`: three names of one algorithm, by the programs that make them.
    Bcrypt(Box<str>),
    /// `$5$…` (SHA-256) or `$6$…` (SHA-512).
    ShaCrypt(Box<str>),
}

impl PasswordHash {
    /// Returns whether this is the hash of `password`. Compares in constant time. Takes long, on purpose.
    fn verify(&self, password: &[u8]) -> bool {
        match self {
            PasswordHash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            PasswordHash::ShaCrypt(hash) => {
                use sha_crypt::PasswordVerifier;
                sha_crypt::ShaCrypt::default().verify_password(password, &**hash).is_ok()
            }
        }
    }
}

impl FromStr for PasswordHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<PasswordHash, &'static str> {
        let fields: Vec<&str> = text.split('$').collect();
        match fields[..] {
            ["", "2y" | "2b" | "2a", ..] => {
                let parts: bcrypt::HashParts = text.parse().map_err(|_| "is not a complete bcrypt hash")?;
                // The crate rejects lower costs than 4 when it verifies.
                match parts.get_cost() {
                    4..=MAX_BCRYPT_COST => Ok(PasswordHash::Bcrypt(text.into())),
                    _ => Err("must have a bcrypt cost from 4 to 15"),
                }
            }
            ["", kind @ ("5" | "6"), ref options @ .., salt, hash] => {
                if hash.len() != if kind == "5" { 43 } else { 86 } {
                    return Err("is not a complete SHA-crypt hash");
                }
                // The crate would reject each password.
                let has_only = |text: &str, others: &[u8]| {
                    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
                };
                if salt.is_empty() || !has_only(salt, b"./+=,-") || !has_only(hash, b"./") {
                    return Err("has a character that is not one of SHA-crypt, or no salt");
                }
                let rounds = |text: &str| text.strip_prefix("rounds=")?.parse().ok();
                match options {
                    [] => Ok(PasswordHash::ShaCrypt(text.into())),
                    [option] if rounds(option).is_some_and(|rounds| SHA_CRYPT_ROUNDS.contains(&rounds)) => {
                        Ok(PasswordHash::ShaCrypt(text.into()))
                    }
                    _ => Err("must have from 1000 to 1000000 rounds of SHA-crypt"),
                }
            }
            _ => Err("is neither bcrypt nor SHA-crypt: make another with `htpasswd -B`"),
        }
    }
}

/// The users and the hashes of their passwords.
#[derive(Debug)]
pub struct Users {
    /// The places of the users in `hashes`, by name.
    names: HashMap<Box<str>, usize>,
    /// At least one.
    hashes: Vec<PasswordHash>,
    /// Chooses the hash for a name that no user has.
    decoy: RandomState,
}

impl Users {
    /// Reads a password file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or what it contains is no password file. The message names the line.
    pub fn read(path: &Path) -> io::Result<Users> {
        let text = text_file::read(path, MAX_FILE_MIB)?;
        text.parse().map_err(io::Error::other)
    }

    /// Returns whether a user has this name and this password. Takes as long for a name that no user has, so that the
    /// time does not tell which names exist.
    pub fn verify(&self, name: &str, password: &[u8]) -> bool {
        let (hash, is_known) = self.hash_of(name);
        hash.verify(password) && is_known
    }

    /// Returns the hash to verify a password with, and whether it is that of a user with this name.
    fn hash_of(&self, name: &str) -> (&PasswordHash, bool) {
        let known = self.names.get(name).copied();
        // The hashes of the users may take different times. So an unknown name always gets the same one.
        let tried = known.unwrap_or_else(|| self.decoy.hash_one(name) as usize % self.hashes.len());
        (&self.hashes[tried], known.is_some())
    }
}

impl FromStr for Users {
    type Err = String;

    fn from_str(text: &str) -> Result<Users, String> {
        if text.starts_with('\u{feff}') {
            return Err("line 1: remove the byte order mark at the beginning of the file".to_owned());
        }
        let mut users = Users { names: HashMap::new(), hashes: Vec::new(), decoy: RandomState::new() };
        for (number, line) in text.lines().enumerate() {
            let (line, number) = (line.trim_end(), number + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // A third field is a comment.
            let mut fields = line.split(':');
            let (Some(name), Some(hash)) = (fields.next().filter(|name| !name.is_empty()), fields.next())
            else {
                return Err(format!("line {number}: expected a name, a colon and the hash of a password"));
            };
            if name.trim() != name {
                return Err(format!("line {number}: the name {name:?} begins or ends with white space"));
            }
            if name.len() > MAX_LEN || name.contains(char::is_control) {
                return Err(format!(
                    "line {number}: no client can send a name with control characters or of more than {MAX_LEN} bytes"
                ));
            }
            let hash = hash
                .parse()
                .map_err(|error| format!("line {number}: the hash of the user {name} {error}"))?;
            if users.names.insert(name.into(), users.hashes.len()).is_some() {
                return Err(format!("line {number}: the user {name} is on an earlier line too"));
            }
            users.hashes.push(hash);
        }
        if users.hashes.is_empty() { Err("no user".to_owned()) } else { Ok(users) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `htpasswd -nbB -C 4` and `openssl passwd`.
    const USERS: &str = "# comment\n\
        alice:$2y$04$lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m:Alice\r\n\
        \n\
        bob:$6$saltsalt$cc1KsgmlKYtCcnNH8.sv7Fe8mca8fAso5fHlNrb1VZa5WYQ.L3ChTcx06ID.LoaXZAf9CZNraK43XCp7LxKHl1\n\
        carol:$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.\n\
        dave:$6$rounds=1000$Wx.AzCo3LEBaBkPF$WsYsasH0WEQCxKmkg0.aJ6mWp/yk9wk4D3HromVgFsKOGVmF3PvTe2Ei2YGTJZc7Xtx.FWXvHydW6QFv5W.ZG.";

    #[test]
    fn verifies_the_passwords_of_all_kinds_of_hashes() {
        let users: Users = USERS.parse().expect("users");
        let check = |name: &str, password: &str, expected: bool| {
            assert_eq!(users.verify(name, password.as_bytes()), expected, "{name}:{password}");
        };
        check("alice", "secret", true);
        check("bob", "pass word", true);
        check("carol", "secret", true);
        check("dave", "secret", true);
        for (name, password) in [("alice", ""), ("alice", "Secret"), ("bob", "pass"), ("carol", "pass word")]
        {
            check(name, password, false);
        }
        // A password of another user, whose hash the name may be compared with.
        for number in 0..16 {
            for password in ["secret", "pass word"] {
                check(&format!("nobody{number}"), password, false);
            }
        }
        check("# comment", "", false);
        check("", "secret", false);
    }

    #[test]
    fn an_unknown_name_always_gets_the_same_hash() {
        let users: Users = USERS.parse().expect("users");
        let index = |name: &str| {
            let (hash, is_known) = users.hash_of(name);
            assert!(!is_known, "{name}");
            users.hashes.iter().position(|other| std::ptr::eq(other, hash)).expect("a hash of a user")
        };
        let names: Vec<_> = (0..64).map(|number| format!("nobody{number}")).collect();
        let mut chosen: Vec<_> = names.iter().map(|name| index(name)).collect();
        assert_eq!(chosen, names.iter().map(|name| index(name)).collect::<Vec<_>>());
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), users.hashes.len(), "each hash is that of some unknown name");
    }

    #[test]
    fn rejects_files_with_the_number_of_the_line() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Users>().map(|_| ()), Err(expected.to_owned()), "{text}");
        };
        check("", "no user");
        check("# alice\n\n", "no user");
        check("\nalice", "line 2: expected a name, a colon and the hash of a password");
        let bom = "line 1: remove the byte order mark at the beginning of the file";
        check(&format!("\u{feff}{USERS}"), bom);
        check(" eve:x", "line 1: the name \" eve\" begins or ends with white space");
        check("eve\t:x", "line 1: the name \"eve\\t\" begins or ends with white space");
        let unsent = "line 1: no client can send a name with control characters or of more than 256 bytes";
        check("e\0ve:x", unsent);
        check(&format!("{}:x", "e".repeat(257)), unsent);
        check(":$2y$04$", "line 1: expected a name, a colon and the hash of a password");
        let other = "is neither bcrypt nor SHA-crypt: make another with `htpasswd -B`";
        for hash in [
            "$apr1$XLulsk6N$j07eXPfzoJUBQndpiE4Rf0",
            "{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=",
            "secret",
            "",
            "$1$a$b",
            "$2x$04$lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m",
            "$5$",
            "x$6$a$b",
        ] {
            check(&format!("{USERS}\neve:{hash}"), &format!("line 7: the hash of the user eve {other}"));
        }
        let bcrypt = "lxnFZ6x3QJB4RpyeA6z9y.6KKBI/BA5YRwcWjMjqzB73YGVl2/F8m";
        let alphabet = "has a character that is not one of SHA-crypt, or no salt";
        for (hash, expected) in [
            ("$2y$04$lxnFZ6x3", "is not a complete bcrypt hash"),
            (&format!("$2y$03${bcrypt}"), "must have a bcrypt cost from 4 to 15"),
            (&format!("$2y$16${bcrypt}"), "must have a bcrypt cost from 4 to 15"),
            ("$5$abcdefgh$", "is not a complete SHA-crypt hash"),
            (&format!("$5$salt${:_>43}", 0), alphabet),
            (&format!("$5$sa_lt${:0>43}", 0), alphabet),
            (&format!("$6$${:0>86}", 0), alphabet),
            (&format!("$5$rounds=999$salt${:0>43}", 0), "must have from 1000 to 1000000 rounds of SHA-crypt"),
            (
                &format!("$5$rounds=1000001$salt${:0>43}", 0),
                "must have from 1000 to 1000000 rounds of SHA-crypt",
            ),
            (
                &format!("$5$more$rounds=1000$salt${:0>43}", 0),
                "must have from 1000 to 1000000 rounds of SHA-crypt",
            ),
        ] {
            check(&format!("eve:{hash}"), &format!("line 1: the hash of the user eve {expected}"));
        }
        check(&format!("{USERS}\nalice:$2y$04${bcrypt}"), "line 7: the user alice is on an earlier line too");
    }
}
