//! The module `types` of http-core, as far as the files import it. Its cancellation token runs under the schedule too.

#[path = "../../../http-core/src/types/cancellation.rs"]
pub(crate) mod cancellation;

pub(crate) mod error {
    pub(crate) use http_core::ParseError;
}
pub(crate) mod headers {
    pub(crate) use http_core::Headers;
}
mod panic {
    pub(crate) use http_core::{catch_panic, drop_caught};
}
