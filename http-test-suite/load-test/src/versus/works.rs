//! The table of works: which requests every server gets, and what each work shows.

use super::rivals::{Rival, Skill};

/// A load for every server.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Its name in files and on the command line.
    pub id: &'static str,
    /// Its title in tables.
    pub title: &'static str,
    /// What the clients do, and what the work shows.
    pub shows: &'static str,
    /// Which servers take part.
    pub field: Field,
    /// The kind of measurement.
    pub task: Task,
    /// The points at which it is measured. Further points are compared with the first.
    pub points: &'static [Point],
}

/// Which servers take part in a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// All servers with this skill.
    Able(Skill),
    /// The servers with these names.
    Named(&'static [&'static str]),
}

/// A kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A load of requests: measures the cost of each.
    Load(Manner),
    /// Idle connections that have sent one request: measures the memory of each.
    Idle,
    /// Measures the time from the start of the program to its first answer.
    Start,
}

/// How clients send requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Whether connections are kept alive.
    pub keep_alive: bool,
    /// Requests sent together on a connection.
    pub pipeline: usize,
    /// Whether the server writes an access log.
    pub logs: bool,
    /// Whether server and driver share all CPUs, with a worker for each CPU.
    pub shares_cpus: bool,
}

/// One variant of a work, such as a number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The name of the point; empty if the work has only one point.
    pub name: &'static str,
    /// Connections at the same time.
    pub connections: usize,
    /// What the requests ask for.
    pub question: Question,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A file of 1,024 bytes.
    Page,
    /// The page, with If-None-Match and its current entity tag.
    PageIfChanged,
    /// The page, with HEAD.
    PageHead,
    /// A file of 954,824 bytes.
    Large,
    /// The small files of a directory, in turn.
    FilesOf {
        /// The number of files in the directory.
        files: usize,
        /// The number of files that are requested, spread evenly over the directory.
        asked: usize,
    },
    /// A file that does not exist.
    Nothing,
}

/// The number of idle connections.
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
        shows: "64 connections ask for a file that does not exist.",
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
        shows: "Each has sent one request for 1 KiB and stays open. The cost is the growth of the server's memory.",
        field: Field::Able(Skill::Answer),
        task: Task::Idle,
        points: &[at(IDLE_CONNECTIONS, Question::Page)],
    },
    Work {
        id: "start",
        title: "From start to first answer",
        shows: "The program is started, and gets requests until it answers.",
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

/// The works of a quick run.
pub const QUICK: &[&str] = &["keep-alive", "close", "large", "absent", "pipelined"];

impl Work {
    /// The work with this name.
    pub fn named(id: &str) -> Option<&'static Work> {
        ALL.iter().find(|work| work.id == id)
    }

    /// Whether a server takes part in the work.
    pub fn is_for(&self, rival: &Rival) -> bool {
        match self.field {
            Field::Able(skill) => rival.skill >= skill,
            Field::Named(names) => names.contains(&rival.id),
        }
    }

    /// Whether a server is measured at this point. The blocking engine is not measured with ten thousand connections,
    /// because it is not meant for that many threads.
    pub fn is_at(&self, point: &Point, rival: &Rival) -> bool {
        !(rival.id == "httpd-blocking" && point.connections > IDLE_CONNECTIONS)
    }

    /// How clients send requests: over keep-alive connections, unless the task says otherwise.
    pub fn manner(&self) -> Manner {
        match self.task {
            Task::Load(manner) => manner,
            Task::Idle | Task::Start => KEEP_ALIVE,
        }
    }

    /// The limit to compare with: the eager limit if every request uses a new connection.
    pub fn limit(&self) -> &'static str {
        if self.manner().keep_alive { "limit" } else { "limit-eager" }
    }

    /// The name and the unit of its cost.
    pub fn cost(&self) -> (&'static str, &'static str) {
        match self.task {
            Task::Load(_) => ("CPU per request", "µs"),
            Task::Idle => ("memory per connection", "bytes"),
            Task::Start => ("time", "ms"),
        }
    }
}
