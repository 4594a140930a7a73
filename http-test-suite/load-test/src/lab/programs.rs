//! The programs that the lab starts. It finds them beside itself, or builds them if it is in a workspace.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The paths of the programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The demo application on the blocking engine.
    pub sync_server: PathBuf,
    /// The demo application on event loops.
    pub async_server: PathBuf,
    /// The stub of the weather service.
    pub weather_stub: PathBuf,
    /// The reference, if it is installed.
    pub nginx: Option<PathBuf>,
}

impl Programs {
    /// Finds the programs in `dir`; by default, in the directory of this program. If that is in a workspace, builds
    /// them first, so that the lab never measures an outdated server.
    ///
    /// # Errors
    ///
    /// If a program is missing, or cannot be built.
    pub fn find(dir: Option<&Path>) -> Result<Programs, Box<dyn Error>> {
        let dir = match dir {
            Some(dir) => dir.to_owned(),
            None => built(env::current_exe()?.parent().ok_or("this program has no parent directory")?)?,
        };
        let find = |name: &str| {
            let mut places = [dir.join(name), dir.join("examples").join(name)].into_iter();
            places.find(|place| place.is_file()).ok_or_else(|| format!("{name} is not in {}", dir.display()))
        };
        Ok(Programs {
            sync_server: find("sync-server")?,
            async_server: find("async-server")?,
            weather_stub: find("weather-stub")?,
            nginx: installed("nginx"),
        })
    }

    /// The version of each program, as the program prints it.
    pub fn versions(&self) -> Vec<String> {
        let ours =
            [&self.sync_server, &self.async_server].into_iter().map(|program| version(program, "--version"));
        let own = format!("load-test {}", env!("CARGO_PKG_VERSION"));
        let nginx = self.nginx.as_ref().map(|program| version(program, "-v"));
        ours.chain(nginx).chain([own]).collect()
    }
}

/// Builds the programs if `dir` is below the `target` of this workspace, and returns their directory; otherwise
/// returns `dir`.
fn built(dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let target = dir.parent().unwrap_or(dir);
    let Some(workspace) = target.parent().filter(|dir| dir.join("servers/demo/Cargo.toml").is_file()) else {
        return Ok(dir.to_owned());
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet", "-p", "demo", "-p", "httpd", "--bins"]);
    command.arg("--target-dir").arg(target).current_dir(workspace);
    let status = command.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(target.join("release")) } else { Err("the servers cannot be built".into()) }
}

/// Finds a program in PATH or in /usr/sbin, where Debian installs servers.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// The first line that a program prints for its version flag; its name if it prints none.
pub fn version(program: &Path, flag: &str) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let output = Command::new(program).arg(flag).output().ok().filter(|output| output.status.success());
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&said).trim().to_owned();
    text.lines().next().map_or_else(|| name.to_string(), str::to_owned)
}
