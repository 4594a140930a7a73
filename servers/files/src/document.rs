//! A file ready to be sent again and again: its headers as text, its content as bytes or as an open descriptor.
//!
//! A short file is read once, when its document is made. No file is ever mapped into memory: if a mapped file shrinks,
//! reading it ends the process with SIGBUS.

use crate::{
    compressor::GzipSlot,
    disk::{DiskFile, Medium, Pool},
    file_body::{FileBody, Piece},
    mime,
    options::Options,
    rules::remove_content_headers,
    threaded_body::ThreadedBody,
    variants::{Coding, Compression, Variants},
    version::FileVersion,
};
use http_core::{Body, FileSlice, Headers, SharedHeaders};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::{
    borrow::Cow,
    fs::File,
    io::{self, IoSliceMut},
    net::SocketAddr,
    ops::{Deref, Range},
    sync::{Arc, Weak},
    time::SystemTime,
};

/// The maximum length in bytes of a file whose content is kept in memory. A longer file is kept open and sent with
/// `sendfile`.
pub(super) const MAX_IN_MEMORY: u64 = 64 * 1024;

/// One version of a file: its content and the headers of its responses. It never changes.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) version: FileVersion,
    /// The length of the content in bytes. Of a form that is made while it is sent, the length of the file.
    pub(super) len: u64,
    pub(super) media_type: Cow<'static, str>,
    /// The value of the ETag header, with its quotes.
    pub(super) entity_tag: String,
    /// The time in the Last-Modified header, in whole seconds. `None` if the file was modified before 1970 or after
    /// 9999, which HTTP cannot express.
    pub(super) last_modified: Option<SystemTime>,
    /// Whether `last_modified` is the date of one response, because the file's time is later. The document is for that
    /// response only.
    pub(super) is_dated: bool,
    /// Whether the document is valid as long as the file has this version. If false, the file had changed just before
    /// ([`FileVersion::is_settled`]).
    pub(super) is_settled: bool,
    /// The headers of a 200: Content-Type, Content-Encoding if there is one, all of `validator_headers`, and those that
    /// the operator has set for the path. All responses with this document share one copy.
    pub(super) headers: SharedHeaders,
    /// The headers of a 304: all of `validator_headers`, and those that the operator has set for the path and that do
    /// not describe the content.
    pub(super) not_modified_headers: SharedHeaders,
    /// Last-Modified (unless `last_modified` is `None`), ETag, and Accept-Ranges if there are ranges. The responses 412
    /// and 416 have them too.
    pub(super) validator_headers: SharedHeaders,
    /// Which encoded forms the document may have.
    pub(super) compression: Compression,
    /// The encoded forms. `None` if Accept-Encoding makes no difference.
    pub(super) variants: Option<Arc<Variants>>,
    content: Content,
}

/// Where the content of a document is kept.
#[derive(Clone, Debug)]
enum Content {
    /// All bytes of a file of at most [`MAX_IN_MEMORY`] bytes, or of a file that was compressed on the fly.
    Memory(Arc<[u8]>),
    /// A longer file. The table of open files keeps it open, and so does each response that sends it.
    File(Weak<DiskFile>),
    /// Nowhere: it is made for each response, from another document. It has no ranges, its length is unknown, and its
    /// bytes may differ.
    Made,
}

/// A document whose content can be sent: if it is in a file, the file is open.
#[derive(Clone, Debug)]
pub(super) struct OpenDocument {
    document: Arc<Document>,
    content: OpenContent,
    /// What compresses the content while it is sent; `None` if it is sent as it is.
    encoder: Option<Box<GzipSlot>>,
}

/// The content of an [`OpenDocument`].
#[derive(Clone, Debug)]
enum OpenContent {
    Memory(Arc<[u8]>),
    File(Arc<DiskFile>),
}

/// What a document depends on besides its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<'a> {
    /// The path of the file, relative to the root.
    pub(super) path: &'a [u8],
    pub(super) options: &'a Options,
    /// The coding of the document, if it is an encoded form of another one.
    pub(super) coding: Option<Coding>,
    /// The date of the response: Last-Modified is not later (RFC 9110 §8.8.2.1).
    pub(super) date: SystemTime,
}

