//! A file made ready to be answered with, again and again: its fields as text, its bytes or its descriptor.

use super::{
    mime,
    root::{Identity, Opened, Root},
};
use http_core::{
    Body, Fields, FileSlice, ReadyFields, Status, conditional::Validators, path::RelativePath,
    range::ByteRange,
};
use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc, time::SystemTime};

/// Files up to this size are kept as bytes; larger ones leave by `sendfile` and are kept open.
pub(super) const SMALL: u64 = 64 * 1024;

/// How often a file is read that changes while it is read.
const READS: u32 = 3;

/// What a path is answered with, as long as the file system does not change.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Document(Arc<Document>),
    /// A directory named without its slash; the path that names it rightly.
    Moved(Arc<str>),
    Refused(Status),
}

/// A file's representation.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) identity: Identity,
    /// Content-Type and all of `validators`.
    pub(super) fields: ReadyFields,
    /// Last-Modified, ETag and Accept-Ranges: what also stands in a 304, 412 or 416.
    pub(super) validators: ReadyFields,
    pub(super) media_type: &'static str,
    entity_tag: String,
    modified: Option<SystemTime>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Arc<[u8]>),
    Open(Arc<File>),
}

impl Found {
    /// Looks a path up in the file system. A file that is as it was `known` to be is not read again.
    pub(super) fn look_up(root: &Root, path: &RelativePath<'_>, known: Option<&Found>) -> Found {
        for _ in 0..READS {
            let (file, identity) = match root.look_up(path) {
                Opened::File(file, identity) => (file, identity),
                Opened::Directory => return Found::Moved((path.encode() + "/").into()),
                Opened::Refused(status) => return Found::Refused(status),
            };
            match known {
                Some(Found::Document(known)) if known.identity == identity => {
                    return Found::Document(Arc::clone(known));
                }
                _ => {}
            }
            match Document::read(file, identity, path) {
                Ok(document) => return Found::Document(Arc::new(document)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(_) => break,
            }
        }
        Found::Refused(Status::INTERNAL_SERVER_ERROR)
    }

    /// Whether keeping it keeps a descriptor open.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Found::Document(document) if matches!(document.content, Content::Open(_)))
    }

    /// Bytes of content that keeping it keeps in memory.
    pub(super) fn held(&self) -> usize {
        match self {
            Found::Document(document) => match &document.content {
                Content::Bytes(bytes) => bytes.len(),
                Content::Open(_) => 0,
            },
            Found::Moved(_) | Found::Refused(_) => 0,
        }
    }
}

impl Document {
    fn read(file: File, identity: Identity, path: &RelativePath<'_>) -> io::Result<Document> {
        let name = if path.names_directory() { b"index.html" } else { path.as_bytes() };
        let (media_type, entity_tag, modified) =
            (mime::media_type(name), identity.entity_tag(), identity.modified());
        let content = if identity.len <= SMALL {
            let mut bytes = vec![0; identity.len as usize];
            file.read_exact_at(&mut bytes, 0)?;
            // What was written in between may have come to pieces.
            if !Identity::of(&file)?.has_content_of(&identity) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Content::Bytes(bytes.into())
        } else {
            Content::Open(Arc::new(file))
        };
        let validators = validators(&entity_tag, modified);
        let mut fields = Fields::default();
        push(&mut fields, "Content-Type", media_type);
        fields.append_all(&validators);
        Ok(Document {
            identity,
            fields: fields.freeze(),
            validators: validators.freeze(),
            media_type,
            entity_tag,
            modified,
            content,
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.identity.len
    }

    pub(super) fn entity_tag(&self) -> &str {
        &self.entity_tag
    }

    pub(super) fn validators(&self) -> Validators<'_> {
        Validators { etag: Some(&self.entity_tag), last_modified: self.modified }
    }

    /// The whole content.
    #[inline]
    pub(super) fn whole(&self) -> Body {
        match &self.content {
            Content::Bytes(bytes) => Body::Shared(Arc::clone(bytes), 0..bytes.len()),
            Content::Open(file) => {
                Body::File(FileSlice { file: Arc::clone(file), offset: 0, len: self.len() })
            }
        }
    }

    /// Part of the content; the range lies within it.
    pub(super) fn part(&self, range: ByteRange) -> Body {
        match &self.content {
            // Content held as bytes is small, so its offsets fit.
            Content::Bytes(bytes) => {
                Body::Shared(Arc::clone(bytes), range.first as usize..range.last as usize + 1)
            }
            Content::Open(file) => {
                Body::File(FileSlice { file: Arc::clone(file), offset: range.first, len: range.len() })
            }
        }
    }
}

fn validators(entity_tag: &str, modified: Option<SystemTime>) -> Fields {
    let mut fields = Fields::default();
    if let Some(modified) = modified {
        push(&mut fields, "Last-Modified", &httpdate::fmt_http_date(modified));
    }
    push(&mut fields, "ETag", entity_tag);
    push(&mut fields, "Accept-Ranges", "bytes");
    fields
}

/// All names and values here are our own, so none is refused.
fn push(fields: &mut Fields, name: &str, value: &str) {
    let pushed = fields.push(name, value);
    debug_assert_eq!(pushed, Ok(()), "{name}: {value}");
}
