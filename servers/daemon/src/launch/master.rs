//! The process that an operator talks to: it starts whatever serves, carries out orders, hands over to a successor.

use super::{
    addresses,
    settings::{Failure, Settings, failed},
    threads::{Threads, ended_by_itself},
};
use crate::{
    confinement::{self, Confinement, Needs},
    handoff::{Bequest, Heir, Inherited, Line, Role, path_of},
    logs::Logs,
    notify::{self, State},
    pid_file::PidFile,
    prefork::Crew,
    privileges,
    signals::{Caught, Order, Orders},
};
use http_engine::{Engine, MakeHandler};
use std::{
    fs::{self, File},
    io::{self, Write},
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::{Path, PathBuf},
    process,
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

/// What worker processes get beyond their own grace before they are killed.
const BEYOND_GRACE: Duration = Duration::from_secs(1);

/// How long the last lines of a log may take to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Serves until it is told to stop, or a successor serves; `inherited` is what a predecessor has handed over.
pub(super) fn run(settings: &Settings, inherited: Option<Inherited>, caught: Caught) -> Result<(), Failure> {
    let mut master = Master::prepare(settings, inherited, caught)?;
    let outcome = master.serve().map(|()| master.drain());
    master.logs.flush(LAST_LINES);
    outcome
}

struct Master<'a> {
    settings: &'a Settings,
    orders: Orders,
    logs: Logs,
    /// What is accepted from, for workers and successors to come.
    listeners: Vec<TcpListener>,
    /// The document root, for workers to come.
    root: Option<OwnedFd>,
    work: Work,
    /// A successor that does not serve yet.
    heir: Option<Heir>,
    pid_file: Option<PidFile>,
}

/// What serves.
enum Work {
    Threads(Threads),
    Processes(Crew),
}

impl Work {
    /// Returns when it serves.
    fn start(
        settings: &Settings,
        listeners: &[TcpListener],
        root: Option<&OwnedFd>,
        make: &MakeHandler,
        logs: &Logs,
        orders: Sender<Order>,
    ) -> Result<Work, Failure> {
        if settings.prefork {
            let bequest = Bequest { listeners, root: root.map(AsFd::as_fd), pid_file: None };
            let crew = Crew::start(settings.workers, bequest);
            return crew.map(Work::Processes).map_err(failed("cannot run worker processes"));
        }
        let own = listeners.iter().map(TcpListener::try_clone).collect::<io::Result<_>>();
        let own = own.map_err(failed("cannot start serving"))?;
        Threads::start(settings, own, |number| make(number), logs, orders).map(Work::Threads)
    }

    /// Whether nothing is left of it. Threads say themselves when they end.
    fn is_over(&mut self) -> bool {
        match self {
            Work::Threads(_) => false,
            Work::Processes(crew) => crew.is_gone(),
        }
    }
}

