//! A body that another thread sends piece by piece while the client receives it, through a bounded buffer.
//!
//! Only [`BodySender::send`] waits. No waker and no code of the application runs under the lock.

use crate::{
    buffer::chunk_source::{Chunk, ChunkSource},
    types::{cancellation::CancellationToken, headers::Headers},
};
use std::{
    fmt,
    io::{self, Error},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

/// Sends the body of a response from any thread, and learns when the client has left.
/// [`Body::channel`](crate::Body::channel) creates it.
///
/// The end of the body must be stated with [`finish`](BodySender::finish). If the sender is dropped without that, the
/// engine sends what was sent before, logs that the body is incomplete, and closes the connection, which tells the
/// client.
///
/// ```
/// use http_core::{Body, Response};
/// use std::{thread, time::Duration};
///
/// let (sender, body) = Body::channel(64 * 1024);
/// thread::spawn(move || {
///     for step in 1..=10 {
///         // Other work takes time here. The thread ends when the client has left, or reads nothing for a minute.
///         if sender.send(format!("{step}0 %\n"), Duration::from_secs(60)).is_err() {
///             return;
///         }
///     }
///     sender.finish();
/// });
/// let response = Response::text(body);
/// ```
pub struct BodySender {
    channel: Arc<Channel>,
}

/// The error of [`BodySender::try_send`] and [`BodySender::send`]. It contains the data, which were not sent.
///
/// ```
/// use http_core::{Body, SendError};
///
/// let (sender, body) = Body::channel(4);
/// assert_eq!(sender.try_send("full"), Ok(()));
/// assert_eq!(sender.try_send("more"), Err(SendError::Full(b"more".to_vec())));
/// // The client has left: the engine drops the response.
/// drop(body);
/// assert_eq!(sender.try_send("more"), Err(SendError::Closed(b"more".to_vec())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The channel has no room for the data, because the client has not received what was sent before.
    Full(Vec<u8>),
    /// The body is no longer wanted: the client has left, or the server has shut down.
    Closed(Vec<u8>),
}

impl SendError {
    /// Returns the data, which were not sent.
    pub fn into_inner(self) -> Vec<u8> {
        match self {
            SendError::Full(data) | SendError::Closed(data) => data,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "the channel of the body is full",
            SendError::Closed(_) => "the body is no longer wanted",
        })
    }
}

impl std::error::Error for SendError {}

/// What the sender and the source of a body share.
struct Channel {
    /// The maximum number of bytes in the channel, unless it holds a single message.
    capacity: usize,
    /// Cancelled when the engine drops the source before the end of the body.
    token: CancellationToken,
    state: Mutex<ChannelState>,
    /// Wakes [`BodySender::send`] when the source has taken the bytes or was dropped.
    taken: Condvar,
}

struct ChannelState {
    /// The bytes that were sent, and that the source has not taken.
    bytes: Vec<u8>,
    end: BodyEnd,
    /// `None` before the source has started, and after it was dropped.
    waker: Option<Waker>,
    /// Whether the source has found nothing, and so must be woken.
    is_awaited: bool,
    /// Whether the source was dropped.
    is_closed: bool,
}

/// How a body ends.
enum BodyEnd {
    /// The sender may send more.
    Open,
    /// The body is complete, with these trailers.
    Finished(Headers),
    /// The body remains incomplete because of this error.
    Failed(Error),
}

/// Takes the bytes of a channel for the engine.
struct ChannelSource {
    channel: Arc<Channel>,
    /// Whether the source has returned the end of the body, or why it has none.
    has_ended: bool,
}

/// Creates a channel, as [`Body::channel`](crate::Body::channel) describes it.
pub(super) fn channel(capacity: usize) -> (BodySender, Box<dyn ChunkSource>) {
    let state = ChannelState {
        bytes: Vec::new(),
        end: BodyEnd::Open,
        waker: None,
        is_awaited: false,
        is_closed: false,
    };
    let (token, state, taken) = (CancellationToken::default(), Mutex::new(state), Condvar::new());
    let channel = Arc::new(Channel { capacity, token, state, taken });
    let source = ChannelSource { channel: Arc::clone(&channel), has_ended: false };
    (BodySender { channel }, Box::new(source))
}

impl BodySender {
    /// Sends data, and does not wait: for event loops, and for senders that prefer to drop data for slow clients.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if there is no room, and [`SendError::Closed`] if the body is no longer wanted.
    pub fn try_send(&self, data: impl Into<Vec<u8>>) -> Result<(), SendError> {
        self.send(data, Duration::ZERO)
    }

