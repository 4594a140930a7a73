//! The table of workloads: which requests every architecture gets, and what the picture of each workload shows.

/// A load for every architecture, with one or more numbers of connections.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name in files and on the command line.
    pub id: &'static str,
    /// Its title in pictures.
    pub title: &'static str,
    /// What it shows, as a sentence.
    pub shows: &'static str,
    /// Which clients send which requests.
    pub scene: Scene,
    /// The numbers of busy connections, ascending; for a bystander, the numbers of neighbours.
    pub connections: &'static [usize],
    /// The numbers of connections in a quick run.
    pub quick: &'static [usize],
}

/// Which clients send which requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Every connection sends the next request as soon as the last is answered.
    Busy(Question),
    /// Every connection sends one request, all at the same time.
    AllAtOnce(Question),
    /// A few connections ask for `/hello` at a steady rate beside other clients; the measured latency is theirs.
    Bystander(Neighbours),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A constant answer of thirteen bytes.
    Hello,
    /// A file.
    File {
        /// Its size in KiB, one of [`FILES_KIB`].
        kib: usize,
    },
    /// An answer that takes time and nothing else.
    Wait {
        /// The time in milliseconds.
        ms: u64,
    },
    /// The count of primes below `n`: an answer that takes work.
    Primes {
        /// The upper bound. Doubling it almost triples the work.
        n: u32,
        /// Whether the server computes on the thread that serves requests, instead of on a pool.
        inline: bool,
    },
    /// The weather at another place each time: the server has to ask another server.
    Weather,
}

/// The other clients beside a bystander.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// No other clients.
    None,
    /// Clients that send this request again as soon as it is answered.
    Asking(Question),
    /// Clients that have sent one request, and keep their connections.
    Idle,
    /// Clients that send a request one byte at a time.
    Dripping,
}

/// The sizes of the files in the document root, in KiB.
pub const FILES_KIB: &[usize] = &[1, 1024];

/// Requests per second of a bystander: few enough that it catches up after a neighbour has blocked the server for a
/// while. So its latency shows the effect of the neighbours, not of its own backlog.
pub const BYSTANDER_RATE: u32 = 250;
/// The connections of a bystander. With a thousand neighbours they must not exceed the limit of the blocking engine.
pub const BYSTANDER_CONNECTIONS: usize = 16;

/// The bound for about ten milliseconds of work.
const MUCH: u32 = 180_000;
/// The bound for about two milliseconds of work.
const LITTLE: u32 = 60_000;

/// All workloads, in the order of the report.
pub const ALL: &[Workload] = &[
    Workload {
        id: "hello",
        title: "Hello, World!",
        shows: "The basic cost of an answer: receiving, parsing, sending, and waking the thread that does it. \
        With more connections an event loop has more to do at each wake-up, and the kernel has more threads \
        to schedule.",
        scene: Scene::Busy(Question::Hello),
        connections: &[1, 16, 64, 256, 1000],
        quick: &[1, 64],
    },
    Workload {
        id: "static",
        title: "A file of 1 KiB",
        shows: "The same with a file, and with nginx as the reference: the additional cost of finding, checking and \
        sending a file.",
        scene: Scene::Busy(Question::File { kib: 1 }),
        connections: &[1, 64, 1000],
        quick: &[1, 64],
    },
    Workload {
        id: "static-large",
        title: "A file of 1 MiB",
        shows: "The kernel does most of the work, copying, so the architectures can differ only a little.",
        scene: Scene::Busy(Question::File { kib: 1024 }),
        connections: &[16],
        quick: &[16],
    },
    Workload {
        id: "io-task",
        title: "Waiting for 50 ms",
        shows: "An answer that takes time but no CPU, as if the server waited for a database. How many requests can \
        wait at the same time, and what does each cost: a timer, or a thread with its stack?",
        scene: Scene::Busy(Question::Wait { ms: 50 }),
        connections: &[16, 64, 256, 1000],
        quick: &[16, 256],
    },
    Workload {
        id: "thousand-waits",
        title: "A thousand answers of one second each, at once",
        shows: "All requests are sent at the same time and take one second each. A server that handles them \
        concurrently is done after little more than one second.",
        scene: Scene::AllAtOnce(Question::Wait { ms: 1000 }),
        connections: &[1000],
        quick: &[1000],
    },
    Workload {
        id: "cpu-offloaded",
        title: "Computing, offloaded",
        shows: "Two milliseconds of work for each answer. An event loop hands the work to a pool of threads; a \
        blocking thread does it itself. The work is the same for all, so only the cost of the handover differs.",
        scene: Scene::Busy(Question::Primes { n: LITTLE, inline: false }),
        connections: &[1, 16, 64],
        quick: &[16],
    },
    Workload {
        id: "cpu-inline",
        title: "Computing, inline",
        shows: "The same work, done on the thread that serves requests. As long as there are no other requests, this \
        is faster: a handover to a pool costs more than it gains.",
        scene: Scene::Busy(Question::Primes { n: LITTLE, inline: true }),
        connections: &[1, 16, 64],
        quick: &[16],
    },
    Workload {
        id: "weather",
        title: "Asking another server",
        shows: "Every answer needs a forecast from another server. The client inside the server blocks, so an event \
        loop has to hand it to its pool, and can have only as many forecasts in progress as the pool has threads.",
        scene: Scene::Busy(Question::Weather),
        connections: &[1, 16, 64],
        quick: &[16],
    },
    Workload {
        id: "beside-none",
        title: "alone",
        shows: "The bystander without neighbours, for comparison.",
        scene: Scene::Bystander(Neighbours::None),
        connections: &[0],
        quick: &[0],
    },
    Workload {
        id: "beside-offloaded",
        title: "computing, offloaded",
        shows: "Four neighbours ask for ten milliseconds of work each, which the pool does.",
        scene: Scene::Bystander(Neighbours::Asking(Question::Primes { n: MUCH, inline: false })),
        connections: &[4],
        quick: &[4],
    },
    Workload {
        id: "beside-inline",
        title: "computing, inline",
        shows: "The same work on the thread that serves requests: on an event loop, all other clients wait for it.",
        scene: Scene::Bystander(Neighbours::Asking(Question::Primes { n: MUCH, inline: true })),
        connections: &[4],
        quick: &[4],
    },
    Workload {
        id: "beside-idle",
        title: "1,000 idle connections",
        shows: "A thousand clients have sent one request and stay connected. What does an idle connection cost?",
        scene: Scene::Bystander(Neighbours::Idle),
        connections: &[1000],
        quick: &[1000],
    },
    Workload {
        id: "beside-slow",
        title: "500 slow clients",
        shows: "Five hundred clients send their requests at ten bytes per second: every byte wakes a thread of the \
        server, and almost none completes a request.",
        scene: Scene::Bystander(Neighbours::Dripping),
        connections: &[500],
        quick: &[500],
    },
];

impl Workload {
    /// The workload with this name.
    pub fn named(id: &str) -> Option<&'static Workload> {
        ALL.iter().find(|workload| workload.id == id)
    }

    /// Whether a server of files alone can take part.
    pub fn is_static(&self) -> bool {
        matches!(self.scene, Scene::Busy(Question::File { .. }))
    }

    /// Whether it measures a bystander.
    pub fn is_bystander(&self) -> bool {
        matches!(self.scene, Scene::Bystander(_))
    }

    /// Whether servers need a weather service for it.
    pub fn asks_for_weather(&self) -> bool {
        self.scene == Scene::Busy(Question::Weather)
    }
}
