//! The start of a master process. What only root may do comes first.

use super::{Master, Workers, application_files, logs_to_hand_over, worker_handoff};
use crate::{
    admin::AdminServer,
    confinement::{self, Confinement},
    handoff::{ControlSocket, Inherited},
    launch::{
        access,
        differences::differences,
        engine, listeners,
        reload::Reloads,
        settings::{MakeHandler, OpenApplication, ServerSettings},
        socket_files::{self, SocketFiles},
        tls::{self, Security},
    },
    logs::{LogFiles, Logs},
    notify::{ServiceState, notify},
    options::ServiceOptions,
    pid_file::PidFile,
    prefork::WorkerPool,
    privileges::Identity,
    signals::{Signal, SignalHandlers, SignalQueue},
    system::Context,
};
use http_engine::listener::Listener;
use rustix::process::geteuid;
use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

/// The sockets of a server.
struct Sockets {
    listeners: Vec<Listener>,
    /// Those without TLS beside the listeners.
    plain: Vec<Listener>,
    /// Those of the admin server.
    admin: Vec<Listener>,
    /// The files of Unix sockets among the listeners.
    socket_files: SocketFiles,
    /// The names of the options that differ from the inherited sockets.
    differing: Vec<&'static str>,
}

/// The process that this one succeeds.
struct Predecessor {
    socket: ControlSocket,
    /// Its PID file, locked.
    pid_file: Option<OwnedFd>,
}

impl Master<'_> {
    /// Starts the server: claims the PID file, opens the document roots and the listeners, drops privileges, then
    /// starts logs and workers. Returns when it accepts connections. `inherited` is what the predecessor has handed
    /// over; `None` if this process is not a successor. Fails if any of these steps fails.
    pub(in crate::launch) fn start(
        settings: &ServerSettings,
        inherited: Option<Inherited>,
        handlers: SignalHandlers,
    ) -> io::Result<Master<'_>> {
        let started_at = SystemTime::now();
        let service = &settings.options.service;
        let pid_file = if inherited.is_none() { claim_pid_file(service)? } else { None };
        let application = OpenApplication::open(Arc::clone(&settings.application))?;
        let make = application.make_handler()?;
        let (sockets, inherited_logs, predecessor) = Sockets::open(settings, inherited)?;
        let log_files = match inherited_logs {
            // A successor has the user of its predecessor already, and its Landlock rules may forbid reading
            // `/etc/passwd`.
            Some(files) => files,
            None => drop_privileges(service, &sockets.socket_files)?,
        };
        let confine = || service.confine.then(|| confine(settings)).transpose();
        let (logs, confinement) = service.logs.start(log_files, confine)?;
        let signals = handlers.into_queue(Signal::for_master)?;
        warn(settings, &sockets);
        let Sockets { listeners, plain, admin, socket_files, .. } = sockets;
        let security = Security::load(&*settings.application, &listeners, &plain)?;
        security.check_expiry(started_at, true);
        let application_files = application_files(settings, &application)?;
        let mut master = Master {
            settings,
            workers: start_workers(
                settings,
                (&listeners, &plain),
                (make, &application_files),
                &security,
                &logs,
                &signals,
            )?,
            admin: start_admin(settings, admin, &signals)?,
            reloads: Reloads::new(signals.sender()),
            signals,
            logs,
            listeners,
            socket_files,
            plain,
            security,
            check_expiry_at: Instant::now() + tls::CHECK_INTERVAL,
            application,
            application_files,
            successor: None,
            pid_file,
            is_admin_ending: false,
            started_at,
        };
        master.announce(confinement);
        master.check_application();
        notify(ServiceState::Ready);
        if let Some(predecessor) = predecessor {
            master.take_over(predecessor)?;
        }
        Ok(master)
    }

    /// Takes over the PID file of the predecessor, and tells it that this process serves.
    fn take_over(&mut self, Predecessor { socket, pid_file }: Predecessor) -> io::Result<()> {
        // First the PID file, because the predecessor ends when it learns that this process serves.
        if let Some((path, file)) = self.settings.options.service.pid_file.as_ref().zip(pid_file) {
            self.pid_file = Some(PidFile::take_over(path, file).context(not_claimed(path))?);
        }
        // Fails if the predecessor has crashed meanwhile, which is no reason not to serve.
        let _ = socket.send_ready();
        Ok(())
    }
}

