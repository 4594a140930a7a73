//! The options for compressed forms of files.

use clap::{ArgAction, Args};
use http_daemon::units::switch;
use http_files::Compression;

#[derive(Args)]
#[command(next_help_heading = "Compression")]
pub(super) struct CompressionOptions {
    /// Whether to compress text of at least 1 KiB with gzip for clients that accept it: up to 4 MiB once, in memory
    #[arg(long, value_name = "on|off", action = ArgAction::Set, value_parser = switch(),
        hide_possible_values = true, default_value = "on")]
    compress: bool,

    /// Whether to send FILE.br, FILE.zst or FILE.gz for FILE to clients that accept it, unless it is older than FILE
    #[arg(long, value_name = "on|off", action = ArgAction::Set, value_parser = switch(),
        hide_possible_values = true, default_value = "on")]
    precompressed: bool,
}

impl From<CompressionOptions> for Compression {
    fn from(options: CompressionOptions) -> Compression {
        Compression { precompressed: options.precompressed, on_the_fly: options.compress }
    }
}
