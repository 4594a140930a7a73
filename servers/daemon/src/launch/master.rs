//! The master process: supervises the workers, handles the operator's signals, and hands over to a successor.

mod start;

use super::{
    announcement::{Announcement, Style, Urls},
    engine,
    reload::{Reloads, report_failure},
    settings::{Application, MakeHandler, OpenApplication, ServerSettings},
    socket_files::SocketFiles,
    tls::{self, Security},
};
use crate::{
    admin::{AdminServer, Measured, Report, WorkerReport},
    confinement::Confinement,
    handoff::{Child, Handoff, Message, Role},
    logs::{self, LogFiles, Logs, Output},
    notify::{ServiceState, notify},
    pid_file::PidFile,
    prefork::WorkerPool,
    signals::{Signal, SignalQueue},
    system::{Context, spawn},
    tls::TlsSettings,
};
use http_engine::{Engine, Running, io_cause, listener::Listener};
use std::{
    fs::{self, File},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// How long workers may still run after the grace period. Then the master ends, and kills its worker processes.
const KILL_DELAY: Duration = Duration::from_secs(1);

/// How long writing the last lines of each log may take before the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The master process of a running server: it gets the listeners, then serves with its own threads or supervises worker
/// processes.
pub(super) struct Master<'a> {
    settings: &'a ServerSettings,
    signals: SignalQueue,
    logs: Logs,
    /// Removed at the end, before the listeners are closed, unless a successor has taken over.
    socket_files: SocketFiles,
    /// The listening sockets, kept open to hand them over to worker processes and successors.
    listeners: Vec<Listener>,
    /// The listening sockets without TLS beside them.
    plain: Vec<Listener>,
    security: Security,
    /// When to look again which certificates expire soon.
    check_expiry_at: Instant,
    application: OpenApplication,
    /// The configuration and the document roots of the application, to hand over to worker processes. Empty without
    /// `--prefork`.
    application_files: Vec<OwnedFd>,
    reloads: Reloads<(), Reloaded>,
    workers: Workers,
    /// A successor that was started and does not accept connections yet.
    successor: Option<Child>,
    /// `None` without the option `--pid-file`.
    pid_file: Option<PidFile>,
    /// `None` without the option `--admin`, and once a successor has taken over.
    admin: Option<AdminServer>,
    /// Whether the admin server still finishes its requests after a successor has taken over.
    is_admin_ending: bool,
    /// When this process has started.
    started_at: SystemTime,
}

/// What a reload has loaded.
struct Reloaded {
    application: OpenApplication,
    make: MakeHandler,
    tls: Option<TlsSettings>,
    /// Whether the application has a configuration, which was read again.
    has_configuration: bool,
}

/// The workers that serve the requests.
enum Workers {
    /// The engine runs in threads of the master process.
    Threads(Arc<Running>),
    /// Each worker is a process of its own (`--prefork`).
    Processes(WorkerPool),
}

