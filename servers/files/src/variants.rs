//! The encoded forms of a file: files beside it that hold it compressed (sidecars), and gzip made on the fly.
//!
//! Which form a client gets depends on the Accept-Encoding header of its request. This file never touches the file
//! system: `lookup` finds the sidecars, and `compressor` compresses.

use crate::{
    document::{Document, OpenDocument, Settings},
    mime::{self, FileType},
    options::Options,
    types::Types,
};
use http_core::{Headers, Request, Version, negotiate::coding_weights};
use std::{
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::SystemTime,
};

/// Which compressed forms of files are served. The default: none.
///
/// Only text and other types that compression makes smaller have compressed forms. Their responses have the header
/// `Vary: Accept-Encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// Whether the file `a.js.br`, `a.js.zst` or `a.js.gz` is served for `a.js` to clients that accept its coding.
    /// Ignored if it is older than `a.js`, or empty.
    pub precompressed: bool,
    /// Whether a file of at least 1 KiB is compressed with gzip when a client accepts that, unless it has a sidecar
    /// that the client prefers. Up to 4 MiB, the result is kept in memory, at most 64 MiB for each
    /// [`Root`](crate::Root). A longer file, or one that has just changed, is compressed while it is sent, for at most
    /// 64 clients of a `Root` at once: without Content-Length, with a weak entity tag, and not for HTTP/1.0. A Range
    /// header then applies to the file as it is. A listing of at least 1 KiB is always compressed while it is sent.
    pub on_the_fly: bool,
}

impl Compression {
    /// Returns whether files may have compressed forms.
    pub(super) fn is_on(self) -> bool {
        self.precompressed || self.on_the_fly
    }

    /// Returns which of these forms a file of this type may have, whose responses get the headers `added`.
    pub(super) fn of_file(self, file_type: &FileType, added: &Headers) -> Compression {
        if !file_type.is_compressible() {
            return Compression::default();
        }
        let on_the_fly = self.on_the_fly && !forbids_transformation(added.get("Cache-Control").into_iter());
        Compression { on_the_fly, ..self }
    }
}

/// The length in bytes of the shortest file that is compressed on the fly. A shorter one fits into one packet anyway.
pub(super) const MIN_COMPRESSED: u64 = 1024;

/// The length in bytes of the longest file whose compressed form is kept. A longer one would occupy a thread for over
/// 100 ms.
const MAX_KEPT: u64 = 4 * 1024 * 1024;

/// Returns whether the server may send a file with this name in a compressed form: whether the name is that of text, or
/// of another type that compression makes smaller.
pub fn is_compressible(name: &Path) -> bool {
    mime::file_type(name.as_os_str().as_bytes(), &Types::default()).is_compressible()
}

/// A content coding that files may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// All codings. Of two that the client prefers equally, the first is sent.
    pub(super) const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// The value of the Content-Encoding header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// The end of the names of sidecars.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        }
    }
}

/// The sidecars of a document, in the order of [`Coding::ALL`].
pub(super) type Sidecars = [Option<Arc<Document>>; 3];

/// The encoded forms of a document.
#[derive(Debug)]
pub(super) struct Variants {
    pub(super) sidecars: Sidecars,
    /// The [`Settings`] of the document itself.
    path: Box<[u8]>,
    options: Arc<Options>,
    date: SystemTime,
    gzip: Mutex<Compressed>,
    /// The gzip form that is made while it is sent. Not set before its first request.
    made_while_sent: OnceLock<Arc<Document>>,
}

/// The form of a document that is made on the fly.
#[derive(Clone, Debug)]
pub(super) enum Compressed {
    /// There is none, because it would not be smaller, or may not be made.
    None,
    /// The compressor may have it, or can make it.
    Unknown,
    /// The compressor has made this one, and keeps it until it needs the memory for others.
    Made(Weak<Document>),
    /// It is made while it is sent, because the file is too long or may change soon.
    WhileSent,
}

/// Which form of a document a client gets.
#[derive(Debug)]
pub(super) enum Selected {
    /// This document.
    Ready(OpenDocument),
    /// The gzip form of this document, which must be made.
    ToCompress(OpenDocument),
    /// The gzip form of this document, which is made while it is sent.
    ToCompressWhileSent(OpenDocument),
}

