#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! [`cases`] → [`case`], [`request`], [`expect`] → [`exchange`], [`rules`] → [`connection`] → [`response`] →
//! [`reader`]. [`runner`] runs cases, [`report`] shows the outcomes. [`exact_form`] is the form of our own servers'
//! responses. [`byteranges`] reads the parts of a 206, [`location`] resolves the target of a redirect, [`duration`]
//! parses and shows times. [`fixtures`] writes the files that the cases expect.

pub mod byteranges;
pub mod case;
pub mod cases;
pub mod connection;
pub mod duration;
pub mod exact_form;
pub mod exchange;
pub mod expect;
pub mod fixtures;
pub mod location;
pub mod reader;
pub mod report;
pub mod request;
pub mod response;
pub mod rules;
pub mod runner;

pub use report::Report;
pub use runner::{Options, Target, run};
