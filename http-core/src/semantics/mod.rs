//! The meaning of headers and forms: functions that parse their bytes into values, without I/O and without
//! state.

pub mod conditional;
pub mod cookies;
pub(crate) mod disposition;
pub mod form;
pub(crate) mod forwarded;
pub mod media_type;
pub mod multipart;
pub mod negotiate;
pub mod range;
pub mod set_cookie;
