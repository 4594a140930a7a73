//! A worker process: serves with the listeners of its master until the master stops it or ends.

use super::{
    engine,
    reload::{Reloads, report_failure},
    settings::{Application, MakeHandler, OpenApplication, ServerSettings},
    tls::Security,
};
use crate::{
    admin::{self, Measured},
    handoff::{ControlSocket, Inherited, Message, read_configuration},
    logs::Logs,
    signals::{Signal, SignalHandlers, SignalQueue},
    system::{Context, spawn},
    tls::TlsSettings,
};
use http_engine::Running;
use rustix::thread::set_name;
use std::{
    ffi::CString,
    io,
    os::fd::OwnedFd,
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

/// How long writing the last lines of each log may take before the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves as the worker process with this number until the master stops it or ends. `inherited` is what the master has
/// handed over. Fails if the worker cannot start, or if its engine ends although nothing has stopped it.
pub(super) fn run(
    settings: &ServerSettings,
    number: usize,
    inherited: Inherited,
    handlers: SignalHandlers,
) -> io::Result<()> {
    set_process_name(settings.name);
    let (mut worker, signals) = Worker::start(settings, number, inherited, handlers)?;
    let result = worker.serve(&signals);
    worker.logs.flush(FLUSH_TIMEOUT);
    result
}

/// A worker process.
struct Worker<'s> {
    settings: &'s ServerSettings,
    /// Its number among the worker processes.
    number: usize,
    /// What it serves.
    application: Arc<dyn Application>,
    security: Security,
    engine: Arc<Running>,
    logs: Logs,
    /// Reloads of the application, each from the files that the master has sent.
    reloads: Reloads<Vec<OwnedFd>, Loaded>,
}

/// What a reload has loaded: the application, its handler and its certificates.
type Loaded = (Arc<dyn Application>, MakeHandler, Option<TlsSettings>);

impl<'s> Worker<'s> {
    /// Starts the engine and the threads of the process, and tells the master.
    fn start(
        settings: &'s ServerSettings,
        number: usize,
        inherited: Inherited,
        handlers: SignalHandlers,
    ) -> io::Result<(Worker<'s>, SignalQueue)> {
        let Inherited { listeners, plain, application: mut files, logs, socket, .. } = inherited;
        // The process has the user and the Landlock rules of its master.
        let (logs, ()) = settings.options.service.logs.start(logs, || Ok(()))?;
        let signals = handlers.into_queue(Signal::for_worker)?;
        let application = Arc::clone(&settings.application);
        let security = Security::load(&*application, &listeners, &plain)?;
        // The program has read the configuration, which is the first file.
        let roots = files.split_off(1.min(files.len()));
        let make = OpenApplication::inherited(Arc::clone(&application), roots).make_handler()?;
        let make = wrap(make, number, &security, &logs);
        let engine = engine::start(settings, (listeners, plain), &security, &make, signals.sender())?;
        socket.send_ready().context("cannot notify the master process")?;
        forward_messages(socket, signals.sender())?;
        let reloads = Reloads::new(signals.sender());
        Ok((Worker { settings, number, application, security, engine, logs, reloads }, signals))
    }

    /// Handles signals until the worker has stopped. Fails if its engine ends although nothing has stopped it.
    fn serve(&mut self, signals: &SignalQueue) -> io::Result<()> {
        let mut draining = false;
        loop {
            match signals.next(self.reloads.report_slow(Instant::now())) {
                Signal::Stop | Signal::EngineEnded if draining => return Ok(()),
                Signal::Stop | Signal::MasterEnded => {
                    draining = true;
                    self.engine.stopper().stop(self.settings.grace());
                }
                Signal::EngineEnded => return Err(engine::ended_unexpectedly()),
                Signal::ReopenLogs => self.logs.reopen(),
                Signal::SendMetrics(socket) => self.send_metrics(socket),
                Signal::ServeApplication(files) => self.reloads.request(files),
                Signal::ReloadEnded => self.end_reload(),
                _ => {}
            }
            if let Some(files) = self.reloads.take_request() {
                let current = Arc::clone(&self.application);
                self.reloads.begin(Instant::now(), move || load(current, files));
            }
        }
    }

    /// Sends what the worker has measured to the master.
    fn send_metrics(&self, socket: OwnedFd) {
        let engine = self.engine.metrics().first().copied().unwrap_or_default();
        let measured = Measured { engine, application: self.application.measure(self.number) };
        // Fails if the master does not wait any more.
        let _ = admin::send(socket, &measured, self.logs.lost());
    }

    /// Serves what a reload has loaded, unless it has failed.
    fn end_reload(&mut self) {
        let Some((application, make, tls)) = self.reloads.end() else { return };
        if let Err(error) = self.security.replace(tls) {
            return report_failure(&error);
        }
        self.engine.replace_handlers(&*wrap(make, self.number, &self.security, &self.logs));
        self.application = application;
    }
}

/// Returns a function that makes the same handlers as `make`, but with redirects to `https` and logs. The engine of
/// this process calls it with the worker number 0, and it calls `make` with the `number` of the worker process.
fn wrap(make: MakeHandler, number: usize, security: &Security, logs: &Logs) -> MakeHandler {
    logs.wrap(security.wrap(Arc::new(move |_| make(number))))
}

/// Loads what the master has reloaded. The first of the `files` has the configuration, and the others are the document
/// roots. May wait for a disk.
fn load(application: Arc<dyn Application>, mut files: Vec<OwnedFd>) -> io::Result<Loaded> {
    let configuration = files.remove(0);
    let changed = application.with_configuration(&read_configuration(&configuration)?)?;
    let application = changed.unwrap_or(application);
    let make = OpenApplication::inherited(Arc::clone(&application), files).make_handler()?;
    let tls = application.tls()?;
    Ok((application, make, tls))
}

/// Sets the name of this process, which `ps` and `pgrep` show: the kernel has taken it from the file that was executed,
/// `/proc/self/exe`. The kernel truncates it to 15 bytes. Does nothing if that fails.
fn set_process_name(name: &str) {
    let _ = CString::new(name).map(|name| set_name(&name));
}

/// Starts a thread that receives the master's messages from `socket`. For each message it puts
/// [`Signal::ServeApplication`] or [`Signal::ReopenLogs`] into the signal queue. When the master ends, the thread puts
/// [`Signal::MasterEnded`] into the queue and ends. Fails if the thread cannot be started.
fn forward_messages(socket: ControlSocket, signals: Sender<Signal>) -> io::Result<()> {
    spawn("control", move || {
        // Sending fails only when the main thread has ended, and with it the process.
        while let Ok(Some(message)) = socket.receive() {
            let _ = match message {
                Message::Application(files) => signals.send(Signal::ServeApplication(files)),
                Message::ReopenLogs => signals.send(Signal::ReopenLogs),
                Message::SendMetrics(socket) => signals.send(Signal::SendMetrics(socket)),
                _ => Ok(()),
            };
        }
        let _ = signals.send(Signal::MasterEnded);
    })
}
