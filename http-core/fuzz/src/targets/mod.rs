//! The properties of the fuzz targets. Each module describes one property, and its `check` panics for an input that
//! violates it. libFuzzer calls `check` from the binaries in `fuzz_targets`, and the tests call it for every seed.

pub mod chunked;
pub mod client;
pub mod conditional;
pub mod connection;
pub mod form;
pub mod head;
pub mod multipart;
pub mod path;
pub mod proxy_header;
pub mod range;
pub mod router;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// The directory of this crate. The working directory of a test is that of its package: http-core or
    /// http-core/fuzz.
    fn fuzz() -> &'static Path {
        Path::new(if Path::new("fuzz").is_dir() { "fuzz" } else { "." })
    }

    /// Checks the inputs in `seeds/NAME`, of which there must be some, and in `corpus/NAME` and `artifacts/NAME`, which
    /// libFuzzer writes, if they exist. A failure names the input.
    fn replay(name: &str, check: fn(&[u8])) {
        let mut checked = 0;
        for inputs in ["seeds", "corpus", "artifacts"] {
            let Ok(files) = fs::read_dir(fuzz().join(inputs).join(name)) else { continue };
            for file in files {
                let path = file.expect("a file").path();
                let input = fs::read(&path).expect("a readable file");
                if std::panic::catch_unwind(|| check(&input)).is_err() {
                    panic!("{} violates the property of {name}", path.display());
                }
                checked += 1;
            }
        }
        assert!(checked > 0, "no seeds of {name} in {}", fuzz().display());
    }

    macro_rules! replay {
        ($($name:ident)*) => {
            const REPLAYED: &[&str] = &[$(stringify!($name)),*];
            $(
                #[test]
                fn $name() {
                    replay(stringify!($name), super::$name::check);
                }
            )*
        };
    }

    replay! { chunked client conditional connection form head multipart path proxy_header range router }

    #[test]
    fn the_seeds_of_each_target_are_replayed() {
        let targets = fs::read_dir(fuzz().join("fuzz_targets")).expect("a directory");
        let mut names: Vec<_> = targets.map(|file| file.expect("a file").path().with_extension("")).collect();
        names.sort();
        let names: Vec<_> = names.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, REPLAYED);
    }
}
