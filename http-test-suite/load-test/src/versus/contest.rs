//! The order of the measurements: each round measures every work on every server in turn. A server is started for each
//! measurement and stopped after it, so that its caches hold nothing from another work.

use std::fs;
use std::io;
use std::path::Path;

use super::measure::{Bench, Measured};
use super::plan::Plan;
use super::results::{Cell, Round};
use super::rivals::{Entrant, Place};
use super::site::Site;
use super::works::{Manner, Point, Work};
use crate::lab::server::{Cpus, bind_to};

/// The measurement that is about to run, for progress output.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Measurements done so far.
    pub done: usize,
    /// The total number of measurements.
    pub of: usize,
    /// The round, from 1.
    pub round: usize,
    /// The work.
    pub work: &'static Work,
    /// The point of the work.
    pub point: &'static Point,
    /// [`Rival::id`](super::Rival::id).
    pub server: &'static str,
}

/// The state of a running plan.
pub(super) struct Contest<'a> {
    plan: &'a Plan,
    entrants: &'a [Entrant],
    site: &'a Site,
    scratch: &'a Path,
    /// The CPUs if server and driver have CPUs of their own, and if they share all.
    apart: &'a Cpus,
    together: Cpus,
    watch: &'a dyn Fn(Stage),
    done: usize,
    cells: Vec<Cell>,
    unable: Vec<String>,
}

impl<'a> Contest<'a> {
    /// Makes the initial state, without any measurements.
    pub(super) fn of(
        plan: &'a Plan,
        entrants: &'a [Entrant],
        site: &'a Site,
        scratch: &'a Path,
        cpus: &'a Cpus,
        watch: &'a dyn Fn(Stage),
    ) -> Contest<'a> {
        let mut all = [&*cpus.server, &*cpus.driver].concat();
        all.sort_unstable();
        all.dedup();
        let together = Cpus { server: all.clone(), driver: all };
        let (done, cells, unable) = (0, Vec::new(), Vec::new());
        Contest { plan, entrants, site, scratch, apart: cpus, together, watch, done, cells, unable }
    }

    /// Runs all measurements. Also returns which servers could not take part in a work, and why.
    ///
    /// # Errors
    ///
    /// If the CPU affinity cannot be set.
    pub(super) fn run(mut self) -> io::Result<(Vec<Cell>, Vec<String>)> {
        let of = self.stages().count() * self.plan.rounds;
        for round in 1..=self.plan.rounds {
            let stages: Vec<_> = self.stages().collect();
            for group in stages.chunk_by(|a, b| (a.0.id, a.1.name) == (b.0.id, b.1.name)) {
                // Rotate, so that no server is always measured first or last.
                let (later, first) = group.split_at(round % group.len());
                for (work, point, entrant) in first.iter().chain(later).copied() {
                    let (done, server) = (self.done, entrant.rival.id);
                    (self.watch)(Stage { done, of, round, work, point, server });
                    let measured = self.measure(work, point, entrant);
                    self.record(round, (work, point, server), measured);
                    self.done += 1;
                }
            }
        }
        bind_to(&self.apart.driver)?;
        Ok((self.cells, self.unable))
    }

    /// The measurements of one round.
    fn stages(&self) -> impl Iterator<Item = (&'static Work, &'static Point, &'a Entrant)> + use<'_, 'a> {
        let points =
            self.plan.works.iter().flat_map(|work| work.points.iter().map(move |point| (*work, point)));
        points.flat_map(|(work, point)| {
            let fits =
                move |entrant: &&Entrant| work.is_for(entrant.rival) && work.is_at(point, entrant.rival);
            self.entrants.iter().filter(fits).map(move |entrant| (work, point, entrant))
        })
    }

    fn measure(&self, work: &'static Work, point: &Point, entrant: &Entrant) -> io::Result<Measured> {
        let scratch = self.scratch.join(format!("{}-{}", entrant.rival.id, self.done));
        fs::create_dir(&scratch)?;
        let Manner { logs, shares_cpus, .. } = work.manner();
        let (cpus, workers) = match shares_cpus {
            true => (&self.together, self.together.server.len()),
            false => (self.apart, self.plan.workers),
        };
        // `Entrant::start` sets the port and whether the process is root.
        let place =
            Place { root: &self.site.root, scratch: &scratch, port: 0, workers, logs, is_root: false };
        let bench = Bench { entrant, place, cpus, time: self.plan.time };
        let measured = bench.measure(work, point);
        // An error here is ignored: the whole temporary directory is removed at the end.
        let _ = fs::remove_dir_all(&scratch);
        measured
    }

    fn record(
        &mut self,
        round: usize,
        (work, point, server): (&Work, &Point, &str),
        measured: io::Result<Measured>,
    ) {
        let sample = match measured {
            Ok(Measured::Sample(sample)) => Ok(sample),
            Ok(Measured::Unable(why)) => {
                let line = format!("{server} at {}: {why}", work.id);
                if !self.unable.contains(&line) {
                    self.unable.push(line);
                }
                return;
            }
            Err(error) => Err(error.to_string()),
        };
        let place = (work.id, point.name, server);
        let index = self.cells.iter().position(|cell| cell.place() == place).unwrap_or_else(|| {
            self.cells.push(Cell::at(place));
            self.cells.len() - 1
        });
        let cell = &mut self.cells[index];
        match sample {
            Ok(sample) => cell.rounds.push(Round { round, sample }),
            Err(why) => cell.failures.push(format!("round {round}: {why}")),
        }
    }
}
