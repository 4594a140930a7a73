//! The application of the simulation: it replies in every way there is, when the seed says so, and reports what must
//! not happen.

use super::{
    bodies::{ContentSink, PlannedSource, SlowReader, SourceState, echo, read_content},
    plan::{Kind, Plan, body, file},
};
use crate::sys::simulated::Random;
use http_core::{Admit, Body, BodySender, Handler, Reply, Request, Responder, Response, SendError, Status};
use std::{
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

/// The state of the application.
pub(super) struct Application {
    /// The plans of all requests, by the numbers that their targets contain.
    pub(super) plans: Vec<Plan>,
    held: Vec<Held>,
    pub(super) random: Random,
    /// The version of the handler. Each reload increments it.
    pub(super) version: usize,
    pub(super) now: Instant,
    /// When the shutdown began, and when its grace period ends.
    pub(super) draining_since: Option<Instant>,
    pub(super) grace_end: Option<Instant>,
    /// Whether the server must refuse some connections, and close idle ones for others.
    pub(super) has_low_limits: bool,
    /// The connections whose requests were handled in this turn.
    pub(super) handled: Vec<usize>,
    /// What must not have happened.
    pub(super) violation: Option<String>,
    /// Referenced by all functions and values of the application that the engine has not dropped.
    live: Arc<()>,
}

pub(super) type SharedApplication = Arc<Mutex<Application>>;

/// What the application holds, and uses later.
enum Held {
    Responder(Work, Responder),
    /// The sender of a body, and how much it has sent.
    Sender(Work, BodySender, usize),
    Source(Work, Weak<Mutex<SourceState>>),
}

/// What the application has to do for the request with this number. The functions and values of the application own it.
pub(super) struct Work {
    pub(super) id: usize,
    pub(super) application: SharedApplication,
    live: Arc<()>,
}

/// The handler of one version.
pub(super) struct VersionedHandler {
    pub(super) application: SharedApplication,
    pub(super) version: usize,
}

pub(super) fn lock(application: &SharedApplication) -> MutexGuard<'_, Application> {
    application.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Application {
    pub(super) fn new(seed: u64, now: Instant, has_low_limits: bool) -> SharedApplication {
        Arc::new(Mutex::new(Application {
            plans: Vec::new(),
            held: Vec::new(),
            random: Random::new(seed),
            version: 0,
            now,
            draining_since: None,
            grace_end: None,
            has_low_limits,
            handled: Vec::new(),
            violation: None,
            live: Arc::default(),
        }))
    }

    /// Reports what must not happen.
    pub(super) fn violate(&mut self, message: String) {
        self.violation.get_or_insert(message);
    }

    /// Notes whether the application owes more of the response to this request.
    pub(super) fn set_owes(&mut self, id: usize, owes: bool) {
        self.plans[id].owes_until = owes.then(|| self.now + Duration::from_secs(1_000_000));
    }

    /// Drops what the application holds. Returns how many other values of the application are left.
    pub(super) fn release(&mut self) -> usize {
        self.held.clear();
        Arc::strong_count(&self.live) - 1
    }

    /// Notes that a handler has received this request. Reports what is wrong with that.
    fn note_handled(&mut self, id: usize, request: &Request<'_>, version: usize) {
        let plan = &mut self.plans[id];
        let is_second = plan.handled_at.replace(self.now).is_some();
        let is_complete = plan.kind != Kind::Buffer || request.body() == body(id, plan.content);
        let addresses = (Some(plan.client_addr), request.client_addr());
        self.handled.push(plan.connection);
        if is_second {
            self.violate(format!("request {id} was handled twice"));
        }
        if !is_complete {
            self.violate(format!("request {id} was handled with other content"));
        }
        if addresses.0 != addresses.1 {
            self.violate(format!("request {id} was handled with another address: {addresses:?}"));
        }
        if version != self.version {
            self.violate(format!("request {id} was handled by handler {version}, not {}", self.version));
        }
    }
}

impl Work {
    pub(super) fn lock(&self) -> MutexGuard<'_, Application> {
        lock(&self.application)
    }

    /// The length of the body of the response.
    pub(super) fn len(&self) -> usize {
        self.lock().plans[self.id].len
    }

    /// Notes that the application owes nothing any more.
    pub(super) fn complete(&self) {
        self.lock().set_owes(self.id, false);
    }

    /// The complete response.
    pub(super) fn response(&self) -> Response {
        self.response_with(body(self.id, self.len()).to_vec())
    }

    fn response_with(&self, body: impl Into<Body>) -> Response {
        Response::bytes(body).with_header("X-Id", self.id.to_string())
    }

    /// Replies when [`act`] says so.
    pub(super) fn defer(self) -> Reply {
        Reply::deferred(move |responder| {
            let live = Arc::clone(&self.live);
            responder.on_closed(move || drop(live));
            let application = Arc::clone(&self.application);
            lock(&application).held.push(Held::Responder(self, responder));
        })
    }
}

