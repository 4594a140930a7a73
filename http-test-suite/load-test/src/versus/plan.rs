//! The plan of a run: which servers do which works, and how thoroughly. Running it also prepares the files.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::contest::{Contest, Stage};
use super::results::{Results, VERSION};
use super::rivals::{self, Entrant, Rival};
use super::site::Site;
use super::works::{self, Work};
use crate::lab::results::{Machine, Settings};
use crate::lab::server::{Cpus, bind_to};

/// Which servers do which works, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The path of the project's server.
    pub httpd: PathBuf,
    /// The directory of the built programs of `baselines`.
    pub baselines: PathBuf,
    /// The servers. A server that is not installed is left out.
    pub rivals: Vec<&'static Rival>,
    /// The works.
    pub works: Vec<&'static Work>,
    /// How often each work is measured on each server.
    pub rounds: usize,
    /// The duration of each measurement, without the warm-up.
    pub time: Duration,
    /// Threads or processes of each server, unless a work says otherwise.
    pub workers: usize,
}

impl Plan {
    /// Everything, three times for two seconds, with one worker. `httpd` is looked for beside this program, and the
    /// baselines in the workspace around it.
    ///
    /// # Errors
    ///
    /// If the path of this program is unknown.
    pub fn whole() -> Result<Plan, Box<dyn Error>> {
        let own = env::current_exe()?;
        let dir = own.parent().ok_or("this program has no parent directory")?;
        let workspace = dir.parent().and_then(|target| target.parent()).unwrap_or(dir);
        Ok(Plan {
            httpd: dir.join("httpd"),
            baselines: workspace.join("http-test-suite/baselines/target/release"),
            rivals: rivals::ALL.iter().collect(),
            works: works::ALL.iter().collect(),
            rounds: 3,
            time: Duration::from_secs(2),
            workers: 1,
        })
    }

    /// A plan of about a minute.
    ///
    /// # Errors
    ///
    /// As for [`whole`](Plan::whole).
    pub fn quick() -> Result<Plan, Box<dyn Error>> {
        let works = works::ALL.iter().filter(|work| works::QUICK.contains(&work.id)).collect();
        Ok(Plan { works, rounds: 1, time: Duration::from_millis(600), ..Plan::whole()? })
    }

    /// Runs all measurements. Calls `watch` before each.
    ///
    /// # Errors
    ///
    /// If nothing can be measured. The failure of a server is recorded in its cells.
    pub fn run(&self, watch: &dyn Fn(Stage)) -> Result<Results, Box<dyn Error>> {
        let found = self.rivals.iter().map(|rival| rival.find(&self.httpd, &self.baselines));
        let (entrants, missing): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
        let entrants: Vec<Entrant> = entrants.into_iter().flatten().collect();
        let mut left_out: Vec<String> = missing.into_iter().filter_map(Result::err).collect();
        if entrants.is_empty() {
            return Err(format!("there is no server to measure: {}", left_out.join("; ")).into());
        }
        let machine = Machine::this();
        let cpus = Cpus::halve()?;
        allow_descriptors();
        bind_to(&cpus.driver)?;
        let scratch = tempfile::tempdir()?;
        let site = Site::write(&scratch.path().join("root"), &self.works)?;
        let contest = Contest::of(self, &entrants, &site, scratch.path(), &cpus, watch);
        let (cells, unable) = contest.run()?;
        left_out.extend(unable);
        fs::remove_dir_all(&site.root)?;
        let settings = Settings {
            rounds: self.rounds,
            seconds: self.time.as_secs_f64(),
            workers: self.workers,
            server_cpus: cpus.server.clone(),
            driver_cpus: cpus.driver.clone(),
        };
        let servers = entrants.iter().map(Entrant::version).collect();
        Ok(Results { version: VERSION, machine, settings, servers, left_out, cells })
    }
}

/// Raises the limit on open files to the maximum, for this process and for the servers that it starts.
fn allow_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // An error here is ignored: if the limit is too low, connecting fails later and reports it.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
