//! The options for paths that name no plain file.

use super::{Switched, switched};
use clap::Args;
use http_files::{ErrorPage, ErrorPages, Options, PagePath};

/// What is served for paths that name no plain file.
#[derive(Args)]
#[command(next_help_heading = "Pages")]
pub struct PageOptions {
    /// Serve a single-page application: a browser that opens a path without an extension gets this page, with status
    /// 200, if there is no file; or off [default FILE: index.html]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "index.html",
        value_parser = switched::<PagePath>("index.html"))]
    spa: Option<Switched<PagePath>>,

    /// Serve about.html at /about, and redirect /about.html to /about and /index.html to /
    #[arg(long)]
    clean_urls: bool,

    /// The page for the errors with one status, 4xx or 5xx, such as 404=/errors/missing.html; can be repeated. Without
    /// it, the nearest 404.html is the page for 404: in the directory of the path or one above
    #[arg(long, value_name = "STATUS=PAGE")]
    error_page: Vec<ErrorPage>,

    /// List directories that have no index.html, in HTML, JSON or plain text, as the Accept header prefers
    #[arg(long)]
    listing: bool,

    /// Serve hidden files, whose names begin with a dot
    #[arg(long)]
    hidden: bool,

    /// Follow symbolic links that leave the directory: they publish what they lead to, with the permissions of the
    /// server
    #[arg(long)]
    pub follow_symlinks: bool,
}

impl PageOptions {
    /// Sets what the options mean.
    pub fn apply(self, options: &mut Options) {
        options.fallback = self.spa.flatten();
        options.clean_urls = self.clean_urls;
        options.error_pages = ErrorPages { by_status: self.error_page, automatic: true };
        options.listing = self.listing;
        options.hidden = self.hidden;
    }
}