impl Document {
    /// Makes a document of the content of a file, `bytes`, which the file has in this version.
    pub(super) fn in_memory(bytes: Vec<u8>, version: FileVersion, settings: Settings<'_>) -> OpenDocument {
        let entity_tag = settings.options.entity_tags.of_content(&bytes, &version);
        let bytes: Arc<[u8]> = Arc::from(bytes);
        let content = Content::Memory(Arc::clone(&bytes));
        let len = bytes.len() as u64;
        let document = Document::new((content, len), version, entity_tag, settings);
        OpenDocument::new(document, OpenContent::Memory(bytes))
    }

    /// Makes a document of an open file.
    pub(super) fn in_file(file: Arc<DiskFile>, version: FileVersion, settings: Settings<'_>) -> OpenDocument {
        let entity_tag = settings.options.entity_tags.of_version(&version, version.is_settled(settings.date));
        let content = Content::File(Arc::downgrade(&file));
        let document = Document::new((content, version.len), version, entity_tag, settings);
        OpenDocument::new(document, OpenContent::File(file))
    }

    /// Formats the headers of a document.
    fn new(
        (content, len): (Content, u64),
        version: FileVersion,
        mut entity_tag: String,
        settings: Settings<'_>,
    ) -> Document {
        let Settings { path, options, coding, date } = settings;
        // All forms of a file have different tags, also weak ones.
        if let Some(coding) = coding {
            entity_tag.pop();
            entity_tag = format!("{entity_tag}-{}\"", coding.name());
        }
        let file_type = mime::file_type(path, &options.types);
        let mut added = options.headers_of_file(path, &file_type.media_type);
        let compression = options.compression.of_file(&file_type, &added);
        let modified = version.last_modified();
        let last_modified = modified.map(|modified| modified.min(date));
        let mut validator_headers = Headers::default();
        if let Some(last_modified) = last_modified {
            append(&mut validator_headers, "Last-Modified", &httpdate::fmt_http_date(last_modified));
        }
        append(&mut validator_headers, "ETag", &entity_tag);
        if !matches!(content, Content::Made) {
            append(&mut validator_headers, "Accept-Ranges", "bytes");
        }
        if compression.is_on() {
            append(&mut validator_headers, "Vary", "Accept-Encoding");
        }
        let mut headers = Headers::default();
        append(&mut headers, "Content-Type", &file_type.media_type);
        if let Some(coding) = coding.map(Coding::name).or(file_type.coding) {
            append(&mut headers, "Content-Encoding", coding);
        }
        headers.append_all(&validator_headers);
        headers.append_all(&added);
        remove_content_headers(&mut added);
        let shared_validator_headers = validator_headers.clone().into_shared();
        let not_modified_headers = if added.as_bytes().is_empty() {
            shared_validator_headers.clone()
        } else {
            validator_headers.append_all(&added);
            validator_headers.into_shared()
        };
        Document {
            version,
            len,
            media_type: file_type.media_type,
            entity_tag,
            last_modified,
            is_dated: last_modified != modified,
            is_settled: version.is_settled(date),
            headers: headers.into_shared(),
            not_modified_headers,
            validator_headers: shared_validator_headers,
            compression,
            variants: None,
            content,
        }
    }

    /// Returns the document with its content, or `None` if its file or one of its sidecars was closed meanwhile.
    #[inline]
    pub(super) fn open(self: &Arc<Document>) -> Option<OpenDocument> {
        if self.variants.as_ref().is_some_and(|variants| variants.is_closed()) {
            return None;
        }
        let content = match &self.content {
            Content::Memory(bytes) => OpenContent::Memory(Arc::clone(bytes)),
            Content::File(file) => OpenContent::File(file.upgrade()?),
            Content::Made => return None,
        };
        Some(OpenDocument { document: Arc::clone(self), content, encoder: None })
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(&self.content, Content::File(file) if file.strong_count() == 0)
    }