impl Master<'_> {
    /// Does everything in the one order in which it works: what takes rights before they are given up, and that
    /// before the first thread is started; the new number in the pid file before the predecessor may go.
    fn prepare(
        settings: &Settings,
        inherited: Option<Inherited>,
        caught: Caught,
    ) -> Result<Master<'_>, Failure> {
        let no_pid_file = || failed("cannot have the pid file");
        let claimed =
            settings.pid_file.as_ref().filter(|_| inherited.is_none()).map(|path| PidFile::claim(path));
        let claimed = claimed.transpose().map_err(no_pid_file())?;
        let root = settings.open_root()?;
        let make = settings.open_application(root.as_ref())?;
        let (listeners, handed_over) = match inherited {
            Some(Inherited { listeners, pid_file, line, .. }) => (listeners, Some((line, pid_file))),
            None => (addresses::listen(settings)?, None),
        };
        let connections = settings.connections(listeners.len());
        // A successor has no more rights than its predecessor had, and perhaps not those to look the user up again.
        if let (Some((user, group)), None) = (&settings.user, &handed_over) {
            privileges::drop_to(user, group.as_deref()).map_err(failed(format!("cannot serve as {user}")))?;
        }
        // Opened with the rights that are left, and so they can be opened again, and by worker processes.
        let logs = settings.log.open().map_err(failed("cannot write a log"))?;
        let confinement = confine(settings)?;
        let logs = logs.start().map_err(failed("cannot write a log"))?;
        let orders = caught.orders(Order::to_master).map_err(failed("cannot handle signals"))?;
        if connections.is_lowered() {
            log::warn!("{connections}");
        }
        let work = Work::start(settings, &listeners, root.as_ref(), &make, &logs, orders.giver())?;
        let mut master =
            Master { settings, orders, logs, listeners, root, work, heir: None, pid_file: claimed };
        master.announce(confinement);
        tell(State::Ready);
        if let Some((line, pid_file)) = handed_over {
            if let Some((path, file)) = settings.pid_file.as_ref().zip(pid_file) {
                master.pid_file = Some(PidFile::take_over(path, file).map_err(no_pid_file())?);
            }
            // If the predecessor has died meanwhile, serving is all the more important.
            let _ = line.say_serving();
        }
        Ok(master)
    }

    /// The one line at start. Nobody has to read it, so it may fail.
    fn announce(&self, confinement: Option<Confinement>) {
        let Settings { name, application, workers, prefork, .. } = self.settings;
        let addresses = addresses::of(&self.listeners);
        let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}/")).collect();
        let engine = match self.settings.engine {
            Engine::EventLoop => "event loop",
            Engine::Blocking => "blocking",
        };
        let kind = if *prefork { "worker process" } else { "worker" };
        let plural = match (workers, prefork) {
            (1, _) => "",
            (_, true) => "es",
            (_, false) => "s",
        };
        let confinement = confinement.map_or_else(String::new, |confinement| format!(", {confinement}"));
        let line = format!(
            "{name} serves {application} at {} ({engine}, {workers} {kind}{plural}{confinement})\n",
            urls.join(" and ")
        );
        // In one piece: the line of a predecessor or a log may come at the same time.
        let _ = io::stdout().write_all(line.as_bytes()).and_then(|()| io::stdout().flush());
    }

    /// Carries out orders until it is time to stop.
    fn serve(&mut self) -> Result<(), Failure> {
        loop {
            let look_at = self.look_after();
            match self.orders.next(look_at) {
                Order::Stop => {
                    tell(State::Stopping);
                    return Ok(());
                }
                Order::Reopen => self.reopen(),
                Order::Renew => self.renew(),
                Order::Replace => self.replace(),
                Order::Unsucceeded(why) => self.go_on(&why),
                Order::Succeeded => {
                    self.retire();
                    return Ok(());
                }
                Order::Ended => return Err(ended_by_itself()),
                Order::Look | Order::Root(_) | Order::Orphaned => {}
            }
        }
    }

    /// Replaces workers that have died; says when to look again.
    fn look_after(&mut self) -> Option<Instant> {
        let Work::Processes(crew) = &mut self.work else { return None };
        let root = self.root.as_ref().map(AsFd::as_fd);
        crew.look_after(Bequest { listeners: &self.listeners, root, pid_file: None })
    }

    fn reopen(&self) {
        self.logs.reopen();
        if let Work::Processes(crew) = &self.work {
            crew.tell(Line::send_reopen);
        }
    }

    fn renew(&mut self) {
        tell(State::Reloading);
        self.reopen();
        if let Err(failure) = self.renew_root() {
            log::error!("{failure}; what was served before still is");
        }
        tell(State::Ready);
    }

    /// Opens the document root anew by its name, which may lead somewhere else by now.
    fn renew_root(&mut self) -> Result<(), Failure> {
        let Some(root) = self.settings.open_root()? else { return Ok(()) };
        if self.settings.confine {
            // Opening alone takes no right. Under Landlock, reading does.
            fs::read_dir(path_of(&root))
                .map_err(failed(format!("confined, and so cannot serve {}", self.settings.application)))?;
        }
        let make = self.settings.open_application(Some(&root))?;
        match &self.work {
            Work::Threads(threads) => threads.apps.renew(|number| make(number)),
            Work::Processes(crew) => crew.tell(|line| line.send_root(&root)),
        }
        self.root = Some(root);
        Ok(())
    }

    /// Starts a successor, and goes on until it serves.
    fn replace(&mut self) {
        if self.heir.is_some() {
            log::warn!("a successor is being started already");
            return;
        }
        let pid_file = self.pid_file.as_ref().map(AsFd::as_fd);
        let bequest = Bequest { listeners: &self.listeners, root: None, pid_file };
        let orders = self.orders.giver();
        let tell = move |outcome: io::Result<()>| {
            let _ = orders.send(outcome.map_or_else(Order::Unsucceeded, |()| Order::Succeeded));
        };
        match Heir::start(Role::Successor, bequest) {
            Ok(heir) => match heir.when_serving(tell) {
                Ok(()) => self.heir = Some(heir),
                Err(error) => self.go_on(&error),
            },
            Err(error) => self.go_on(&error),
        }
    }

    /// There is no successor.
    fn go_on(&mut self, why: &io::Error) {
        self.heir = None;
        log::error!("cannot hand over: {why}");
        if let Some(Err(error)) = self.pid_file.as_ref().map(name_this_process) {
            log::error!("the pid file cannot be written: {error}");
        }
    }

    /// Leaves everything to the successor.
    fn retire(&mut self) {
        let Some(heir) = self.heir.take() else { return };
        log::info!("process {} has taken over", heir.id());
        tell(State::MainProcess(heir.id()));
        heir.let_go();
    }

    /// Has what is in flight finish, for the time that it is granted, or until the order to stop comes again.
    fn drain(&mut self) {
        // It does not serve yet, and is not to.
        self.heir = None;
        // Once whatever serves has closed its own, newcomers are refused, instead of waiting for nobody.
        self.listeners.clear();
        let grace = self.settings.grace;
        let deadline = Instant::now() + grace + BEYOND_GRACE;
        match &self.work {
            Work::Threads(threads) => threads.stop.ask(grace),
            Work::Processes(crew) => crew.stop(),
        }
        while Instant::now() < deadline && !self.work.is_over() {
            match self.orders.next(Some(deadline)) {
                Order::Stop | Order::Ended => return,
                Order::Reopen | Order::Renew => self.reopen(),
                _ => {}
            }
        }
    }
}

/// Writes once more who serves: a successor may have written its own number before it failed, and whoever has asked for
/// one learns by the file's time that this is over.
fn name_this_process(pid_file: &PidFile) -> io::Result<()> {
    let file = File::from(pid_file.as_fd().try_clone_to_owned()?);
    let line = format!("{}\n", process::id());
    file.write_all_at(line.as_bytes(), 0)?;
    file.set_len(line.len() as u64)
}

/// Gives up, if that is wanted, all files but those that serving takes.
fn confine(settings: &Settings) -> Result<Option<Confinement>, Failure> {
    if !settings.confine {
        return Ok(None);
    }
    let files = |file: &Option<PathBuf>| file.iter().cloned().collect::<Vec<_>>();
    let needs = Needs {
        roots: settings.application.root().map(Path::to_owned).into_iter().collect(),
        logs: [files(&settings.log.file), files(&settings.log.errors)].concat(),
        removed: files(&settings.pid_file),
    };
    confinement::confine(&needs).map(Some).map_err(failed("cannot be confined"))
}

/// Tells the service manager, if there is one.
fn tell(state: State) {
    if let Err(error) = notify::tell(state) {
        log::warn!("the service manager cannot be told {state:?}: {error}");
    }
}
