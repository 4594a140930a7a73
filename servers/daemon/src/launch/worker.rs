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
    signals::{Signal, SignalHandlers},
    system::{Context, spawn},
    tls::TlsSettings,
};
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
    let Inherited { listeners, plain, mut application, logs, socket, .. } = inherited;
    set_process_name(settings.name);
    // The process has the user and the Landlock rules of its master.
    let (logs, ()) = settings.options.service.logs.start(logs, || Ok(()))?;
    let signals = handlers.into_queue(Signal::for_worker)?;
    // To its engine the worker has number 0; among the worker processes it has `number`.
    let mut security = Security::load(&*settings.application, &listeners, &plain)?;
    let wrap =
        |security: &Security, make: MakeHandler| logs.wrap(security.wrap(Arc::new(move |_| make(number))));
    // The program has read the configuration, which is the first file.
    let roots = application.split_off(1.min(application.len()));
    let mut application = Arc::clone(&settings.application);
    let make = wrap(&security, OpenApplication::inherited(Arc::clone(&application), roots).make_handler()?);
    let engine = engine::start(settings, (listeners, plain), &security, &make, signals.sender())?;
    socket.send_ready().context("cannot notify the master process")?;
    forward_messages(socket, signals.sender())?;
    let mut reloads = Reloads::new(signals.sender());
    let mut draining = false;
    let result = loop {
        match signals.next(reloads.check(Instant::now())) {
            Signal::Stop | Signal::EngineEnded if draining => break Ok(()),
            Signal::Stop | Signal::MasterEnded => {
                draining = true;
                engine.stopper().stop(settings.grace());
            }
            Signal::EngineEnded => break Err(engine::ended_unexpectedly()),
            Signal::ReopenLogs => logs.reopen(),
            Signal::SendMetrics(socket) => {
                let engine = engine.metrics().first().copied().unwrap_or_default();
                let measured = Measured { engine, application: application.measure(number) };
                // Fails if the master does not wait any more.
                let _ = admin::send(socket, &measured, logs.lost());
            }
            Signal::ServeApplication(files) => reloads.request(files),
            Signal::ReloadEnded => {
                if let Some((next, make, tls)) = reloads.end() {
                    match security.replace(tls) {
                        Ok(()) => {
                            engine.replace_handlers(&*wrap(&security, make));
                            application = next;
                        }
                        Err(error) => report_failure(&error),
                    }
                }
            }
            _ => {}
        }
        if let Some(files) = reloads.next() {
            let current = Arc::clone(&application);
            reloads.begin(Instant::now(), move || load(current, files));
        }
    };
    logs.flush(FLUSH_TIMEOUT);
    result
}

/// Returns the application with the configuration that the master has reloaded, which is the first of these files, and
/// its handler for the document roots, which are the others, and its certificates. May wait for a disk.
fn load(
    application: Arc<dyn Application>,
    mut files: Vec<OwnedFd>,
) -> io::Result<(Arc<dyn Application>, MakeHandler, Option<TlsSettings>)> {
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
