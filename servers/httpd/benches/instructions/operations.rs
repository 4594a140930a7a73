//! Prints how many instructions each thing on the hot path takes, one `NAME COUNT` a line: what
//! `.ci/count-instructions` holds against its bounds.
//!
//! Nothing is timed, so nothing else on the machine shows in the figures. [`steps`] says how they come about.

#![allow(clippy::expect_used, clippy::panic, reason = "a count of what went wrong is worth nothing")]

#[path = "../../../../http-core/benches/protocol/heads.rs"]
mod heads;
#[path = "../site/mod.rs"]
mod site;
mod steps;

use heads::HEADS;
use http_engine::{
    Clock, Fields, HeadIndex, Limits, SendQueue, Status,
    encode::{self, Delimiter, Head},
    head::Progress,
};
use site::Site;
use std::{
    env,
    hint::black_box,
    time::{Instant, SystemTime},
};

fn main() {
    match env::args().nth(1) {
        Some(name) => work(&name),
        None => names().iter().for_each(|name| println!("{name} {}", steps::count(name))),
    }
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = HEADS.iter().map(|(name, _)| format!("parse-{name}")).collect();
    names.push("encode".to_owned());
    names.extend(Site::new().questions().iter().map(|question| format!("advance-{}", question.name)));
    names
}

/// Does what is to be counted, in a process of its own.
fn work(name: &str) {
    match name.split_once('-') {
        Some(("parse", name)) => parse(name),
        Some(("advance", name)) => advance(name),
        _ if name == "encode" => encode(),
        _ => panic!("{name} is nothing that is counted"),
    }
}

/// A head's way into the index.
fn parse(name: &str) {
    let (_, head) = HEADS.into_iter().find(|(known, _)| *known == name).expect("a head of this name");
    let limits = Limits::default();
    let mut index = HeadIndex::default();
    let mut parse = || {
        index.reset();
        index.parse(black_box(head.as_bytes()), &limits)
    };
    assert_eq!(parse(), Ok(Progress::Complete(head.len())));
    steps::show(parse);
}

/// An answer's head on its way into the send queue.
fn encode() {
    let clock = Clock::new("site", Instant::now(), SystemTime::UNIX_EPOCH);
    let mut fields = Fields::default();
    fields.push("Content-Type", "text/html; charset=utf-8").expect("a field");
    fields.push("ETag", "\"400-69b577463141592f\"").expect("a field");
    let mut out = SendQueue::default();
    let mut encode = || {
        let head = Head { status: Status::OK, ready: black_box(fields.as_bytes()), fields: b"" };
        encode::head(&mut out, head, black_box(Delimiter::Length(1024)), true, &clock);
        let queued = out.pending();
        out.clear();
        queued
    };
    assert_eq!(encode(), 186, "bytes of a head");
    steps::show(encode);
}

/// A request's way through the file server, from one wait for the peer to the next.
fn advance(name: &str) {
    let mut site = Site::new();
    let questions = site.questions();
    let question = questions.iter().find(|question| question.name == name).expect("a question of this name");
    steps::show(|| site.ask(black_box(&question.request)));
}