impl Variants {
    /// Creates the forms of `document`, which has these settings.
    pub(super) fn new(
        document: &Document,
        sidecars: Sidecars,
        settings: Settings<'_>,
        options: &Arc<Options>,
    ) -> Variants {
        let gzip = if !document.compression.on_the_fly || document.len < MIN_COMPRESSED {
            Compressed::None
        } else if document.len > MAX_KEPT || !document.is_settled || document.is_dated {
            // A file that has changed just before, or whose time is in the future, has another version soon.
            Compressed::WhileSent
        } else {
            Compressed::Unknown
        };
        let (path, options) = (settings.path.into(), Arc::clone(options));
        Variants {
            sidecars,
            path,
            options,
            date: settings.date,
            gzip: Mutex::new(gzip),
            made_while_sent: OnceLock::new(),
        }
    }

    /// Returns what the form of the document with this coding depends on.
    pub(super) fn settings(&self, coding: Coding) -> Settings<'_> {
        Settings { path: &self.path, options: &self.options, coding: Some(coding), date: self.date }
    }

    /// Returns whether these are the sidecars.
    pub(super) fn has(&self, sidecars: &Sidecars) -> bool {
        self.sidecars.iter().zip(sidecars).all(|sidecars| match sidecars {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        })
    }

    /// Returns whether the file of a sidecar was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sidecars.iter().flatten().any(|sidecar| sidecar.is_closed())
    }

    /// Returns how many bytes of content the sidecars keep in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.sidecars.iter().flatten().map(|sidecar| sidecar.memory_bytes()).sum()
    }

    fn compressed(&self) -> Compressed {
        self.gzip.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the gzip form that is made while it is sent. `make` makes it of its settings, the first time.
    pub(super) fn made_while_sent(&self, make: impl FnOnce(Settings<'_>) -> Document) -> Arc<Document> {
        let form = self.made_while_sent.get_or_init(|| Arc::new(make(self.settings(Coding::Gzip))));
        Arc::clone(form)
    }

    /// Remembers what the compressor has made.
    pub(super) fn set_compressed(&self, compressed: Compressed) {
        *self.gzip.lock().unwrap_or_else(PoisonError::into_inner) = compressed;
    }
}

/// Selects the form of `document` that the client prefers: of the forms with the greatest weight, the first in the
/// order of [`Coding::ALL`], and the document itself last.
#[inline]
pub(super) fn select(document: OpenDocument, request: &Request<'_>) -> Selected {
    if document.variants.is_none() || request.header("Accept-Encoding").is_none() {
        return Selected::Ready(document);
    }
    select_encoded(document, request)
}

fn select_encoded(document: OpenDocument, request: &Request<'_>) -> Selected {
    let Some(variants) = &document.variants else { return Selected::Ready(document) };
    let [br, zstd, gzip, identity] =
        coding_weights(request.header_values("Accept-Encoding"), ["br", "zstd", "gzip", "identity"]);
    let mut best = (identity.max(1), None);
    let mut compressed = None;
    for ((coding, sidecar), weight) in Coding::ALL.iter().zip(&variants.sidecars).zip([br, zstd, gzip]) {
        let is_better = if best.1.is_none() { weight >= best.0 } else { weight > best.0 };
        if !is_better {
            continue;
        }
        if let Some(sidecar) = sidecar {
            best = (weight, Some(sidecar));
        } else if *coding == Coding::Gzip && !forbids_transformation(request.header_values("Cache-Control")) {
            compressed = Some(variants.compressed());
        }
    }
    let encoded = match compressed {
        Some(Compressed::Unknown) => return Selected::ToCompress(document),
        Some(Compressed::WhileSent) => return Selected::ToCompressWhileSent(document),
        Some(Compressed::Made(made)) => match made.upgrade() {
            Some(made) => made.open(),
            None => return Selected::ToCompress(document),
        },
        // A sidecar is closed only if it has just been closed because too many files are open.
        Some(Compressed::None) | None => best.1.and_then(Document::open),
    };
    Selected::Ready(encoded.unwrap_or(document))
}

/// Returns whether a client can get what is made while it is sent: an end without Content-Length that it recognises,
/// and no ranges.
pub(super) fn permits_stream(request: &Request<'_>) -> bool {
    request.version() == Version::Http11 && request.header("Range").is_none()
}

/// Returns whether the client prefers gzip that is made while it is sent to the content as it is.
pub(super) fn prefers_gzip_stream(request: &Request<'_>) -> bool {
    let [gzip, identity] = coding_weights(request.header_values("Accept-Encoding"), ["gzip", "identity"]);
    gzip >= identity.max(1)
        && permits_stream(request)
        && !forbids_transformation(request.header_values("Cache-Control"))
}

/// Returns whether the client (RFC 9111 §5.2.1.6) or the operator (§5.2.2.6) wants the file as it is, by these values
/// of Cache-Control. A sidecar is not a transformation.
pub(super) fn forbids_transformation<'a>(cache_control: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut directives = cache_control.flat_map(|value| value.split(|&byte| byte == b','));
    directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}
