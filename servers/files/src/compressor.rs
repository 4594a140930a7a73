//! Compresses documents with gzip, each once, and keeps the results.
//!
//! The threads of a `CpuPool` compress. Requests for one document share its compression. If the threads have too much
//! to do, clients get the document as it is. Documents that are not kept are compressed while they are sent
//! (`threaded_body`).

use crate::{
    cpu_pool::CpuPool,
    disk::{ClientKey, Task},
    document::{Document, OpenDocument},
    files::{Outcome, Role, respond},
    options::Options,
    variants::{Compressed, permits_stream},
    version::FileVersion,
};
use flate2::{Compression, write::GzEncoder};
use foldhash::fast::RandomState;
use http_core::{OwnedRequest, Request, Responder, SharedHeaders, catch_panic};
use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The maximum number of bytes of all compressed documents.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The maximum number of documents whose result is remembered.
const MAX_ENTRIES: usize = 16 * 1024;

/// The maximum number of documents that are read and compressed at once, or wait for it. Each takes up to 4 MiB and its
/// result; compressing them takes a second or two.
const MAX_RUNNING: usize = 16;

/// The maximum number of requests that wait for one document.
const MAX_WAITING: usize = 16 * 1024;

/// The maximum number of documents that are compressed while they are sent. Each takes up to 0.6 MB: a piece of the
/// document, the encoder, and what the client has not taken.
const MAX_STREAMS: usize = 64;

/// The threads that compress, and what they have made. Clones share both.
#[derive(Clone, Default)]
pub(super) struct Compressor {
    pub(super) threads: CpuPool,
    state: Arc<Mutex<State>>,
}

/// Two documents with the same key have the same compressed form.
type Key = (FileVersion, SharedHeaders);

#[derive(Default)]
struct State {
    entries: HashMap<Key, Progress, RandomState>,
    /// The sum of the lengths of all compressed documents.
    bytes: usize,
    /// The number of documents that are not done.
    running: usize,
    /// Each document that is compressed while it is sent has a clone.
    streams: Arc<()>,
}

/// The permission to compress a document while it is sent. Dropping it permits another one.
#[derive(Clone, Debug)]
pub(super) struct GzipSlot {
    pub(super) threads: CpuPool,
    _stream: Arc<()>,
}

enum Progress {
    /// A thread reads or compresses the document, or will.
    Running(Vec<Waiter>),
    /// The compressed document; `None` if it would not be smaller.
    Done { document: Option<Arc<Document>>, used: bool },
}

/// A request that waits for the compressed form of a document.
pub(super) struct Waiter {
    pub(super) original: OpenDocument,
    pub(super) role: Role,
    pub(super) request: OwnedRequest,
    pub(super) options: Arc<Options>,
    pub(super) responder: Responder,
}

impl Compressor {
    /// Returns the compressed form of a document if it was made, or the document itself if that is smaller.
    ///
    /// # Errors
    ///
    /// The document, if it must be compressed: call [`begin`](Compressor::begin).
    pub(super) fn find(&self, original: OpenDocument) -> Result<OpenDocument, OpenDocument> {
        let mut state = self.state();
        let Some(Progress::Done { document, used }) = state.entries.get_mut(&key(&original)) else {
            return Err(original);
        };
        *used = true;
        let made = document.clone();
        drop(state);
        Ok(choose(original, made.as_ref()))
    }

    /// Responds to a request with the compressed form of the document when that is made. Begins to compress it, unless
    /// that has begun.
    pub(super) fn begin(&self, waiter: Waiter) {
        let mut state = self.state();
        let client = waiter.request.as_request().client_addr().into();
        let original = waiter.original.clone();
        let is_full = state.running >= MAX_RUNNING;
        match state.entries.get_mut(&key(&original)) {
            Some(Progress::Running(requests)) if requests.len() < MAX_WAITING => requests.push(waiter),
            Some(Progress::Done { document, .. }) => {
                let made = document.clone();
                drop(state);
                waiter.respond(made.as_ref());
            }
            None if !is_full => {
                state.entries.insert(key(&original), Progress::Running(vec![waiter]));
                state.running += 1;
                drop(state);
                self.start(original, client);
            }
            _ => {
                drop(state);
                waiter.respond_unencoded();
            }
        }
    }