/// Uses one of the values that the application holds: responds, sends more of a body, or wakes a source.
pub(super) fn act(application: &SharedApplication) {
    let mut app = lock(application);
    let held = app.held.len();
    if held == 0 {
        return;
    }
    let index = app.random.below(held);
    let used = app.held.swap_remove(index);
    // The engine is called without the lock.
    drop(app);
    let rest = match used {
        Held::Responder(work, responder) => {
            work.complete();
            if work.lock().plans[work.id].kind != Kind::Unanswered {
                responder.respond(work.response());
            }
            None
        }
        Held::Sender(work, sender, sent) => send(work, sender, sent),
        Held::Source(work, source) => produce(work, source),
    };
    lock(application).held.extend(rest);
}

/// Sends some of the rest of a body, or ends it.
fn send(work: Work, sender: BodySender, sent: usize) -> Option<Held> {
    let len = work.len();
    let mut app = work.lock();
    let is_broken = app.plans[work.id].kind == Kind::BrokenChannel;
    if sent == len || (is_broken && app.random.one_in(4)) {
        app.set_owes(work.id, false);
        drop(app);
        if !is_broken {
            sender.finish();
        }
        return None;
    }
    let count = app.random.up_to(len - sent);
    drop(app);
    let sent = match sender.try_send(&body(work.id, len)[sent..sent + count]) {
        Ok(()) => sent + count,
        Err(SendError::Full(_)) => sent,
        Err(SendError::Closed(_)) => {
            work.complete();
            return None;
        }
    };
    Some(Held::Sender(work, sender, sent))
}

/// Makes more of the body of a source, and wakes it.
fn produce(work: Work, source: Weak<Mutex<SourceState>>) -> Option<Held> {
    let state = source.upgrade()?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let len = work.len();
    state.ready = (state.ready + work.lock().random.up_to(len)).min(len);
    let (is_complete, waker) = (state.ready == len, state.waker.clone());
    drop(state);
    if is_complete {
        work.complete();
    }
    if let Some(waker) = waker {
        waker.wake();
    }
    (!is_complete).then_some(Held::Source(work, source))
}

impl Handler for VersionedHandler {
    fn admit(&self, head: &Request<'_>) -> Admit {
        let id = head.path()[1..].parse().unwrap_or(usize::MAX);
        match lock(&self.application).plans.get(id).map(|plan| plan.kind) {
            Some(Kind::Buffer) | None => Admit::Buffer,
            Some(_) => Admit::AtHead,
        }
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        let mut app = lock(&self.application);
        let Some(id) = request.path()[1..].parse().ok().filter(|id| *id < app.plans.len()) else {
            app.violate(format!("a request that no client has sent: {}", request.path()));
            return Response::new(Status::NOT_FOUND).into();
        };
        app.note_handled(id, request, self.version);
        let plan = &app.plans[id];
        let (kind, len, now) = (plan.kind, plan.len, app.now);
        app.plans[id].owes_until = match kind {
            Kind::After(delay) => Some(now + delay),
            kind if kind.is_late() => Some(now + Duration::from_secs(1_000_000)),
            _ => None,
        };
        let work = Work { id, application: Arc::clone(&self.application), live: Arc::clone(&app.live) };
        drop(app);
        match kind {
            Kind::Now | Kind::Buffer | Kind::AtHead => work.response().into(),
            Kind::Sendfile => work.response_with(Body::File(file(id, len))).into(),
            Kind::Panics => resume_unwind(Box::new("planned")),
            Kind::After(delay) => Reply::after(delay, move || work.response()),
            Kind::Offload | Kind::OffloadPanics => Reply::offload(move || {
                work.complete();
                if kind == Kind::OffloadPanics {
                    resume_unwind(Box::new("planned"));
                }
                work.response()
            }),
            Kind::Deferred | Kind::Unanswered => work.defer(),
            Kind::Sink => Reply::receive(ContentSink::new(work)),
            Kind::Read => Reply::read(move |reader| {
                read_content(&work, reader);
                work.complete();
                work.response()
            }),
            Kind::Upgrade => {
                let response = Response::switching_protocols("echo").with_header("X-Id", id.to_string());
                response.on_upgrade(move |upgraded| echo(&work, upgraded)).into()
            }
            Kind::Channel | Kind::BrokenChannel | Kind::Source | Kind::Paced | Kind::Reader => {
                stream(&work, kind).into()
            }
        }
    }
}

/// A response with a body that is produced while it is sent.
fn stream(work: &Work, kind: Kind) -> Response {
    let id = work.id;
    let copy = || Work { id, application: Arc::clone(&work.application), live: Arc::clone(&work.live) };
    let (body, held) = match kind {
        Kind::Channel | Kind::BrokenChannel => {
            let capacity = work.lock().random.up_to(64 * 1024);
            let (sender, body) = Body::channel(capacity);
            (body, Some(Held::Sender(copy(), sender, 0)))
        }
        Kind::Reader => (Body::reader(SlowReader::new(copy()), None), None),
        _ => {
            let source = PlannedSource::new(copy());
            let held = (kind == Kind::Source).then(|| Held::Source(copy(), source.state()));
            (Body::Stream(Box::new(source)), held)
        }
    };
    work.lock().held.extend(held);
    work.response_with(body)
}