impl Master<'_> {
    /// Serves until a signal stops the server or a successor accepts connections. Then finishes the requests in flight
    /// and writes the remaining log lines. Fails if the engine ends although no signal has stopped it.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let result = self.serve().map(|()| self.drain());
        self.logs.flush(FLUSH_TIMEOUT);
        result
    }

    /// Prints to standard output, as one line unless it is a terminal: the URLs, the engine and the workers of the
    /// server, and how far its file access is restricted. `confinement` is `None` without `--confine`. Does not wait
    /// until the line is written: a full pipe must not keep this process from handling signals. A failure is ignored,
    /// because standard output may be closed.
    fn announce(&self, confinement: Option<Confinement>) {
        let ServerSettings { name, engine, options, .. } = self.settings;
        let application = &self.application.application;
        let workers = self.settings.workers();
        let scheme = if self.security.is_on() { "https" } else { "http" };
        let (mut urls, mut admin) = (Urls::default(), Urls::default());
        let add = |urls: &mut Urls, scheme: &str, listeners: &[Listener]| {
            let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
            addresses.for_each(|address| urls.add(scheme, &address));
        };
        add(&mut urls, scheme, &self.listeners);
        add(&mut urls, "http", &self.plain);
        self.admin.iter().for_each(|server| add(&mut admin, "http", &server.listeners));
        let engine = if *engine == Engine::Blocking { "blocking" } else { "event loop" };
        let (unit, plural) = if options.prefork { ("worker process", "es") } else { ("worker", "s") };
        let plural = if workers == 1 { "" } else { plural };
        let confinement = confinement.map_or_else(String::new, |confinement| format!(", {confinement}"));
        let how = &format!("{engine}, {workers} {unit}{plural}{confinement}");
        let announcement = Announcement { what: format!("{name} serves {application}"), urls, admin, how };
        // A single write, because a predecessor or a log may write to the same output.
        let _ = logs::print(Output::Stdout, &announcement.text(Style::of_stdout()));
    }

    /// Logs what the operator should know about what the application serves ([`Application::notice`]). Does not wait,
    /// because the application may read from a disk that does not answer.
    fn check_application(&self) {
        let application = Arc::clone(&self.settings.application);
        let check = move || application.notice().into_iter().for_each(|notice| log::info!("{notice}"));
        if let Err(error) = spawn("notice", check) {
            log::error!("{error}");
        }
    }

    /// Handles signals until one of them stops the server or a successor accepts connections. Fails if the engine ends
    /// although no signal has stopped it.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let deadlines =
                [self.maintain_workers(), self.reloads.report_slow(Instant::now()), self.check_expiry()];
            match self.signals.next(deadlines.into_iter().flatten().min()) {
                Signal::Stop => break notify(ServiceState::Stopping),
                Signal::ReopenLogs => self.reopen_logs(),
                Signal::Reload => self.reload(),
                Signal::ReloadEnded => self.end_reload(),
                Signal::StartSuccessor => self.start_successor(),
                Signal::SuccessorFailed(error) => self.continue_without_successor(&error),
                Signal::SuccessorReady => break self.retire(),
                Signal::EngineEnded => return Err(engine::ended_unexpectedly()),
                Signal::ReportMetrics(sender) => drop(sender.send(self.reports())),
                Signal::CheckDue
                | Signal::ServeApplication(_)
                | Signal::AdminEnded
                | Signal::SendMetrics(_)
                | Signal::MasterEnded => {}
            }
        }
        Ok(())
    }

    /// Logs once a day which certificates expire soon. Returns when to call this again; `None` without certificates.
    fn check_expiry(&mut self) -> Option<Instant> {
        if Instant::now() >= self.check_expiry_at {
            self.check_expiry_at += tls::CHECK_INTERVAL;
            self.security.check_expiry(SystemTime::now(), false);
        }
        self.security.is_on().then_some(self.check_expiry_at)
    }

    /// Returns what this process has counted, and where the reports of its worker processes will come from.
    fn reports(&self) -> Vec<WorkerReport> {
        let workers = match &self.workers {
            Workers::Threads(threads) => {
                let measure = |(number, engine)| {
                    let application = self.application.application.measure(number);
                    (number, Measured { engine, application })
                };
                threads.metrics().into_iter().enumerate().map(measure).collect()
            }
            Workers::Processes(_) => Vec::new(),
        };
        let own = Report {
            process: None,
            pid: process::id(),
            started_at: self.started_at,
            workers,
            lost_log_lines: self.logs.lost(),
            certificates: self.security.certificates().to_vec(),
        };
        let mut reports = vec![WorkerReport::Own(own)];
        if let Workers::Processes(pool) = &self.workers {
            reports.extend(pool.reports());
        }
        reports
    }

    /// Starts the replacements that are due for worker processes that have ended. Returns when the next replacement is
    /// due: `None` if all worker processes run, or if the workers are threads. Does not wait for that time.
    fn maintain_workers(&mut self) -> Option<Instant> {
        let Workers::Processes(pool) = &mut self.workers else { return None };
        let logs = logs_to_hand_over(self.settings, &self.logs);
        pool.maintain(worker_handoff((&self.listeners, &self.plain), &self.application_files, logs.borrow()))
    }

    /// Reopens the log files by their names, in this process and in the worker processes. Does not wait.
    fn reopen_logs(&self) {
        self.logs.reopen();
        if let Workers::Processes(pool) = &self.workers {
            pool.broadcast(&Message::ReopenLogs);
        }
    }

    /// Reopens the log files and the document roots by their names, and reads the configuration again. Does not wait:
    /// [`Signal::ReloadEnded`] follows. If a reload is running, another one begins after it.
    fn reload(&mut self) {
        notify(ServiceState::Reloading);
        self.reopen_logs();
        self.reloads.request(());
        self.begin_reload();
    }

    /// Begins the reload that was requested, if there is one and none is running.
    fn begin_reload(&mut self) {
        if let Some(()) = self.reloads.take_request() {
            let application = Arc::clone(&self.application.application);
            let is_confined = self.settings.options.service.confine;
            self.reloads.begin(Instant::now(), move || Reloaded::load(application, is_confined));
        }
    }

    /// Makes all workers serve what a reload has loaded. A failure is logged, and what was open before stays in use.
    fn end_reload(&mut self) {
        if let Some(Err(error)) = self.reloads.end().map(|reloaded| self.serve_reloaded(reloaded)) {
            report_failure(&error);
        }
        self.begin_reload();
        if !self.reloads.is_running() {
            notify(ServiceState::Ready);
        }
    }

    /// Makes all workers serve what a reload has loaded. If this fails, the workers serve as before.
    fn serve_reloaded(&mut self, reloaded: Reloaded) -> io::Result<()> {
        let Reloaded { application, make, tls, has_configuration } = reloaded;
        let files = application_files(self.settings, &application)?;
        self.security.replace(tls)?;
        self.security.check_expiry(SystemTime::now(), true);
        match &self.workers {
            Workers::Threads(threads) => threads.replace_handlers(&*self.logs.wrap(self.security.wrap(make))),
            Workers::Processes(pool) => {
                pool.broadcast(&Message::Application(files.iter().map(AsFd::as_fd).collect()));
            }
        }
        (self.application, self.application_files) = (application, files);
        if has_configuration {
            log::info!("reloaded the configuration");
        }
        Ok(())
    }

    /// Starts a successor, unless one is already starting. Does not wait: [`Signal::SuccessorReady`] follows when the
    /// successor accepts connections, or [`Signal::SuccessorFailed`] if it does not. If no process can be started, only
    /// logs the error.
    fn start_successor(&mut self) {
        if self.successor.is_some() {
            log::warn!("ignoring SIGUSR2: a successor is already starting");
            return;
        }
        // It reads the configuration and opens the document roots itself, because both may have changed.
        let pid_file = self.pid_file.as_ref().map(|pid_file| pid_file.file.as_fd());
        let logs = logs_to_hand_over(self.settings, &self.logs);
        let admin = self.admin.as_ref().map_or(&[][..], |admin| &admin.listeners);
        let handoff = Handoff {
            listeners: &self.listeners,
            plain: &self.plain,
            application: &[],
            pid_file,
            admin,
            logs: logs.borrow(),
        };
        let signals = self.signals.sender();
        let forward = move |result: io::Result<()>| {
            let _ = signals.send(result.map_or_else(Signal::SuccessorFailed, |()| Signal::SuccessorReady));
        };
        let is_confined = self.settings.options.service.confine;
        let started = Child::start(Role::Successor, handoff).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied if is_confined => io::Error::other(format!(
                "{error} (--confine permits a new program file only in a directory without other programs)"
            )),
            _ => error,
        });
        match started.and_then(|child| child.on_ready(forward).map(|()| child)) {
            Ok(child) => self.successor = Some(child),
            Err(error) => self.continue_without_successor(&error),
        }
    }

    /// Continues to serve although the successor failed with `error`. Kills the successor if it still runs, logs the
    /// error, and rewrites the PID file, if there is one, with the PID of this process.
    fn continue_without_successor(&mut self, error: &io::Error) {
        self.successor = None;
        log::error!("cannot hand over: {}", io_cause(error));
        // The successor may have written its own PID. A process that waits for the upgrade watches the file, too.
        if let Some(Err(error)) = self.pid_file.as_ref().map(PidFile::write_pid) {
            log::error!("cannot write the PID file: {}", io_cause(&error));
        }
    }

    /// Tells the service manager that the successor is the main process now, and detaches it, so that it continues to
    /// run when this process ends.
    fn retire(&mut self) {
        let Some(successor) = self.successor.take() else { return };
        log::info!("process {} has taken over", successor.pid());
        notify(ServiceState::MainProcess(successor.pid()));
        self.socket_files.hand_over();
        successor.detach();
        // The kernel may have reported a connection to this process alone: if it ended now, the client would wait.
        if let Some(admin) = self.admin.take() {
            let signals = self.signals.sender();
            let finish = move || {
                admin.finish();
                let _ = signals.send(Signal::AdminEnded);
            };
            self.is_admin_ending = spawn("admin", finish).is_ok();
        }
    }

    /// Stops accepting connections, and waits until the workers have finished the requests in flight and ended, and the
    /// admin server if a successor has taken over.
    ///
    /// Also returns if a further [`Signal::Stop`] arrives, and at the latest [`KILL_DELAY`] after the grace period.
    /// This process then ends, and with it the workers that still run: its threads, or the worker processes, which are
    /// killed.
    fn drain(&mut self) {
        // Kills a successor that does not serve yet.
        self.successor = None;
        if let Some(admin) = &self.admin {
            admin.set_draining();
        }
        self.socket_files = SocketFiles::default();
        // When the workers have closed their listeners too, the kernel refuses new connections instead of queuing them.
        self.listeners.clear();
        self.plain.clear();
        let grace = self.settings.grace();
        let deadline = Instant::now() + grace + KILL_DELAY;
        match &self.workers {
            Workers::Threads(threads) => threads.stopper().stop(grace),
            Workers::Processes(pool) => pool.stop(),
        }
        let mut engine_ended = false;
        while Instant::now() < deadline {
            let workers_ended = match &mut self.workers {
                Workers::Threads(_) => engine_ended,
                Workers::Processes(pool) => pool.has_ended(),
            };
            if workers_ended && !self.is_admin_ending {
                return;
            }
            match self.signals.next(Some(deadline)) {
                Signal::Stop => return,
                Signal::EngineEnded => engine_ended = true,
                Signal::AdminEnded => self.is_admin_ending = false,
                Signal::ReopenLogs | Signal::Reload => self.reopen_logs(),
                Signal::ReportMetrics(sender) => drop(sender.send(self.reports())),
                _ => {}
            }
        }
    }
}