    /// Returns the form of a document that is compressed while it is sent; the document as it is if the request does
    /// not permit that ([`permits_stream`]), or if [`MAX_STREAMS`] responses are compressed so.
    pub(super) fn compress_while_sent(&self, original: OpenDocument, request: &Request<'_>) -> OpenDocument {
        let slot = if permits_stream(request) { self.slot() } else { None };
        match slot {
            Some(slot) => original.compressed_while_sent(slot),
            None => original,
        }
    }

    /// Returns the permission to compress a response while it is sent; `None` if [`MAX_STREAMS`] responses have one.
    pub(super) fn slot(&self) -> Option<GzipSlot> {
        let stream = Arc::clone(&self.state().streams);
        // The state has one more.
        let is_free = Arc::strong_count(&stream) <= MAX_STREAMS + 1;
        is_free.then(|| GzipSlot { threads: self.threads.clone(), _stream: stream })
    }

    /// Makes threads read and compress a document.
    fn start(&self, original: OpenDocument, client: ClientKey) {
        match original.pool().cloned() {
            Some(pool) => {
                let task = ContentTask { compressor: self.clone(), original };
                let key = key(&task.original);
                if pool.submit(client, Arc::new(task)).is_err() {
                    self.give_up(&key);
                }
            }
            None => self.compress(original, None),
        }
    }

    /// Makes a thread compress a document: `content`, if it was read already.
    fn compress(&self, original: OpenDocument, content: Option<Vec<u8>>) {
        let (compressor, key) = (self.clone(), key(&original));
        let submitted = self.threads.submit({
            let key = key.clone();
            move || match catch_panic(|| compress(&original, content)) {
                Ok(Ok(document)) => compressor.complete(&key, document.as_ref()),
                Ok(Err(error)) => compressor.fail(&key, &error),
                Err(_) => compressor.give_up(&key),
            }
        });
        if submitted.is_err() {
            self.give_up(&key);
        }
    }

    /// Responds to the requests that wait for a document that could not be read. If it has changed, which it may do
    /// again, compresses it while it is sent.
    fn fail(&self, key: &Key, error: &io::Error) {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return self.give_up(key);
        }
        let requests = self.state().take(key);
        for waiter in requests {
            let form = self.compress_while_sent(waiter.original.clone(), &waiter.request.as_request());
            waiter.respond_with(form);
        }
    }

    /// Stores what a thread has made, and responds to the requests that wait for it.
    fn complete(&self, key: &Key, document: Option<&Arc<Document>>) {
        let mut state = self.state();
        let requests = state.take(key);
        state.insert(key.clone(), document.cloned());
        drop(state);
        requests.into_iter().for_each(|waiter| waiter.respond(document));
    }

    /// Responds to the requests that wait for a document with the document as it is. The next request for it begins
    /// again.
    fn give_up(&self, key: &Key) {
        let requests = self.state().take(key);
        requests.into_iter().for_each(Waiter::respond_unencoded);
    }

    /// Locks the state. It is valid at all times, so a panic of another thread that held the lock is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Removes the entry of a document that is not done. Returns the requests that wait for it.
    fn take(&mut self, key: &Key) -> Vec<Waiter> {
        let Some(Progress::Running(requests)) = self.entries.get_mut(key) else { return Vec::new() };
        let requests = std::mem::take(requests);
        self.entries.remove(key);
        self.running -= 1;
        requests
    }

    /// Stores a result. Evicts others if the store would exceed a limit: first those not requested since the last
    /// eviction, then, if that is not enough, all.
    fn insert(&mut self, key: Key, document: Option<Arc<Document>>) {
        let added = document.as_ref().map_or(0, |document| document.memory_bytes());
        for keep_used in [true, false] {
            if self.entries.len() < MAX_ENTRIES && self.bytes + added <= MAX_BYTES {
                break;
            }
            self.entries.retain(|_, entry| match entry {
                Progress::Running(_) => true,
                Progress::Done { used, .. } => std::mem::take(used) && keep_used,
            });
            self.bytes = self.entries.values().map(Progress::bytes).sum();
        }
        self.bytes += added;
        let replaced = self.entries.insert(key, Progress::Done { document, used: true });
        self.bytes -= replaced.as_ref().map_or(0, Progress::bytes);
    }
}

