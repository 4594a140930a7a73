//! What is asked of every server, and what it shows. A table; nothing here acts.

use super::rivals::{Rival, Skill};

/// Something to ask of every server.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Its name in files and on the command line.
    pub id: &'static str,
    /// What a table calls it.
    pub title: &'static str,
    /// What is done, and what it shows, as a sentence.
    pub shows: &'static str,
    /// Who takes part.
    pub field: Field,
    /// What kind of measurement it is.
    pub task: Task,
    /// Where it is measured: once, or at several points that are compared with the first.
    pub points: &'static [Point],
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Whoever can do that.
    Able(Skill),
    /// These.
    Named(&'static [&'static str]),
}

/// A kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Requests over and over: what each costs.
    Load(Manner),
    /// Connections that have asked once, and stay: what each costs.
    Idle,
    /// From nothing to the first answer.
    Start,
}

/// How requests are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Whether connections are used again.
    pub keep_alive: bool,
    /// Requests sent together on a connection.
    pub pipeline: usize,
    /// Whether the server writes an access log.
    pub logs: bool,
    /// Whether server and driver share all CPUs, of which each has a worker.
    pub shares_cpus: bool,
}

/// Where a work is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// What tells it from the work's other points; empty if it is the only one.
    pub name: &'static str,
    /// Connections at the same time.
    pub connections: usize,
    /// What is asked for.
    pub question: Question,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A file of 1,024 bytes.
    Page,
    /// Whether it has changed, with the tag that it has.
    PageIfChanged,
    /// Its head.
    PageHead,
    /// A file of 954,824 bytes.
    Large,
    /// Small files of a directory in turn.
    FilesOf {
        /// How many the directory has.
        files: usize,
        /// How many of them are asked for, from one end to the other.
        asked: usize,
    },
    /// A file that is not there.
    Nothing,
}

/// Connections that stay without asking anything more.
pub const IDLE_CONNECTIONS: usize = 5000;

const KEEP_ALIVE: Manner = Manner { keep_alive: true, pipeline: 1, logs: false, shares_cpus: false };

const fn at(connections: usize, question: Question) -> Point {
    Point { name: "", connections, question }
}

