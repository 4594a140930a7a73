//! Kinds of file systems: how long their calls may take.

use rustix::{fs::fstatfs, io::Errno};
use std::os::fd::AsFd;

/// How long a call to a file system may take, which decides where the calls are made.
///
/// ```
/// use http_files::{FileSystem, Root};
/// use std::path::Path;
///
/// let root = Root::open(Path::new("."))?.with_file_system(FileSystem::Slow);
/// assert_eq!(root.file_system(), FileSystem::Slow);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSystem {
    /// Everything is in memory (tmpfs, ramfs): no call waits.
    Memory,
    /// On a disk of this machine (ext4, XFS, Btrfs, and overlayfs, which is taken to be on one): what is in the page
    /// cache is read without waiting, and everything else waits for the disk, on a thread.
    Local,
    /// On a network, in another process or of an unknown kind (NFS, CIFS, FUSE, 9p): every call may take for ever, and
    /// is made on a thread.
    Slow,
}

/// The magic numbers of file systems in memory (statfs(2)): tmpfs and ramfs.
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// The magic numbers of file systems whose data are on a disk of this machine, or made by the kernel: ext2 to ext4,
/// XFS, Btrfs, overlayfs, F2FS, bcachefs, ZFS, JFS, NILFS, FAT, exFAT, NTFS, ISO 9660, UDF, SquashFS, EROFS, proc and
/// sysfs.
const LOCAL: [u32; 19] = [
    0x0000_ef53,
    0x5846_5342,
    0x9123_683e,
    0x794c_7630,
    0xf2f5_2010,
    0xca45_1a4e,
    0x2fc1_2fc1,
    0x3153_464a,
    0x0000_3434,
    0x0000_4d44,
    0x2011_bab0,
    0x7366_746e,
    0x5346_544e,
    0x0000_9660,
    0x1501_3346,
    0x7371_7368,
    0xe0f5_e1e2,
    0x0000_9fa0,
    0x6265_6572,
];

impl FileSystem {
    /// Finds out the kind of the file system that `file` is on. This may block as every call to that file system may.
    ///
    /// # Errors
    ///
    /// Those of fstatfs(2).
    pub(crate) fn of(file: impl AsFd) -> Result<FileSystem, Errno> {
        // The magic number has 32 bits, with its sign in the higher ones on some platforms.
        Ok(FileSystem::from_magic(fstatfs(file)?.f_type as u32))
    }

    fn from_magic(magic: u32) -> FileSystem {
        if IN_MEMORY.contains(&magic) {
            FileSystem::Memory
        } else if LOCAL.contains(&magic) {
            FileSystem::Local
        } else {
            FileSystem::Slow
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn knows_the_kinds_of_file_systems() {
        for (magic, expected) in [
            (0x0102_1994, FileSystem::Memory),
            (0xef53, FileSystem::Local),
            (0x794c_7630, FileSystem::Local),
            // FUSE, NFS, CIFS, 9p and an unknown file system.
            (0x6573_5546, FileSystem::Slow),
            (0x6969, FileSystem::Slow),
            (0xff53_4d42, FileSystem::Slow),
            (0x0102_1997, FileSystem::Slow),
            (0x1234_5678, FileSystem::Slow),
        ] {
            assert_eq!(FileSystem::from_magic(magic), expected, "{magic:x}");
        }
        let proc = File::open("/proc/self/stat").expect("a file");
        assert_eq!(FileSystem::of(proc), Ok(FileSystem::Local));
    }
}