impl Progress {
    fn bytes(&self) -> usize {
        match self {
            Progress::Done { document: Some(document), .. } => document.memory_bytes(),
            _ => 0,
        }
    }
}

impl Waiter {
    /// Responds with the compressed form, or with the document as it is if there is none.
    fn respond(self, made: Option<&Arc<Document>>) {
        let form = choose(self.original.clone(), made);
        self.respond_with(form);
    }

    /// Responds with the document as it is.
    fn respond_unencoded(self) {
        let original = self.original.clone();
        self.respond_with(original);
    }

    fn respond_with(self, form: OpenDocument) {
        let response = respond(&self.request.as_request(), Outcome::Document(form, self.role), &self.options);
        self.responder.respond(response);
    }
}

/// Compresses a document: `content`, if it was read already. Returns `None` if the result would not be smaller.
///
/// # Errors
///
/// If the content cannot be read, or has changed.
fn compress(original: &OpenDocument, content: Option<Vec<u8>>) -> io::Result<Option<Arc<Document>>> {
    let content = content.map_or_else(|| original.read(), Ok)?;
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len() / 3), Compression::default());
    encoder.write_all(&content)?;
    let bytes = encoder.finish()?;
    Ok((bytes.len() < content.len()).then(|| original.compressed(bytes)).flatten())
}

/// Reads a document in the queue of a mount.
struct ContentTask {
    compressor: Compressor,
    original: OpenDocument,
}

impl Task for ContentTask {
    fn run(&self) {
        match self.original.read() {
            Ok(content) => self.compressor.compress(self.original.clone(), Some(content)),
            Err(error) => self.compressor.fail(&key(&self.original), &error),
        }
    }