impl Reloaded {
    /// Reads the configuration of `application` again, and opens its document roots by their names, which may refer to
    /// other directories now. May wait for a disk.
    fn load(application: Arc<dyn Application>, is_confined: bool) -> io::Result<Reloaded> {
        let reloaded = application.reload()?;
        let has_configuration = reloaded.is_some();
        let application = OpenApplication::open(reloaded.unwrap_or(application))?;
        if is_confined {
            // Landlock does not restrict opening a directory as a path, only reading it.
            for (root, path) in application.application.roots().iter().zip(application.paths()) {
                fs::read_dir(path)
                    .context(format_args!("cannot serve {} under --confine", root.display()))?;
            }
        }
        let make = application.make_handler()?;
        let tls = application.application.tls()?;
        Ok(Reloaded { application, make, tls, has_configuration })
    }
}

/// Returns the handoff to a worker process. The master keeps the PID file and the sockets of the admin server.
fn worker_handoff<'a>(
    (listeners, plain): (&'a [Listener], &'a [Listener]),
    application: &'a [OwnedFd],
    logs: LogFiles<BorrowedFd<'a>>,
) -> Handoff<'a> {
    Handoff { listeners, plain, application, pid_file: None, admin: &[], logs }
}

/// Returns the configuration and the document roots to hand over to worker processes. Empty without `--prefork`.
fn application_files(settings: &ServerSettings, application: &OpenApplication) -> io::Result<Vec<OwnedFd>> {
    if !settings.options.prefork {
        return Ok(Vec::new());
    }
    application.to_hand_over().context("cannot prepare what worker processes need")
}

/// Returns the open log files if only root may be able to open them: with `--user`.
fn logs_to_hand_over(settings: &ServerSettings, logs: &Logs) -> LogFiles<Arc<File>> {
    settings.options.service.user.as_ref().map_or_else(LogFiles::default, |_| logs.files())
}
