//! A chat over WebSockets (RFC 6455): `chat [event-loop|blocking] [ADDRESS:PORT]`.
//!
//! ```sh
//! cargo run --example chat -- event-loop 127.0.0.1:8080 &
//! #> chat at [127.0.0.1:8080]
//! curl -s localhost:8080/ | sed -n 1,2p
//! #> <!doctype html>
//! #> <html lang="en"><meta charset="utf-8"><title>Chat</title>
//! ```
//!
//! Open http://localhost:8080/ in two windows of a browser.
//!
//! One thread reads the messages of a member, and another one writes what is in the member's queue. A member whose
//! queue is full is disconnected: no other member waits for it. On event loops, `Settings::streaming_threads` limits
//! the members.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http_engine::{Engine, Request, Response, RouteError, Router, Server, Status, Upgraded};
use sha1::{Digest, Sha1};
use std::{
    env,
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};
use tungstenite::{
    Error, Message, WebSocket,
    protocol::{Role, WebSocketConfig, frame::Frame, frame::coding},
};

/// The maximum number of frames that wait until a member reads.
const QUEUE: usize = 64;
/// The maximum size of a message in bytes.
const MESSAGE: Option<usize> = Some(16 * 1024);

/// The members of the chat.
#[derive(Default)]
struct Room(Mutex<Vec<Arc<Member>>>);

/// A member: its connection, and the queue of what is written to it.
struct Member {
    connection: Upgraded,
    queue: SyncSender<Vec<u8>>,
}

/// Returns the routes: the page, and the chat behind it.
///
/// # Errors
///
/// None: the routes do not conflict.
pub fn routes() -> Result<Router, RouteError> {
    let room = Arc::<Room>::default();
    Router::builder()
        .get("/", |_| Response::html(include_str!("chat.html")))
        .get("/chat", move |request| enter(request, &room))
        .build()
}

/// The handshake (RFC 6455 §4.2).
fn enter(request: &Request<'_>, room: &Arc<Room>) -> Result<Response, Status> {
    if !request.upgrades_to("websocket") || request.header_text("Sec-WebSocket-Version") != Some("13") {
        let required = Response::error(Status::UPGRADE_REQUIRED).with_header("Upgrade", "websocket");
        return Ok(required.with_header("Sec-WebSocket-Version", "13"));
    }
    // Browsers let every site open a WebSocket here, with the cookies of this one: only its own pages may.
    let origin = request.header_text("Origin").map(|origin| origin.split_once("://").unwrap_or_default().1);
    if origin.is_some() && origin != request.host() {
        return Err(Status::FORBIDDEN);
    }
    let key = request.header_text("Sec-WebSocket-Key").ok_or(Status::BAD_REQUEST)?;
    let digest = Sha1::digest(key.to_owned() + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let room = Arc::clone(room);
    Ok(Response::switching_protocols("websocket")
        .with_header("Sec-WebSocket-Accept", BASE64_STANDARD.encode(digest))
        .on_upgrade(move |connection| room.serve(connection)))
}

impl Room {
    /// Serves a member until it leaves, or the server shuts down.
    fn serve(&self, connection: Upgraded) {
        let (queue, queued) = sync_channel::<Vec<u8>>(QUEUE);
        let Ok(mut writer) = connection.try_clone() else { return };
        let member = Arc::new(Member { connection, queue });
        self.members().push(Arc::clone(&member));
        let leaving = Arc::downgrade(&member);
        member.connection.token().on_cancelled(move || {
            if let Some(member) = leaving.upgrade() {
                let _ = member.connection.shutdown(Shutdown::Read);
            }
        });
        thread::scope(|threads| {
            threads.spawn(move || {
                let _ = queued.into_iter().try_for_each(|bytes| writer.write_all(&bytes));
                let _ = writer.shutdown(Shutdown::Both);
            });
            // Fails when the connection ends, in whatever way.
            let _ = self.listen(&member);
            if member.connection.token().is_cancelled() {
                member.send(Frame::close(None));
            }
            self.members().retain(|other| !Arc::ptr_eq(other, &member));
            // With its last reference the queue ends, and so does the thread that writes.
            drop(member);
        });
    }

    /// Reads the messages of a member. A member that is silent until the read timeout gets a ping, and must answer it.
    fn listen(&self, member: &Member) -> Result<(), Error> {
        let config = WebSocketConfig::default().max_message_size(MESSAGE).max_frame_size(MESSAGE);
        let mut socket = WebSocket::from_raw_socket(member, Role::Server, Some(config));
        let mut is_silent = false;
        loop {
            match socket.read() {
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock && !is_silent => {
                    is_silent = true;
                    socket.send(Message::Ping("".into()))?;
                    continue;
                }
                Ok(Message::Text(text)) => {
                    let text = Frame::message(text, coding::OpCode::Data(coding::Data::Text), true);
                    self.members().iter().for_each(|member| member.send(text.clone()));
                }
                other => drop(other?),
            }
            is_silent = false;
        }
    }

    fn members(&self) -> MutexGuard<'_, Vec<Arc<Member>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn send(&self, frame: Frame) {
        let mut bytes = Vec::new();
        if frame.format(&mut bytes).is_ok() {
            self.queue(bytes);
        }
    }

    /// Queues bytes. Disconnects the member if its queue is full.
    fn queue(&self, bytes: Vec<u8>) {
        if self.queue.try_send(bytes).is_err() {
            let _ = self.connection.shutdown(Shutdown::Both);
        }
    }
}

impl Read for &Member {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.connection).read(buffer)
    }
}

/// A write goes into the queue.
impl Write for &Member {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.queue(data.to_vec());
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let engine = match env::args().nth(1).as_deref() {
        Some("event-loop") | None => Engine::EventLoop,
        Some("blocking") => Engine::Blocking,
        Some(other) => return Err(io::Error::other(format!("unknown engine {other}"))),
    };
    let address = env::args().nth(2).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let running = Server::bind(address)?.engine(engine).serve_handler(routes().map_err(io::Error::other)?)?;
    println!("chat at {:?}", running.addresses());
    running.wait()
}