    fn expire(&self) {
        self.compressor.give_up(&key(&self.original));
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

fn key(original: &OpenDocument) -> Key {
    (original.version, original.headers.clone())
}

/// Returns what to send for `original`, whose compressed form is `made`. The next request finds it without the
/// compressor.
fn choose(original: OpenDocument, made: Option<&Arc<Document>>) -> OpenDocument {
    if let Some(variants) = original.variants.as_deref() {
        variants.set_compressed(made.map_or(Compressed::None, |made| Compressed::Made(Arc::downgrade(made))));
    }
    made.and_then(Document::open).unwrap_or(original)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::{DiskFile, Medium},
        document::Settings,
        variants::{self, Sidecars, Variants},
    };
    use http_core::{CancellationToken, Rejection, Response, testing::ReceivedRequest};
    use std::{
        sync::mpsc::{self, Receiver},
        time::{Duration, Instant, SystemTime},
    };

    /// The longest wait for another thread, after which the test fails.
    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Returns a document of `len` bytes in memory, which has not changed just before.
    fn document(len: usize) -> OpenDocument {
        let file = tempfile::tempfile().expect("a file");
        let version = FileVersion::of(&file).expect("its version").1;
        with_variants(|settings| Document::in_memory(vec![b' '; len], version, settings))
    }

    /// Makes a document that may be compressed, and that has not changed just before.
    fn with_variants(make: impl FnOnce(Settings<'_>) -> OpenDocument) -> OpenDocument {
        let compression = variants::Compression { precompressed: false, on_the_fly: true };
        let options = Arc::new(Options { compression, ..Options::default() });
        let date = SystemTime::now() + TIMEOUT;
        let settings = Settings { path: b"a.txt", options: &options, coding: None, date };
        let document = make(settings);
        let variants = Variants::new(&document, Sidecars::default(), settings, &options);
        document.with_variants(variants)
    }

    /// Begins a request for a document.
    fn request(compressor: &Compressor, document: &OpenDocument) -> Receiver<Result<Response, Rejection>> {
        let head = b"GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n";
        let received = ReceivedRequest::new(head, Instant::now()).expect("a request");
        let (sender, response) = mpsc::channel();
        let responder = Responder::new(CancellationToken::default(), move |result| drop(sender.send(result)));
        let (original, request) = (document.clone(), received.as_request().to_owned());
        let (role, options) = (Role::Requested, Arc::default());
        compressor.begin(Waiter { original, role, request, options, responder });
        response
    }

    /// Checks whether the response is compressed.
    #[track_caller]
    fn check(response: &Receiver<Result<Response, Rejection>>, expected: bool) {
        let response = response.recv_timeout(TIMEOUT).expect("a result").expect("a response");
        assert_eq!(response.header("Content-Encoding").is_some(), expected);
    }

    #[test]
    fn requests_for_one_document_share_its_compression() {
        let (compressor, document) = (Compressor::default(), document(2_000));
        // No thread takes the document before both requests wait for it.
        let gates = compressor.threads.occupy();
        let waiting = [request(&compressor, &document), request(&compressor, &document)];
        assert_eq!(compressor.state().running, 1);
        drop(gates);
        waiting.iter().for_each(|response| check(response, true));
        assert_eq!(compressor.state().running, 0);
        assert!(compressor.find(document).is_ok());
    }

    #[test]
    fn the_number_of_requests_that_wait_for_one_document_is_limited() {
        let (compressor, document) = (Compressor::default(), document(2_000));
        let gates = compressor.threads.occupy();
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| request(&compressor, &document)).collect();
        check(&request(&compressor, &document), false);
        drop(gates);
        waiting.iter().for_each(|response| check(response, true));
    }

    #[test]
    fn a_document_is_sent_as_it_is_while_too_many_are_compressed() {
        let (compressor, document) = (Compressor::default(), document(2_000));
        compressor.state().running = MAX_RUNNING;
        check(&request(&compressor, &document), false);
        compressor.state().running = 0;
        check(&request(&compressor, &document), true);
    }

    #[test]
    fn a_document_that_changes_while_it_is_read_is_compressed_while_it_is_sent() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[b' '; 2_000]).expect("its content");
        let version = FileVersion::of(&file).expect("its version").1;
        file.write_all(b"more").expect("its content");
        let file = Arc::new(DiskFile::new(Arc::new(file), Medium::Memory));
        let document = with_variants(|settings| Document::in_file(file, version, settings));
        check(&request(&Compressor::default(), &document), true);
    }

    #[test]
    fn the_number_of_documents_that_are_compressed_while_they_are_sent_is_limited() {
        let (compressor, document) = (Compressor::default(), document(2_000));
        let head = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
        let received = ReceivedRequest::new(head, Instant::now()).expect("a request");
        let begin = || compressor.compress_while_sent(document.clone(), &received.as_request());
        let is_compressed = |form: &OpenDocument| form.headers.get("Content-Encoding").is_some();
        let mut streams: Vec<_> = (0..MAX_STREAMS).map(|_| begin()).collect();
        assert!(streams.iter().all(is_compressed) && !is_compressed(&begin()));
        streams.pop();
        assert!(is_compressed(&begin()));
    }

    #[test]
    fn evicts_what_was_not_requested_since_the_last_eviction() {
        const LEN: usize = 4 * 1024 * 1024;
        let documents: Vec<_> = (0..=MAX_BYTES / LEN).map(|_| document(LEN)).collect();
        let mut state = State::default();
        let mut insert = |document: &OpenDocument| {
            state.insert(key(document), Some(Arc::clone(document.document())));
            for entry in state.entries.values_mut() {
                if let Progress::Done { used, .. } = entry {
                    *used = false;
                }
            }
            assert_eq!(state.bytes, state.entries.len() * LEN);
            state.entries.len()
        };
        for (index, document) in documents.iter().take(MAX_BYTES / LEN).enumerate() {
            assert_eq!(insert(document), index + 1);
        }
        // The same again takes no more memory.
        assert_eq!(insert(&documents[MAX_BYTES / LEN]), 1);
        assert_eq!(insert(&documents[MAX_BYTES / LEN]), 1);
    }
}