impl Sockets {
    /// Opens the sockets that were not inherited. Also returns the other parts of what was inherited.
    fn open(
        settings: &ServerSettings,
        inherited: Option<Inherited>,
    ) -> io::Result<(Sockets, Option<LogFiles<OwnedFd>>, Option<Predecessor>)> {
        let (mut sockets, logs, predecessor) = match inherited {
            Some(Inherited { listeners, plain, pid_file, admin, logs, socket, .. }) => {
                let differing = differences(settings, &listeners, &plain, &admin);
                let socket_files = SocketFiles::of(settings, &listeners);
                let sockets = Sockets { listeners, plain, admin, socket_files, differing };
                (sockets, Some(logs), Some(Predecessor { socket, pid_file }))
            }
            None => {
                let (listeners, plain) = listeners::listen(settings)?;
                let (socket_files, admin, differing) =
                    (SocketFiles::of(settings, &listeners), Vec::new(), Vec::new());
                (Sockets { listeners, plain, admin, socket_files, differing }, None, None)
            }
        };
        match settings.application.redirects() {
            Some(_) if sockets.plain.is_empty() => sockets.plain = listeners::listen_plain(settings)?,
            Some(_) => {}
            None => sockets.plain.clear(),
        }
        if sockets.admin.is_empty() {
            sockets.admin = listeners::listen_admin(&settings.options)?;
        }
        Ok((sockets, logs, predecessor))
    }
}

/// Claims the PID file, if there is to be one.
fn claim_pid_file(service: &ServiceOptions) -> io::Result<Option<PidFile>> {
    let claim = |path: &PathBuf| PidFile::claim(path).context(not_claimed(path));
    service.pid_file.as_ref().map(claim).transpose()
}

/// The context of an error while the PID file `path` is claimed.
fn not_claimed(path: &Path) -> String {
    format!("cannot claim the PID file {}", path.display())
}

/// With `--user`, switches to that user. Returns the log files that the user may be unable to open.
fn drop_privileges(service: &ServiceOptions, socket_files: &SocketFiles) -> io::Result<LogFiles<OwnedFd>> {
    let Some(user) = &service.user else { return Ok(LogFiles::default()) };
    let identity = Identity::find(user, service.group.as_deref())?;
    let log_files = service.logs.open_as_root(&identity)?;
    socket_files.give_to(&identity)?;
    identity.switch()?;
    Ok(log_files)
}

/// Logs what the operator should change.
fn warn(settings: &ServerSettings, sockets: &Sockets) {
    if geteuid().is_root() {
        log::warn!(
            "serving as root: a flaw in the server would give a client full control of the machine (add --user)"
        );
    }
    for option in &sockets.differing {
        log::warn!("{option} keeps the value of the predecessor: only a restart changes it");
    }
    if settings.options.service.user.is_some() {
        for inaccessible in access::denied(&*settings.application) {
            log::warn!("{inaccessible}");
        }
    }
    let budget = engine::connection_budget(settings, sockets.listeners.len() + sockets.plain.len());
    if budget.falls_short() {
        log::warn!("{budget}");
    }
}

/// Starts the workers: processes with `--prefork`, otherwise threads with handlers of `make`.
fn start_workers(
    settings: &ServerSettings,
    (listeners, plain): (&[Listener], &[Listener]),
    (make, application_files): (MakeHandler, &[OwnedFd]),
    security: &Security,
    logs: &Logs,
    signals: &SignalQueue,
) -> io::Result<Workers> {
    if settings.options.prefork {
        let logs = logs_to_hand_over(settings, logs);
        let handoff = worker_handoff((listeners, plain), application_files, logs.borrow());
        let pool = WorkerPool::start(settings.workers(), handoff);
        return Ok(Workers::Processes(pool.context("cannot start worker processes")?));
    }
    let duplicate = |listeners: &[Listener]| {
        let own = listeners.iter().map(Listener::try_clone).collect::<io::Result<_>>();
        own.context("cannot duplicate the listeners")
    };
    let own = (duplicate(listeners)?, duplicate(plain)?);
    let make = logs.wrap(security.wrap(make));
    Ok(Workers::Threads(engine::start(settings, own, security, &make, signals.sender())?))
}

/// Starts the admin server, if it has listeners.
fn start_admin(
    settings: &ServerSettings,
    listeners: Vec<Listener>,
    signals: &SignalQueue,
) -> io::Result<Option<AdminServer>> {
    if listeners.is_empty() {
        return Ok(None);
    }
    let metrics = settings.application.metrics();
    AdminServer::start(listeners, settings.server_header(), metrics, signals.sender()).map(Some)
}

/// Restricts the file access of this process with Landlock to the document roots, the configuration, the log files, the
/// PID file, the Unix sockets and what it needs to start this program again. Returns how far the kernel enforces that.
/// Fails if a document root cannot be opened, or if the process has a second thread.
fn confine(settings: &ServerSettings) -> io::Result<Confinement> {
    let ServiceOptions { logs, pid_file, .. } = &settings.options.service;
    let logs = logs.paths();
    let logs: Vec<_> = logs.iter().map(PathBuf::as_path).collect();
    let (roots, reads) = (settings.application.roots(), settings.application.reads());
    let removed: Vec<_> =
        pid_file.iter().cloned().chain(socket_files::paths(&settings.options.bind)).collect();
    let removed: Vec<_> = removed.iter().map(PathBuf::as_path).collect();
    let confined = confinement::confine(&roots, &reads, &logs, &removed);
    confined.context("cannot confine the process")
}