    /// Returns how many bytes of content the document and its sidecars keep in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let own = match &self.content {
            Content::Memory(bytes) => bytes.len(),
            Content::File(_) | Content::Made => 0,
        };
        own + self.variants.as_ref().map_or(0, |variants| variants.memory_bytes())
    }
}

impl OpenDocument {
    fn new(document: Document, content: OpenContent) -> OpenDocument {
        OpenDocument { document: Arc::new(document), content, encoder: None }
    }

    /// Returns the document without its content.
    pub(super) fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// Returns the document with these encoded forms.
    pub(super) fn with_variants(self, variants: Variants) -> OpenDocument {
        let variants = Some(Arc::new(variants));
        OpenDocument { document: Arc::new(Document { variants, ..Document::clone(&self.document) }), ..self }
    }

    /// Returns the gzip form of the document, which consists of `bytes`. `None` if the document has no encoded forms.
    pub(super) fn compressed(&self, bytes: Vec<u8>) -> Option<Arc<Document>> {
        let settings = self.variants.as_ref()?.settings(Coding::Gzip);
        Some(Document::in_memory(bytes, self.version, settings).document)
    }

    /// Returns the gzip form of the document that is made while it is sent. If the document has no encoded forms,
    /// returns it as it is.
    pub(super) fn compressed_while_sent(self, slot: GzipSlot) -> OpenDocument {
        let Some(variants) = &self.variants else { return self };
        let document = variants.made_while_sent(|settings| {
            // Weak, because another version of the program may make other bytes (RFC 9110 §8.8.1).
            let opaque_tag = self.entity_tag.trim_start_matches("W/");
            Document::new((Content::Made, self.len), self.version, format!("W/{opaque_tag}"), settings)
        });
        OpenDocument { document, encoder: Some(Box::new(slot)), ..self }
    }

    /// Returns the threads that must read the content; `None` if reading it does not block.
    pub(super) fn pool(&self) -> Option<&Arc<Pool>> {
        match &self.content {
            OpenContent::Memory(_) => None,
            OpenContent::File(file) => file.pool(),
        }
    }

    /// Reads all of the content into memory. A thread of [`pool`](OpenDocument::pool) must call this, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`read`].
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        match &self.content {
            OpenContent::Memory(bytes) => Ok(bytes.to_vec()),
            OpenContent::File(file) => read(file.file(), &self.version, false),
        }
    }

    /// Reads at most `len` bytes of the content. As [`read`](OpenDocument::read), but the file may have changed.
    /// Returns nothing if it has become shorter than `offset`.
    ///
    /// # Errors
    ///
    /// Those of pread(2).
    pub(super) fn read_part(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = self.len.min(offset + len as u64);
        match &self.content {
            OpenContent::Memory(bytes) => Ok(bytes[offset as usize..end as usize].to_vec()),
            OpenContent::File(file) => file.read(offset, (end - offset) as usize),
        }
    }

    /// Returns whether the content is in `file`.
    pub(super) fn is_in(&self, file: &Arc<DiskFile>) -> bool {
        matches!(&self.content, OpenContent::File(own) if Arc::ptr_eq(own, file))
    }

    /// Returns a response body with the whole content, for a client.
    #[inline]
    pub(super) fn into_body(mut self, client: Option<SocketAddr>) -> Body {
        if let Some(slot) = self.encoder.take() {
            return Body::Stream(Box::new(ThreadedBody::of_document(self, *slot, client)));
        }
        let len = self.document.len;
        match self.content {
            OpenContent::Memory(bytes) => {
                let all = 0..bytes.len();
                Body::Shared(bytes, all)
            }
            OpenContent::File(file) => file_part(&file, 0..len, client),
        }
    }

    /// Returns a response body with the bytes `range` of the content, for a client. `range` must not exceed
    /// [`len`](Document#structfield.len).
    pub(super) fn part(&self, range: Range<u64>, client: Option<SocketAddr>) -> Body {
        debug_assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        match &self.content {
            OpenContent::Memory(bytes) => memory_part(bytes, range),
            OpenContent::File(file) => file_part(file, range, client),
        }
    }

    /// Returns a response body with these pieces, for a client.
    pub(super) fn parts(&self, pieces: Vec<Piece>, client: Option<SocketAddr>) -> Body {
        match &self.content {
            OpenContent::File(file) if may_wait(file) => {
                Body::Stream(Box::new(FileBody::new(Arc::clone(file), pieces, client)))
            }
            content => Body::Parts(
                pieces
                    .into_iter()
                    .map(|piece| match (piece, content) {
                        (Piece::Text(text), _) => Body::from(text),
                        (Piece::File(range), OpenContent::Memory(bytes)) => memory_part(bytes, range),
                        (Piece::File(range), OpenContent::File(file)) => file_slice(file, range),
                    })
                    .collect(),
            ),
        }
    }
}

