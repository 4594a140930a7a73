//! Finds the programs of subjects and reads their versions.

use std::env;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::configuration::Environment;

/// Command-line options of a program, in addition to those that depend on the [`Environment`].
type ProgramOptions = &'static [&'static str];

/// The program of a subject with its options, and so what it responds with.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// A program of the demo application, by name. It also serves files below `/static/`.
    Demo(&'static str, ProgramOptions),
    /// httpd, the file server of this project.
    Httpd(ProgramOptions),
    /// A file server packaged by Debian: its program's name, its options up to the one for a configuration file, and
    /// the function that makes the text of that file from an environment and a port.
    Packaged(&'static str, ProgramOptions, fn(&Environment, u16) -> String),
    /// A file server of the workspace `baselines`, by name.
    Files(&'static str),
    /// A program of `baselines`, by name, that responds with the same [`PAGE_LEN`](super::site::PAGE_LEN) bytes to
    /// every request.
    Constant(&'static str, ProgramOptions),
}

/// The directories in which the programs of subjects are looked for.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The directory of the programs of this workspace: httpd and the demo application.
    workspace: PathBuf,
    /// Where `workspace` is, in words, for [`MissingProgram`]: it names no directory, because results store it.
    place: &'static str,
    /// The directory of the programs of http-test-suite/baselines.
    baselines: PathBuf,
}

/// A program that was not found. Displayed, it says which, and where it was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingProgram {
    /// The name of the program's file.
    name: &'static str,
    /// Where the program was looked for, in words.
    place: &'static str,
    /// What the user has to do with the program: `build` or `install`.
    verb: &'static str,
    /// How to build the program, as the end of a sentence; empty for `install`.
    how: &'static str,
}

impl Programs {
    /// Uses these directories. The default for `workspace` is the directory of this program; if that is in the `target`
    /// of its workspace, builds the servers first, so that no outdated server is measured. The default for `baselines`
    /// is `http-test-suite/baselines/target/release` in the same workspace.
    ///
    /// # Errors
    ///
    /// If the servers cannot be built.
    pub fn in_directories(
        workspace: Option<&Path>,
        baselines: Option<&Path>,
    ) -> Result<Programs, Box<dyn Error>> {
        let own = env::current_exe()?;
        let dir = own.parent().ok_or("this program has no parent directory")?;
        let top = dir.ancestors().nth(2).unwrap_or(dir);
        let place = if workspace.is_some() { "in --bin-dir" } else { "beside load-test" };
        let workspace = match workspace {
            Some(dir) => dir.to_owned(),
            None if top.join("servers/demo/Cargo.toml").is_file() => build(top)?,
            None => dir.to_owned(),
        };
        let default = || top.join("http-test-suite/baselines/target/release");
        Ok(Programs { workspace, place, baselines: baselines.map_or_else(default, Path::to_owned) })
    }

    /// Finds the file of a program: in its directory, or of a packaged server in PATH or /usr/sbin.
    ///
    /// # Errors
    ///
    /// If the program is not there.
    pub fn find(&self, program: Program) -> Result<PathBuf, MissingProgram> {
        let name = program.name();
        let (path, place, verb, how) = match program {
            Program::Demo(..) | Program::Httpd(_) => {
                let how = " with \"cargo build --release --bins\"";
                (Some(self.workspace.join(name)), self.place, "build", how)
            }
            Program::Files(_) | Program::Constant(..) => {
                let how = " with \"cargo build --release\" in http-test-suite/baselines";
                (Some(self.baselines.join(name)), "in baselines", "build", how)
            }
            Program::Packaged(..) => (installed(name), "on this system", "install", ""),
        };
        path.filter(|path| path.is_file()).ok_or(MissingProgram { name, place, verb, how })
    }
}

impl MissingProgram {
    /// Says which programs are missing and how to get them, in one clause for those of each place. The programs are in
    /// the order of the catalogue, so that those of a place stand together.
    pub fn describe(mut all: Vec<MissingProgram>) -> String {
        all.dedup();
        let clause = |group: &[MissingProgram]| {
            let MissingProgram { place, verb, how, .. } = group[0];
            let names: Vec<&str> = group.iter().map(|program| program.name).collect();
            let (are, them) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
            format!("{} {are} missing {place}; {verb} {them}{how}", names.join(" and "))
        };
        let clauses: Vec<String> = all.chunk_by(|a, b| a.place == b.place).map(clause).collect();
        clauses.join("; ")
    }
}

/// Writes which program is missing, and where.
impl fmt::Display for MissingProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing {}", self.name, self.place)
    }
}

impl Error for MissingProgram {}

impl Program {
    /// The name of the program's file.
    fn name(self) -> &'static str {
        match self {
            Program::Httpd(_) => "httpd",
            Program::Demo(name, _) | Program::Constant(name, _) => name,
            Program::Packaged(name, ..) | Program::Files(name) => name,
        }
    }

    /// The first line that the program at this path prints for its version flag; its name if it prints none.
    pub fn version(self, path: &Path) -> String {
        let flag = if matches!(self, Program::Packaged(..)) { "-v" } else { "--version" };
        let output = Command::new(path).arg(flag).output().ok().filter(|output| output.status.success());
        let output = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        let line = String::from_utf8_lossy(&output).trim().lines().next().map(str::to_owned);
        line.unwrap_or_else(|| self.name().to_owned())
    }
}

/// Builds the servers of the workspace in the directory `top`, and returns the directory of the programs.
fn build(top: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet", "-p", "demo", "-p", "httpd", "--bins"]);
    command.arg("--target-dir").arg(top.join("target")).current_dir(top);
    let status = command.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() {
        Ok(top.join("target/release"))
    } else {
        Err("cannot build the servers: cargo failed".into())
    }
}

/// Finds a program in PATH or in /usr/sbin, where Debian installs servers.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join(name)).find(|program| program.is_file())
}
