//! Tests of http-core through its public interface: bytes in, steps and bytes out.
//!
//! | module | what it tests |
//! |---|---|
//! | [`split`] | however input and output are split, the same requests are read and the same responses sent |
//! | [`roundtrip`] | reading returns what was written, for requests and responses |
//! | [`corpus`] | known attacks and common errors get their status, and nothing after them is served |
//! | [`client`] | valid and invalid responses are read alike, however they are split |
//! | [`both_sides`] | client and server read what the other one writes |
//! | [`exchange`] | keep-alive, framing, pipelining, 100-continue, lingering, closing, misuse |
//! | [`admit`] | content is buffered up to a limit, or dropped after the response |
//! | [`content`] | content that the application takes piece by piece |
//! | [`extremes`] | no limit and no timeout makes a connection panic or hang |
//! | [`memory`] | an idle connection holds no memory, and all together no more than their budget |
//! | [`handlers`] | `TestRequest`: every kind of reply and of body, and what goes wrong with them |
//! | [`responses`] | what a handler says in a response, and what is sent |
//! | [`upgrade`] | a 101, what follows it, and when it is not sent |
//! | [`proxies`] | the client behind a proxy: PROXY protocol, X-Forwarded-For, Forwarded |
//! | [`deadlines`] | every wait ends after its timeout, on a clock that the test controls |
//!
//! [`drive`] simulates the engine, [`app`] the application, [`received`] the client, and [`script`] runs a list of
//! actions. The simulated client shares no code with http-core, so that it cannot share its bugs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]
#![allow(clippy::disallowed_methods, reason = "a test needs a start time, and a file to send")]

mod admit;
mod app;
mod both_sides;
mod client;
mod content;
mod corpus;
mod deadlines;
mod drive;
mod exchange;
mod extremes;
mod handlers;
mod memory;
mod proxies;
mod received;
mod responses;
mod roundtrip;
mod script;
mod split;
mod upgrade;