/// Returns a body with a part of content in memory.
fn memory_part(bytes: &Arc<[u8]>, range: Range<u64>) -> Body {
    // Content in memory is a slice, so its offsets fit into a usize.
    Body::Shared(Arc::clone(bytes), range.start as usize..range.end as usize)
}

/// Returns a body with a part of a file.
fn file_part(file: &Arc<DiskFile>, range: Range<u64>, client: Option<SocketAddr>) -> Body {
    if may_wait(file) {
        return Body::Stream(Box::new(FileBody::new(Arc::clone(file), [Piece::File(range)], client)));
    }
    file_slice(file, range)
}

/// Returns whether sending a file may wait for a disk, now or after a pause of the client.
fn may_wait(file: &DiskFile) -> bool {
    !matches!(file.medium, Medium::Memory)
}

/// Returns a body with a part of a file that is in memory, for the engine to send with `sendfile`.
fn file_slice(file: &DiskFile, range: Range<u64>) -> Body {
    let (file, offset, len) = (Arc::clone(file.file()), range.start, range.end - range.start);
    Body::File(FileSlice { file, offset, len })
}

impl Deref for OpenDocument {
    type Target = Document;

    #[inline]
    fn deref(&self) -> &Document {
        &self.document
    }
}

/// Reads all of a file that has the version `version`; with `from_cache`, only from the page cache, without blocking.
///
/// # Errors
///
/// [`WouldBlock`](io::ErrorKind::WouldBlock) if the file is not in the page cache, or if the kernel generates it and
/// has nothing now, such as `/proc/kmsg`. [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the file changed
/// meanwhile, so that these may be old and new bytes. [`InvalidData`](io::ErrorKind::InvalidData) if the kernel
/// generates the content when it is read, as in `/proc` and `/sys`: then the length that it reports is wrong, and the
/// version does not change with the content. Other errors are those of the system calls.
pub(super) fn read(file: &File, version: &FileVersion, from_cache: bool) -> io::Result<Vec<u8>> {
    // One byte more, to find out that a file which reports no length has content.
    let mut bytes = vec![0; version.len.max(1) as usize];
    let result = fill(file, &mut bytes, from_cache);
    if FileVersion::of(file)?.1 != *version {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let count = result?;
    if count as u64 != version.len {
        return Err(io::ErrorKind::InvalidData.into());
    }
    bytes.truncate(count);
    Ok(bytes)
}

/// Reads from the beginning of the file until `buffer` is full or the file ends. Returns the number of bytes read.
fn fill(file: &File, buffer: &mut [u8], from_cache: bool) -> io::Result<usize> {
    let flags = if from_cache { ReadWriteFlags::NOWAIT } else { ReadWriteFlags::empty() };
    let mut count = 0;
    while count < buffer.len() {
        match preadv2(file, &mut [IoSliceMut::new(&mut buffer[count..])], count as u64, flags) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(Errno::INTR) => {}
            // overlayfs does not tell what is in the page cache.
            Err(Errno::OPNOTSUPP) if from_cache => return Err(io::ErrorKind::WouldBlock.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(count)
}

/// Appends a header. Its name and value must be valid.
fn append(headers: &mut Headers, name: &str, value: &str) {
    let appended = headers.append(name, value);
    debug_assert_eq!(appended, Ok(()), "{name}: {value}");
}
