//! What an operator chooses for the files of a site.

use crate::entity_tag::EntityTags;

/// How files are served. The default serves plain files, and nothing that shows more than they do.
///
/// ```
/// use http_files::{EntityTags, Files, Options};
/// use std::path::Path;
///
/// let options = Options { entity_tags: EntityTags::Mtime, ..Options::default() };
/// let files = Files::new(Path::new("."))?.with_options(options);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How the entity tags of the files are made. By default [`EntityTags::Strong`].
    pub entity_tags: EntityTags,
}
