//! Models of what a body, the content of a request, and the news of a cancellation pass through between two threads.

#[path = "../../../http-core/src/message/channel.rs"]
mod channel;
#[path = "../../../http-core/src/handler/content_reader.rs"]
mod content_reader;

use crate::types::cancellation::CancellationToken;
use channel::{SendError, channel};
use content_reader::{IncompleteContent, content_pipe};
use http_core::Chunk;
use shuttle::rand::{Rng, thread_rng};
use std::{
    io::{self, Read},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Wake,
    thread,
    time::Duration,
};

const LONG: Duration = Duration::from_secs(3600);

/// Waits until it was woken. A waker that is not called makes the model a deadlock.
#[derive(Default)]
struct Alarm {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    fn wait(&self) {
        let mut is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_set {
            is_set = self.changed.wait(is_set).unwrap_or_else(PoisonError::into_inner);
        }
        *is_set = false;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

/// All that two senders send comes out, that of each in order, and then the end. The channel never holds more than its
/// capacity. The source waits for its waker only, and the senders only for room.
pub fn channel_delivers_all_that_is_sent() {
    const CAPACITY: usize = 3;
    let (sender, mut source) = channel(CAPACITY);
    let sender = Arc::new(sender);
    let senders = [b'a', b'A'].map(|first| {
        let sender = Arc::clone(&sender);
        thread::spawn(move || {
            for byte in first..first + 4 {
                let mut data = vec![byte];
                while let Err(error) = sender.send(data, LONG) {
                    assert!(matches!(error, SendError::Full(_)), "{error}");
                    data = error.into_inner();
                    thread::yield_now();
                }
            }
        })
    });
    let finisher = thread::spawn(move || {
        let _ = senders.map(|sender| sender.join().expect("no panic"));
        Arc::into_inner(sender).expect("the last owner").finish();
    });
    let alarm = Arc::new(Alarm::default());
    source.start(Arc::clone(&alarm).into());
    let mut received = Vec::new();
    loop {
        let mut chunk = Vec::new();
        let next = source.next_chunk(&mut chunk).expect("it was finished");
        assert!(chunk.len() <= CAPACITY);
        received.extend(chunk);
        match next {
            Chunk::Pending => alarm.wait(),
            Chunk::End => break,
            other => panic!("{other:?}"),
        }
    }
    let (small, large): (Vec<_>, Vec<_>) = received.into_iter().partition(u8::is_ascii_lowercase);
    assert_eq!((&small[..], &large[..]), (&b"abcd"[..], &b"ABCD"[..]));
    finisher.join().expect("no panic");
}

/// If the source is dropped, a sender that waits learns it, nothing can be sent any more, and the callback of the
/// sender runs once. If the source has ended before, it never runs.
pub fn channel_tells_the_sender_that_the_source_is_gone() {
    let (sender, mut source) = channel(1);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let sending = thread::spawn(move || {
        sender.on_closed(move || {
            counted.fetch_add(1, SeqCst);
        });
        loop {
            match sender.send("ab", LONG) {
                Ok(()) => {}
                Err(SendError::Full(_)) => thread::yield_now(),
                Err(SendError::Closed(_)) => break,
            }
        }
        assert!(sender.is_closed() && matches!(sender.try_send("c"), Err(SendError::Closed(_))));
    });
    let _ = source.next_chunk(&mut Vec::new()).expect("not ended");
    drop(source);
    sending.join().expect("no panic");
    assert_eq!(calls.load(SeqCst), 1);

    let (sender, mut source) = channel(1);
    let counted = Arc::clone(&calls);
    sender.on_closed(move || {
        counted.fetch_add(1, SeqCst);
    });
    let sending = thread::spawn(move || sender.finish());
    while source.next_chunk(&mut Vec::new()).expect("not failed") != Chunk::End {
        thread::yield_now();
    }
    drop(source);
    sending.join().expect("no panic");
    assert_eq!(calls.load(SeqCst), 1);
}

/// A job reads all content that the engine sends, then the end or the failure, in whatever pieces. The engine waits for
/// its waker only.
pub fn pipe_passes_all_content() {
    let content: Arc<[u8]> = [1, 2, 3, 4].map(|byte| vec![byte; 24 * 1024]).concat().into();
    let alarm = Arc::new(Alarm::default());
    let (sender, mut reader) = content_pipe(None, CancellationToken::default(), Arc::clone(&alarm).into());
    let is_complete = thread_rng().r#gen();
    let sent = Arc::clone(&content);
    let sending = thread::spawn(move || {
        let mut rest = &sent[..];
        while !rest.is_empty() {
            rest = &rest[sender.send(rest)..];
            if !rest.is_empty() {
                alarm.wait();
            }
        }
        if is_complete { sender.finish() } else { sender.fail(IncompleteContent::Truncated) }
    });
    let (mut received, mut buffer) = (Vec::new(), vec![0; 20 * 1024]);
    let failure = loop {
        match reader.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => break Some(error.kind()),
        }
    };
    assert_eq!(failure, (!is_complete).then_some(io::ErrorKind::UnexpectedEof));
    assert!(received == content[..]);
    sending.join().expect("no panic");
}

/// If the token was cancelled, each callback has run once, also one that was registered meanwhile; if it was released
/// before, none.
pub fn token_calls_each_callback_once_or_never() {
    let token = CancellationToken::default();
    let calls = Arc::new([const { AtomicUsize::new(0) }; 3]);
    let count = |index: usize| {
        let calls = Arc::clone(&calls);
        move || {
            calls[index].fetch_add(1, SeqCst);
        }
    };
    token.on_cancelled(count(0));
    let registering = [1, 2].map(|index| {
        let (token, callback) = (token.clone(), count(index));
        thread::spawn(move || token.on_cancelled(callback))
    });
    let ending =
        [CancellationToken::cancel, CancellationToken::cancel, CancellationToken::release].map(|end| {
            let token = token.clone();
            thread::spawn(move || end(&token))
        });
    let _ = registering.map(|thread| thread.join().expect("no panic"));
    let _ = ending.map(|thread| thread.join().expect("no panic"));
    let expected = usize::from(token.is_cancelled());
    assert!(calls.iter().all(|calls| calls.load(SeqCst) == expected));
}
