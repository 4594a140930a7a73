//! What the fuzz targets share: how an input directs its run, an engine and an application to drive a connection
//! with, and the judges.
//!
//! | module | what it is | knows http-core |
//! |---|---|---|
//! | [`plan`] | how the first line of an input directs its run | yes |
//! | [`engine`] | plays engine and clock around a connection | yes |
//! | [`peer`] | the peer of it, who knows what it has asked for | yes |
//! | [`app`] | the application behind it | yes |
//! | [`requests`] | a judge: what the bytes of a peer ask for | no |
//! | [`answers`] | a judge: what a client makes of the output | no |
//!
//! A judge must not inherit the bugs of the accused, so `requests` and `answers` import nothing. They may be as slow
//! and as plain as they like: each looks at all bytes at once, where http-core takes them as they come.

#![forbid(unsafe_code)]

pub mod answers;
pub mod app;
pub mod engine;
pub mod peer;
pub mod plan;
pub mod requests;
