//! What the fuzz targets share: the plan of a run, a simulated engine and application, and independent judges.
//!
//! | module | contents | uses http-core |
//! |---|---|---|
//! | [`plan`] | how the first line of an input controls the run | yes |
//! | [`engine`] | simulates the engine and the clock of a connection | yes |
//! | [`client`] | the client of the connection, which knows what it has requested | yes |
//! | [`app`] | the application behind the connection | yes |
//! | [`requests`] | a judge: which requests the bytes of a client contain | no |
//! | [`responses`] | a judge: which responses a client finds in the output | no |
//!
//! A judge must not share the bugs of what it judges, so `requests` and `responses` import nothing. They may be slow and
//! simple: they read all bytes at once, where http-core reads them as they arrive.

#![forbid(unsafe_code)]

pub mod app;
pub mod client;
pub mod engine;
pub mod plan;
pub mod requests;
pub mod responses;
