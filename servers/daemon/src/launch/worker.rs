//! A worker process: serves with the listeners of its master until the master stops it or ends.

use super::{
    settings::ServerSettings,
    threads::{EngineThreads, ended_unexpectedly},
};
use crate::{
    error::Context,
    handoff::{ControlSocket, Inherited, Message},
    logs::Logs,
    signals::{Signal, SignalHandlers, SignalQueue},
};
use http_engine::MakeHandler;
use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, mpsc::Sender},
    thread,
    time::Duration,
};

/// How long writing the last lines of each log may take at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves as the worker with this number.
pub(super) fn run(
    settings: &ServerSettings,
    number: usize,
    inherited: Inherited,
    handlers: SignalHandlers,
) -> io::Result<()> {
    let Inherited { listeners, root, socket, .. } = inherited;
    let logs = settings.logs.open()?.start()?;
    let signals = handlers.into_queue(Signal::for_worker).context("cannot start the signal thread")?;
    let make = open_application(settings, number, root.as_ref())?;
    let threads = EngineThreads::start(settings, listeners, &make, &logs, signals.sender())?;
    socket.send_ready().context("cannot notify the master process")?;
    forward_messages(socket, signals.sender()).context("cannot start the control thread")?;
    let worker = Worker { settings, number, signals, logs, threads };
    let result = worker.serve().map(|()| worker.drain());
    worker.logs.flush(FLUSH_TIMEOUT);
    result
}

/// Opens the application. The process has a single worker, whose number among the worker processes is `number`.
fn open_application(
    settings: &ServerSettings,
    number: usize,
    root: Option<&OwnedFd>,
) -> io::Result<MakeHandler> {
    let make = settings.open_application(root)?;
    Ok(Arc::new(move |_| make(number)))
}

/// Starts a thread that puts the messages of the master, and then its end, into the signal queue.
fn forward_messages(socket: ControlSocket, signals: Sender<Signal>) -> io::Result<()> {
    let forward = move || {
        loop {
            let signal = match socket.receive() {
                Ok(Some(Message::Root(root))) => Signal::ServeRoot(root),
                Ok(Some(Message::ReopenLogs)) => Signal::ReopenLogs,
                Ok(Some(_)) => continue,
                Ok(None) | Err(_) => break drop(signals.send(Signal::MasterEnded)),
            };
            if signals.send(signal).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().name("control".to_owned()).spawn(forward).map(drop)
}

struct Worker<'a> {
    settings: &'a ServerSettings,
    number: usize,
    signals: SignalQueue,
    logs: Logs,
    threads: EngineThreads,
}

impl Worker<'_> {
    /// Handles signals until it is time to stop.
    fn serve(&self) -> io::Result<()> {
        loop {
            match self.signals.next(None) {
                Signal::Stop | Signal::MasterEnded => return Ok(()),
                Signal::ReopenLogs => self.logs.reopen(),
                Signal::ServeRoot(root) => self.serve_root(&root),
                Signal::EngineEnded => return Err(ended_unexpectedly()),
                _ => {}
            }
        }
    }

    fn serve_root(&self, root: &OwnedFd) {
        match open_application(self.settings, self.number, Some(root)) {
            Ok(make) => self.threads.replace_handlers(&make),
            Err(error) => log::error!("{error} (still serving the previous document root)"),
        }
    }

    /// Waits until the requests in flight are finished, the grace period is over, or a second signal to stop comes.
    fn drain(&self) {
        self.threads.begin_shutdown(self.settings.grace);
        loop {
            match self.signals.next(None) {
                Signal::Stop | Signal::EngineEnded => return,
                Signal::ReopenLogs => self.logs.reopen(),
                // The end of the master changes nothing now.
                _ => {}
            }
        }
    }
}
