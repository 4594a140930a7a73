//! `httpd precompress`: writes compressed forms beside the files of a directory.
//!
//! It follows no symbolic link, and changes no file but those that it writes: each gets a temporary name first.

use clap::Args;
use flate2::{Compression, write::GzEncoder};
use http_engine::io_cause;
use http_files::is_compressible;
use rustix::fs::OFlags;
use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, IsTerminal, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::{self, ExitCode},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// The length in bytes of the shortest file that is compressed. A shorter one fits into one packet anyway.
const MIN_LEN: u64 = 1024;

/// The extensions of the forms.
const EXTENSIONS: &[&str] = if cfg!(feature = "brotli") { &["br", "gz"] } else { &["gz"] };

/// Writes FILE.br and FILE.gz beside the text files of a directory, which the server then sends instead
///
/// Only files of at least 1 KiB, and only what is smaller. A form that is not older than its file is left as it is.
/// Hidden files and symbolic links are skipped.
#[derive(Args)]
pub struct Precompress {
    /// The directory; all directories below it are included
    directory: PathBuf,

    /// How much to compress: 1 is fast, and 11 is slow and small. gzip takes at most 9
    #[arg(long, value_name = "1..11", value_parser = clap::value_parser!(u32).range(1..=11), default_value_t = 11)]
    level: u32,
}

/// What has been done.
#[derive(Default)]
struct Totals {
    /// The number of compressible files.
    files: AtomicUsize,
    /// The number of these that have been looked at.
    done: AtomicUsize,
    written: AtomicUsize,
    bytes_before: AtomicUsize,
    bytes_after: AtomicUsize,
    errors: AtomicUsize,
}

impl Precompress {
    /// Compresses all files. The exit code is 1 if that failed for one of them.
    pub fn run(&self) -> ExitCode {
        let (mut files, totals) = (Vec::new(), Totals::default());
        find_files(&self.directory, &mut files, &totals);
        totals.files.store(files.len(), Ordering::Relaxed);
        let files = Mutex::new(files);
        let next = || files.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(file) = next() {
                        self.compress(&file, &totals);
                    }
                });
            }
        });
        println!("{totals}");
        ExitCode::from(u8::from(totals.errors.load(Ordering::Relaxed) > 0))
    }

    /// Writes the forms of one file that are missing or older than it.
    fn compress(&self, path: &Path, totals: &Totals) {
        for extension in EXTENSIONS {
            match self.write_form(path, extension) {
                Ok(None) => {}
                Ok(Some((before, after))) => {
                    totals.written.fetch_add(1, Ordering::Relaxed);
                    totals.bytes_before.fetch_add(before, Ordering::Relaxed);
                    totals.bytes_after.fetch_add(after, Ordering::Relaxed);
                }
                Err(error) => totals.report("compress", path, &error),
            }
        }
        totals.done.fetch_add(1, Ordering::Relaxed);
        totals.show_progress();
    }

    /// Writes the form of a file with this extension. Returns the lengths of the file and the form, or `None` if there
    /// is a form already or it would not be smaller.
    fn write_form(&self, path: &Path, extension: &str) -> io::Result<Option<(usize, usize)>> {
        let file =
            OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)?;
        let metadata = file.metadata()?;
        let form = with_extension(path, "", extension);
        if fs::symlink_metadata(&form).is_ok_and(|form| form.is_file() && !is_older(&form, &metadata)) {
            return Ok(None);
        }
        let temporary = with_extension(path, ".", &format!("{extension}.{}.tmp", process::id()));
        let output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = self.encode(&file, &output, extension).and_then(|()| {
            let (len, form_len) = (metadata.len(), output.metadata()?.len());
            if form_len >= len {
                return Ok(None);
            }
            if file.metadata()?.modified()? != metadata.modified()? {
                return Err(io::Error::other("it has changed meanwhile"));
            }
            output.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o777))?;
            output.set_modified(metadata.modified()?)?;
            fs::rename(&temporary, &form)?;
            Ok(Some((len as usize, form_len as usize)))
        });
        if !matches!(written, Ok(Some(_))) {
            fs::remove_file(&temporary)?;
        }
        written
    }

    fn encode(&self, mut file: &File, output: &File, extension: &str) -> io::Result<()> {
        match extension {
            #[cfg(feature = "brotli")]
            "br" => {
                /// The logarithm of the window's size, as of the `brotli` program.
                const WINDOW: i32 = 22;
                let quality = i32::try_from(self.level).unwrap_or(11);
                let params =
                    brotli::enc::BrotliEncoderParams { quality, lgwin: WINDOW, ..Default::default() };
                brotli::BrotliCompress(&mut file, &mut &*output, &params)?;
            }
            _ => {
                let mut encoder = GzEncoder::new(output, Compression::new(self.level.min(9)));
                io::copy(&mut file, &mut encoder)?;
                encoder.finish()?;
            }
        }
        Ok(())
    }
}

/// Appends the compressible files in a directory and all below it. Reports what cannot be read.
fn find_files(directory: &Path, files: &mut Vec<PathBuf>, totals: &Totals) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return totals.report("read", directory, &error),
    };
    for entry in entries {
        let found = entry.and_then(|entry| {
            let name = entry.file_name();
            let kind = entry.file_type()?;
            if name.as_bytes().starts_with(b".") && name != ".well-known" {
                return Ok(());
            }
            if kind.is_dir() {
                find_files(&entry.path(), files, totals);
            } else if kind.is_file()
                && is_compressible(Path::new(&name))
                && entry.metadata()?.len() >= MIN_LEN
            {
                files.push(entry.path());
            }
            Ok(())
        });
        if let Err(error) = found {
            totals.report("read", directory, &error);
        }
    }
}

/// Returns `path` with `prefix` before and an extension after the name of the file.
fn with_extension(path: &Path, prefix: &str, extension: &str) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

fn is_older(form: &Metadata, file: &Metadata) -> bool {
    (form.mtime(), form.mtime_nsec()) < (file.mtime(), file.mtime_nsec())
}

impl Totals {
    /// Reports that this cannot be done with a file. Its name may contain what ends a line or controls the terminal.
    fn report(&self, action: &str, path: &Path, error: &io::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let path = path.to_string_lossy();
        eprintln!("httpd: cannot {action} {}: {}", path.escape_debug(), io_cause(error));
    }

    /// Shows how many files are done, on a terminal.
    fn show_progress(&self) {
        let mut terminal = io::stderr().lock();
        if terminal.is_terminal() {
            let (done, files) = (self.done.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed));
            let end = if done == files { "\n" } else { "" };
            // Fails if the terminal was closed.
            let _ = write!(terminal, "\r{done} of {files} files{end}");
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        let (files, written, errors) = (get(&self.files), get(&self.written), get(&self.errors));
        let (before, after) = (get(&self.bytes_before), get(&self.bytes_after));
        write!(
            f,
            "{files} compressible files, {written} forms written: {before} bytes became {after}; {errors} errors"
        )
    }
}
