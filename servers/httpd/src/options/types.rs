//! The options for the media types of files.

use clap::Args;
use http_files::{Charset, ContentType, ExtensionType, Types};
use std::fs;

/// Which type a file has.
#[derive(Args)]
#[command(next_help_heading = "Types")]
pub(super) struct TypeOptions {
    /// Media type of the files with an extension, as in log=text/plain; can be repeated
    #[arg(long, value_name = "EXT=TYPE")]
    mime: Vec<ExtensionType>,

    /// File with media types, in the format of /etc/mime.types or of the block types { } of nginx; --mime takes
    /// precedence. Worker processes and successors read it again
    #[arg(long, value_name = "FILE", value_parser = read)]
    mime_types: Option<Types>,

    /// Media type of the files with an unknown extension or none [default: application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    default_type: Option<ContentType>,

    /// Charset of text that does not declare its encoding, as HTML, CSS, JavaScript and XML do; off: none
    #[arg(long, value_name = "NAME", default_value = "utf-8")]
    charset: Charset,
}

impl TypeOptions {
    /// Returns the types that the operator has chosen.
    pub(super) fn into_types(self) -> Types {
        let mut types = self.mime_types.unwrap_or_default();
        self.mime.into_iter().for_each(|added| types.add(added));
        (types.default, types.charset) = (self.default_type, self.charset);
        types
    }
}

/// Reads a file with types.
fn read(path: &str) -> Result<Types, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read the file: {error}"))?;
    let mut types = Types::default();
    types.add_list(&text).map_err(|error| error.to_string())?;
    Ok(types)
}
