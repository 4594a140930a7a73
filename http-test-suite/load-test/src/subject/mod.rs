//! The servers that experiments measure: what they are, how they start, and what they use.
//!
//! ```text
//! catalog        the table of all servers and architectures
//! programs       where their programs are, and their versions
//! configuration  the configuration files of nginx, lighttpd, h2o and Apache
//! process        starts a server, pins it to CPUs, waits until it is ready, and stops it
//! usage          CPU time, context switches, threads and memory of its processes
//! site           the document root that it serves
//! ```

pub mod catalog;
pub mod configuration;
pub mod process;
pub mod programs;
pub mod site;
pub mod usage;
