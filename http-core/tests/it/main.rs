//! The laws of the core, tested from outside: bytes in, steps and bytes out.
//!
//! | module | what it holds the core to |
//! |---|---|
//! | [`split`] | however input and output are cut, the same is understood and answered |
//! | [`roundtrip`] | what was written is what is read, for requests and for answers |
//! | [`corpus`] | known attacks and classic faults get their status, and nothing behind them is served |
//! | [`client`] | good and bad responses, read alike however they are cut |
//! | [`both_sides`] | what client or server writes is what the other reads |
//! | [`exchange`] | keep-alive, framing, pipelining, 100-continue, lingering, closing |
//! | [`deadlines`] | every wait ends when its setting says, on a clock that only the test moves |
//!
//! [`drive`] plays the engine, [`app`] the application, [`reply`] the client, and [`script`] a peer with a plan.
//! The client shares no code with the core: the judge must not inherit the bugs of the accused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]
#![allow(clippy::disallowed_methods, reason = "a test needs some moment to begin at, and a file to send")]

mod app;
mod both_sides;
mod client;
mod corpus;
mod deadlines;
mod drive;
mod exchange;
mod reply;
mod roundtrip;
mod script;
mod split;
