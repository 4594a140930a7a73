//! Files that change between requests, or that have no content of their own.

use crate::{
    client::{Client, get, wait_for},
    program,
    site::Directory,
};
use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};

/// How long a server may serve the old state of a file after a change. It takes a second, unless the machine is busy
/// with other work.
const MAX_DELAY: Duration = Duration::from_secs(5);

two_kinds! {
    fn changes_are_visible_after_about_a_second(kind: ServerKind) {
        let root = Directory::new();
        ["changed", "replaced", "deleted"].iter().for_each(|name| root.write(name, "before"));
        let server = program::serve_root(kind, root.root(), &[]);
        let mut client = Client::connect(server.address());
        let mut state = |name: &str| {
            let response = client.fetch(get(&format!("/{name}")));
            let content = if response.status == 200 { response.text() } else { String::new() };
            (response.status, content, response.header("ETag").map(str::to_owned))
        };
        let names = ["changed", "replaced", "deleted", "new"];
        let before = names.map(&mut state);
        assert_eq!(before.each_ref().map(|(status, ..)| *status), [200, 200, 200, 404]);
        // Only the content and the time of the status change differ from those before.
        let modified = fs::metadata(root.path("changed")).and_then(|file| file.modified()).expect("a time");
        root.write("changed", "behind");
        let file = File::options().write(true).open(root.path("changed"));
        file.and_then(|file| file.set_modified(modified)).expect("a time");
        root.write("other", "another");
        root.rename("other", "replaced");
        fs::remove_file(root.path("deleted")).expect("a file");
        root.write("new", "new");
        let start = Instant::now();
        let after = [(200, "behind"), (200, "another"), (404, ""), (200, "new")];
        for ((name, before), (status, content)) in names.iter().zip(before).zip(after) {
            wait_for(name, || {
                let now = state(name);
                let is_new = now.0 == status && now.1 == content && now.2 != before.2;
                assert!(is_new || now == before, "{name}: {now:?} is neither the old nor the new state");
                is_new.then_some(())
            });
        }
        assert!(start.elapsed() < MAX_DELAY, "all changes visible after {:?}", start.elapsed());
    }

    /// The kernel makes the content of these files when they are read, and reports another length: 0 in `/proc`, a page
    /// in `/sys`. Reading `/proc/kmsg` would wait for a message, and reading `/proc/self/mem` from its start fails.
    fn files_that_the_kernel_generates_are_not_found(kind: ServerKind) {
        let server = program::serve_root(kind, Path::new("/"), &[]);
        let mut client = Client::connect(server.address());
        let targets = ["/sys/class/net/lo/address", "/proc/version", "/proc/kmsg", "/proc/self/mem"];
        let found: Vec<_> = targets.iter().filter(|target| File::open(target).is_ok()).collect();
        assert!(!found.is_empty(), "neither /proc nor /sys is there");
        found.iter().for_each(|target| assert_eq!(client.fetch(get(target)).status, 404, "{target}"));
    }
}
