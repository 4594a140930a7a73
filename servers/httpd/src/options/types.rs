//! The options for the media types of files.

use crate::text_file;
use clap::Args;
use http_engine::io_cause;
use http_files::{Charset, ContentType, ExtensionType, InvalidOption, Types};
use std::path::PathBuf;

/// The largest file of media types that is read, in MiB. That of Debian has 70 KB.
const MAX_MIB: u64 = 4;

/// Which type a file has.
#[derive(Args)]
#[command(next_help_heading = "Types")]
pub(super) struct TypeOptions {
    /// Media type of the files with an extension, as in log=text/plain; can be repeated
    #[arg(long, value_name = "EXT=TYPE")]
    mime: Vec<ExtensionType>,

    /// File with media types, in the format of /etc/mime.types or of the block types { } of nginx; --mime takes
    /// precedence. SIGHUP reads it again, and so do worker processes and successors
    #[arg(long, value_name = "FILE", value_parser = TypesFile::read)]
    mime_types: Option<TypesFile>,

    /// Media type of the files with an unknown extension or none [default: application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    default_type: Option<ContentType>,

    /// Charset of text that does not declare its encoding, as HTML, CSS, JavaScript and XML do; off: none
    #[arg(long, value_name = "NAME", default_value = "utf-8", value_parser = charset)]
    charset: Charset,
}

impl TypeOptions {
    /// Returns the types that the operator has chosen, and the file from which they were read.
    pub(super) fn into_types(self) -> (Types, Option<PathBuf>) {
        let (mut types, file) = match self.mime_types {
            Some(TypesFile { path, types }) => (types, Some(path)),
            None => (Types::default(), None),
        };
        self.mime.into_iter().for_each(|added| types.add(added));
        (types.default, types.charset) = (self.default_type, self.charset);
        (types, file)
    }
}

/// Parses the value of `--charset`, which configuration files may switch on and off.
fn charset(text: &str) -> Result<Charset, InvalidOption> {
    match text {
        "true" | "on" => Ok(Charset::default()),
        "false" => "off".parse(),
        name => name.parse(),
    }
}

/// The value of `--mime-types`: a file, and the types in it.
#[derive(Clone)]
struct TypesFile {
    path: PathBuf,
    types: Types,
}

impl TypesFile {
    fn read(path: &str) -> Result<TypesFile, String> {
        let text = text_file::read(path.as_ref(), MAX_MIB)
            .map_err(|error| format!("cannot read the file: {}", io_cause(&error)))?;
        let mut types = Types::default();
        types.add_list(&text).map_err(|error| error.to_string())?;
        Ok(TypesFile { path: path.into(), types })
    }
}