/// All works, in the order of the report.
pub const ALL: &[Work] = &[
    Work {
        id: "keep-alive",
        title: "A file of 1 KiB, keep-alive",
        shows: "64 connections ask for the same file again and again: the least that a server does for each request.",
        field: Field::Able(Skill::Answer),
        task: Task::Load(KEEP_ALIVE),
        points: &[at(64, Question::Page)],
    },
    Work {
        id: "close",
        title: "A connection for each request",
        shows: "100 clients at once, each with a new connection for every request of 1 KiB: accepting, and closing.",
        field: Field::Able(Skill::Answer),
        task: Task::Load(Manner { keep_alive: false, ..KEEP_ALIVE }),
        points: &[at(100, Question::Page)],
    },
    Work {
        id: "large",
        title: "A file of 955 kB, keep-alive",
        shows: "32 connections. The kernel does most of the work; servers differ in how often they call it, and how.",
        field: Field::Able(Skill::Files),
        task: Task::Load(KEEP_ALIVE),
        points: &[at(32, Question::Large)],
    },
    Work {
        id: "many",
        title: "5,000 different files of 1 KiB",
        shows: "64 connections ask for all of them in turn: what finding a file costs.",
        field: Field::Able(Skill::Files),
        task: Task::Load(KEEP_ALIVE),
        points: &[at(64, Question::FilesOf { files: 5000, asked: 5000 })],
    },
    Work {
        id: "absent",
        title: "404",
        shows: "64 connections ask for a file that is not there.",
        field: Field::Able(Skill::Files),
        task: Task::Load(KEEP_ALIVE),
        points: &[at(64, Question::Nothing)],
    },
    Work {
        id: "not-modified",
        title: "304",
        shows: "64 connections ask with If-None-Match and the tag that the server gave the file of 1 KiB.",
        field: Field::Able(Skill::Files),
        task: Task::Load(KEEP_ALIVE),
        points: &[at(64, Question::PageIfChanged)],
    },
    Work {
        id: "head",
        title: "HEAD",
        shows: "64 connections ask for the head of the file of 1 KiB.",
        field: Field::Able(Skill::Files),
        task: Task::Load(KEEP_ALIVE),
        points: &[at(64, Question::PageHead)],
    },
    Work {
        id: "pipelined",
        title: "1 KiB, pipelined by 16",
        shows: "64 connections send 16 requests together, and the next 16 when all are answered.",
        field: Field::Able(Skill::Answer),
        task: Task::Load(Manner { pipeline: 16, ..KEEP_ALIVE }),
        points: &[at(64, Question::Page)],
    },
    Work {
        id: "logged",
        title: "1 KiB, keep-alive, with an access log",
        shows: "As the first, with a line in the combined format for each request in a file.",
        field: Field::Able(Skill::Log),
        task: Task::Load(Manner { logs: true, ..KEEP_ALIVE }),
        points: &[at(64, Question::Page)],
    },
    Work {
        id: "crowd",
        title: "A crowd: 1 KiB, keep-alive",
        shows: "As the first, with more and more connections, all of them busy.",
        field: Field::Able(Skill::Answer),
        task: Task::Load(KEEP_ALIVE),
        points: &[
            Point { name: "64 connections", ..at(64, Question::Page) },
            Point { name: "1,000 connections", ..at(1000, Question::Page) },
            Point { name: "10,000 connections", ..at(10_000, Question::Page) },
        ],
    },
    Work {
        id: "idle",
        title: "5,000 idle connections",
        shows: "Each has asked for 1 KiB once, and stays. What the server's memory has grown by, for each of them.",
        field: Field::Able(Skill::Answer),
        task: Task::Idle,
        points: &[at(IDLE_CONNECTIONS, Question::Page)],
    },
    Work {
        id: "start",
        title: "From start to first answer",
        shows: "The program is started, and asked until it answers.",
        field: Field::Able(Skill::Answer),
        task: Task::Start,
        points: &[at(1, Question::Page)],
    },
    Work {
        id: "cores",
        title: "All cores, with the load beside",
        shows: "As the first, with a worker for each core, and the driver on the same cores.",
        field: Field::Named(&["httpd", "httpd-blocking", "nginx"]),
        task: Task::Load(Manner { shares_cpus: true, ..KEEP_ALIVE }),
        points: &[at(64, Question::Page)],
    },
    Work {
        id: "directory",
        title: "Files of a large directory",
        shows: "64 connections ask for 100 files of a directory that has no others; for 100 out of 100,000; and for all \
                100,000 in turn, which is more than caches hold.",
        field: Field::Named(&["httpd", "httpd-blocking", "nginx"]),
        task: Task::Load(KEEP_ALIVE),
        points: &[
            Point { name: "100 of 100", ..at(64, Question::FilesOf { files: 100, asked: 100 }) },
            Point { name: "100 of 100,000", ..at(64, Question::FilesOf { files: 100_000, asked: 100 }) },
            Point {
                name: "100,000 of 100,000",
                ..at(64, Question::FilesOf { files: 100_000, asked: 100_000 })
            },
        ],
    },
];

/// What a quick run contents itself with.
pub const QUICK: &[&str] = &["keep-alive", "close", "large", "absent", "pipelined"];

impl Work {
    /// The one with this name.
    pub fn named(id: &str) -> Option<&'static Work> {
        ALL.iter().find(|work| work.id == id)
    }

    /// Whether a server takes part.
    pub fn is_for(&self, rival: &Rival) -> bool {
        match self.field {
            Field::Able(skill) => rival.skill >= skill,
            Field::Named(names) => names.contains(&rival.id),
        }
    }

    /// Whether it is also measured there. A thread for each of ten thousand connections is nobody's plan.
    pub fn is_at(&self, point: &Point, rival: &Rival) -> bool {
        !(rival.id == "httpd-blocking" && point.connections > IDLE_CONNECTIONS)
    }

    /// How requests are made: over connections that are kept alive, unless it says otherwise.
    pub fn manner(&self) -> Manner {
        match self.task {
            Task::Load(manner) => manner,
            Task::Idle | Task::Start => KEEP_ALIVE,
        }
    }

    /// The limit it is held against: who accepts as eagerly as possible where that matters.
    pub fn limit(&self) -> &'static str {
        if self.manner().keep_alive { "limit" } else { "limit-eager" }
    }

    /// What its cost is, and what that is measured in.
    pub fn cost(&self) -> (&'static str, &'static str) {
        match self.task {
            Task::Load(_) => ("CPU per request", "µs"),
            Task::Idle => ("memory per connection", "bytes"),
            Task::Start => ("time", "ms"),
        }
    }
}