    /// Sends data. If there is no room, waits until the client has received enough, but at most for `timeout`. For
    /// threads other than those of an event loop, because it blocks.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if there is still no room after `timeout`, and [`SendError::Closed`] if the body is no
    /// longer wanted.
    pub fn send(&self, data: impl Into<Vec<u8>>, timeout: Duration) -> Result<(), SendError> {
        let Channel { capacity, taken, .. } = &*self.channel;
        let data = data.into();
        let is_full = |state: &mut ChannelState| {
            !state.is_closed && !state.bytes.is_empty() && state.bytes.len() + data.len() > *capacity
        };
        let mut state = self.channel.state();
        if !timeout.is_zero() {
            let waited = taken.wait_timeout_while(state, timeout, is_full);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.is_closed {
            return Err(SendError::Closed(data));
        }
        if is_full(&mut state) {
            return Err(SendError::Full(data));
        }
        match state.bytes.is_empty() {
            true => state.bytes = data,
            false => state.bytes.extend_from_slice(&data),
        }
        wake(state);
        Ok(())
    }

    /// Ends the body. It is now complete.
    pub fn finish(self) {
        self.finish_with(Headers::default());
    }

    /// Ends the body, and sends these trailers after it ([`ChunkSource::trailers`] says which are allowed). HTTP/1.0
    /// clients do not receive them.
    pub fn finish_with(self, trailers: Headers) {
        self.end(BodyEnd::Finished(trailers));
    }

    /// Breaks the body off because of `error`: the engine sends what was sent before, logs the error, and closes the
    /// connection, which tells the client that the body is incomplete.
    pub fn fail(self, error: impl Into<Error>) {
        self.end(BodyEnd::Failed(error.into()));
    }

    /// Returns whether the body is no longer wanted: the client has left (after a reset, a hang-up or a failed write;
    /// see [`CancellationToken`]), the request has the method HEAD, or the grace period of a shutdown is over.
    pub fn is_closed(&self) -> bool {
        self.channel.state().is_closed
    }

    /// Calls `f` once when the body is no longer wanted, at once if that is so already. Drops `f` without a call when
    /// the engine has taken the whole body.
    ///
    /// The engine calls `f` on a thread that serves connections: it must not block. A panic of `f` is caught.
    pub fn on_closed(&self, f: impl FnOnce() + Send + 'static) {
        self.channel.token.on_cancelled(f);
    }

    /// Sets how the body ends, unless that is set already.
    fn end(&self, end: BodyEnd) {
        let mut state = self.channel.state();
        if let BodyEnd::Open = state.end {
            state.end = end;
            wake(state);
        }
    }
}

/// Breaks the body off, unless it was finished.
impl Drop for BodySender {
    fn drop(&mut self) {
        self.end(BodyEnd::Failed(Error::other("its sender was dropped before the end of the body")));
    }
}

impl fmt::Debug for BodySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodySender").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Channel {
    fn state(&self) -> MutexGuard<'_, ChannelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unlocks the state, and wakes the source if it waits.
fn wake(mut state: MutexGuard<'_, ChannelState>) {
    let is_awaited = mem::take(&mut state.is_awaited);
    let waker = state.waker.clone().filter(|_| is_awaited);
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl ChunkSource for ChannelSource {
    fn start(&mut self, waker: Waker) {
        self.channel.state().waker = Some(waker);
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let mut state = self.channel.state();
        if !state.bytes.is_empty() {
            *chunk = mem::take(&mut state.bytes);
            self.channel.taken.notify_all();
        }
        match &mut state.end {
            BodyEnd::Open => {
                state.is_awaited = true;
                Ok(Chunk::Pending)
            }
            // The engine asks again when it has sent the bytes.
            BodyEnd::Failed(_) if !chunk.is_empty() => Ok(Chunk::Data),
            BodyEnd::Failed(error) => {
                self.has_ended = true;
                Err(mem::replace(error, io::ErrorKind::Other.into()))
            }
            BodyEnd::Finished(_) => {
                self.has_ended = true;
                Ok(Chunk::End)
            }
        }
    }

    fn trailers(&mut self) -> Headers {
        match mem::replace(&mut self.channel.state().end, BodyEnd::Open) {
            BodyEnd::Finished(trailers) => trailers,
            _ => Headers::default(),
        }
    }
}

impl Drop for ChannelSource {
    fn drop(&mut self) {
        let mut state = self.channel.state();
        state.is_closed = true;
        let unused = (mem::take(&mut state.bytes), state.waker.take());
        self.channel.taken.notify_all();
        drop(state);
        drop(unused);
        match self.has_ended {
            true => self.channel.token.release(),
            false => self.channel.token.cancel(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            atomic::{AtomicU32, Ordering},
            mpsc,
        },
        task::Wake,
        thread,
    };

    const LONG: Duration = Duration::from_secs(60);

    #[derive(Default)]
    struct CountedWakes(AtomicU32);

    impl Wake for CountedWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take(source: &mut Box<dyn ChunkSource>) -> (Result<Chunk, String>, Vec<u8>) {
        let mut chunk = Vec::new();
        let next = source.next_chunk(&mut chunk).map_err(|error| error.to_string());
        (next, chunk)
    }

    #[test]
    fn holds_at_most_its_capacity_or_one_message() {
        let (sender, mut source) = channel(4);
        let full = |data: &str| Err(SendError::Full(data.into()));
        for (data, expected) in
            [("abc", Ok(())), ("de", full("de")), ("d", Ok(())), ("e", full("e")), ("", Ok(()))]
        {
            assert_eq!(sender.try_send(data), expected);
        }
        assert_eq!(sender.send("e", Duration::from_nanos(1)), full("e"));
        assert_eq!(take(&mut source), (Ok(Chunk::Pending), b"abcd".to_vec()));
        assert_eq!(sender.try_send("longer"), Ok(()));
        assert_eq!(sender.try_send("e"), full("e"));
        let (sender, source) = channel(0);
        assert_eq!((sender.try_send("a"), sender.try_send("b")), (Ok(()), full("b")));
        assert!(!sender.is_closed());
        drop(source);
        assert!(sender.is_closed());
        for error in [SendError::Full(b"b".to_vec()), SendError::Closed(b"b".to_vec())] {
            assert_eq!(error.into_inner(), b"b");
        }
    }

    #[test]
    fn a_waiting_sender_continues_when_there_is_room_and_when_the_source_is_dropped() {
        let (sender, mut source) = channel(1);
        let sending = thread::spawn(move || ["a", "b", "c"].map(|data| sender.send(data, LONG)));
        let mut taken = Vec::new();
        while taken.len() < 2 {
            taken.extend(take(&mut source).1);
        }
        drop(source);
        let outcomes = sending.join().expect("no panic");
        assert_eq!((&taken[..], &outcomes[..2]), (&b"ab"[..], &[Ok(()), Ok(())][..]));
        assert!(matches!(&outcomes[2], Ok(()) | Err(SendError::Closed(_))), "{outcomes:?}");
    }

    #[test]
    fn what_was_sent_comes_before_the_end() {
        let check = |end: fn(BodySender), first: Chunk, last: Result<Chunk, &str>| {
            let (sender, mut source) = channel(8);
            sender.try_send("a").expect("room");
            end(sender);
            assert_eq!(take(&mut source), (Ok(first.clone()), b"a".to_vec()));
            if first != Chunk::End {
                assert_eq!(take(&mut source), (last.map_err(str::to_owned), Vec::new()));
            }
        };
        check(BodySender::finish, Chunk::End, Ok(Chunk::End));
        check(drop, Chunk::Data, Err("its sender was dropped before the end of the body"));
        check(|sender| sender.fail(Error::other("gone")), Chunk::Data, Err("gone"));
        check(mem::forget, Chunk::Pending, Ok(Chunk::Pending));
    }

    #[test]
    fn a_source_is_woken_once_for_what_it_has_not_found() {
        let wakes = Arc::new(CountedWakes::default());
        let (sender, mut source) = channel(8);
        let check = |expected| assert_eq!(wakes.0.load(Ordering::Relaxed), expected);
        sender.try_send("a").expect("room");
        source.start(Arc::clone(&wakes).into());
        assert_eq!(take(&mut source).1, b"a");
        check(0);
        ["b", "c"].iter().for_each(|data| sender.try_send(*data).expect("room"));
        check(1);
        assert_eq!(take(&mut source).1, b"bc");
        sender.finish();
        check(2);
    }

    #[test]
    fn a_body_to_which_nothing_can_be_sent_is_closed() {
        /// A waker that tries to send when it is dropped, while the source is being dropped.
        struct LateSender(BodySender, mpsc::Sender<(Result<(), SendError>, bool)>);

        impl Wake for LateSender {
            fn wake(self: Arc<Self>) {}
        }

        impl Drop for LateSender {
            fn drop(&mut self) {
                let _ = self.1.send((self.0.try_send("a"), self.0.is_closed()));
            }
        }

        let (sender, mut source) = channel(8);
        let (seen, outcome) = mpsc::channel();
        source.start(Arc::new(LateSender(sender, seen)).into());
        drop(source);
        assert_eq!(outcome.recv(), Ok((Err(SendError::Closed(b"a".to_vec())), true)));
    }
}
