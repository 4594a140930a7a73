//! The workloads: what is asked of every architecture, and what its picture is to show. A table; nothing here acts.

/// Something to ask of every architecture, with more and more connections.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name in files and on the command line.
    pub id: &'static str,
    /// What a picture calls it.
    pub title: &'static str,
    /// What it shows, as a sentence.
    pub shows: &'static str,
    /// Who asks what.
    pub scene: Scene,
    /// How many connections are kept busy, ascending; beside a bystander, how many neighbours there are.
    pub connections: &'static [usize],
    /// Which of them a quick run contents itself with.
    pub quick: &'static [usize],
}

/// Who asks what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Every connection asks again as soon as it is answered.
    Busy(Question),
    /// Every connection asks once, all at the same time.
    AllAtOnce(Question),
    /// A few connections ask for `/hello` at a steady pace, and it is their latency that counts, while others are
    /// connected as well.
    Bystander(Neighbours),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Thirteen bytes that are always the same.
    Hello,
    /// A file of so many KiB.
    File {
        /// One of [`FILES_KIB`].
        kib: usize,
    },
    /// An answer that takes time and nothing else.
    Wait {
        /// How long.
        ms: u64,
    },
    /// The count of primes below `n`: an answer that takes work.
    Primes {
        /// Twice as much is not quite three times the work.
        n: u32,
        /// Whether it is worked out where requests are served, instead of where it disturbs nobody.
        inline: bool,
    },
    /// The weather somewhere else each time: an answer for which the server has to ask another one.
    Weather,
}

/// Who else is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// Nobody.
    Nobody,
    /// Clients that ask this again as soon as they are answered.
    Asking(Question),
    /// Clients that have asked once, and stay.
    Idle,
    /// Clients whose requests come a byte at a time.
    Dripping,
}

/// The sizes of the files there are.
pub const FILES_KIB: &[usize] = &[1, 1024];

/// Requests per second of a bystander. A neighbour that holds up everybody for a while must not make it fall behind for
/// good: it shall wait for its neighbours, not for itself.
pub const BYSTANDER_RATE: u32 = 250;
/// The connections it has for them; together with a thousand neighbours, not more than blocking engines hold.
pub const BYSTANDER_CONNECTIONS: usize = 16;

/// Some ten milliseconds of work.
const MUCH: u32 = 180_000;
/// Some two milliseconds of work.
const LITTLE: u32 = 60_000;

/// All workloads, in the order of the report.
pub const ALL: &[Workload] = &[
    Workload {
        id: "hello",
        title: "Hello, World!",
        shows: "What it costs to answer at all: receiving, parsing, sending, and waking the one who does it. \
                More connections give an event loop more to do for each wake-up, and a machine with threads more to \
                choose between.",
        scene: Scene::Busy(Question::Hello),
        connections: &[1, 16, 64, 256, 1000],
        quick: &[1, 64],
    },
    Workload {
        id: "static",
        title: "A file of 1 KiB",
        shows: "The same with a file behind the answer, and with nginx as the reference: whether files are found, \
                checked and sent at little more than the cost of an answer.",
        scene: Scene::Busy(Question::File { kib: 1 }),
        connections: &[1, 64, 1000],
        quick: &[1, 64],
    },
    Workload {
        id: "static-large",
        title: "A file of 1 MiB",
        shows: "Here it is the kernel that works, copying: architectures have little left to differ in.",
        scene: Scene::Busy(Question::File { kib: 1024 }),
        connections: &[16],
        quick: &[16],
    },
    Workload {
        id: "io-task",
        title: "Waiting for 50 ms",
        shows: "An answer that takes time but no work, as one from a database would. How many can wait side by side, \
                and what does each waiting one cost: a timer, or a thread with its stack?",
        scene: Scene::Busy(Question::Wait { ms: 50 }),
        connections: &[16, 64, 256, 1000],
        quick: &[16, 256],
    },
    Workload {
        id: "thousand-waits",
        title: "A thousand answers of one second each, at once",
        shows: "All are asked at the same time and take one second each. Whoever serves them side by side is done \
                after little more than one.",
        scene: Scene::AllAtOnce(Question::Wait { ms: 1000 }),
        connections: &[1000],
        quick: &[1000],
    },
    Workload {
        id: "cpu-offloaded",
        title: "Computing, offloaded",
        shows: "Two milliseconds of work for each answer. An event loop hands it to a pool of threads; a blocking \
                thread just does it. The work is the same for all, so that only the handing over can differ.",
        scene: Scene::Busy(Question::Primes { n: LITTLE, inline: false }),
        connections: &[1, 16, 64],
        quick: &[16],
    },
    Workload {
        id: "cpu-inline",
        title: "Computing, inline",
        shows: "The same work, done where requests are served. As long as nobody asks for anything else, nothing is \
                wrong with that: handing over costs more than it gains.",
        scene: Scene::Busy(Question::Primes { n: LITTLE, inline: true }),
        connections: &[1, 16, 64],
        quick: &[16],
    },
    Workload {
        id: "weather",
        title: "Asking another server",
        shows: "Every answer needs a forecast from somewhere else. The client inside the server blocks, so an event \
                loop has to hand it to its pool, and has no more requests on their way than that has threads.",
        scene: Scene::Busy(Question::Weather),
        connections: &[1, 16, 64],
        quick: &[16],
    },
    Workload {
        id: "beside-nobody",
        title: "alone",
        shows: "The bystander without neighbours: what the others are compared with.",
        scene: Scene::Bystander(Neighbours::Nobody),
        connections: &[0],
        quick: &[0],
    },
    Workload {
        id: "beside-offloaded",
        title: "computing, offloaded",
        shows: "Four neighbours have primes counted, ten milliseconds at a time, by the pool.",
        scene: Scene::Bystander(Neighbours::Asking(Question::Primes { n: MUCH, inline: false })),
        connections: &[4],
        quick: &[4],
    },
    Workload {
        id: "beside-inline",
        title: "computing, inline",
        shows: "The same, where requests are served: on an event loop, everybody waits meanwhile.",
        scene: Scene::Bystander(Neighbours::Asking(Question::Primes { n: MUCH, inline: true })),
        connections: &[4],
        quick: &[4],
    },
    Workload {
        id: "beside-idle",
        title: "1,000 idle connections",
        shows: "A thousand clients have asked once and stay connected. What does each cost, just by being there?",
        scene: Scene::Bystander(Neighbours::Idle),
        connections: &[1000],
        quick: &[1000],
    },
    Workload {
        id: "beside-slow",
        title: "500 slow clients",
        shows: "Five hundred clients send their requests at ten bytes per second: every byte wakes somebody, and \
                none of them completes a request.",
        scene: Scene::Bystander(Neighbours::Dripping),
        connections: &[500],
        quick: &[500],
    },
];

impl Workload {
    /// The one with this name.
    pub fn named(id: &str) -> Option<&'static Workload> {
        ALL.iter().find(|workload| workload.id == id)
    }

    /// Whether a server that has nothing but files can take part.
    pub fn is_static(&self) -> bool {
        matches!(self.scene, Scene::Busy(Question::File { .. }))
    }

    /// Whether it is about a bystander.
    pub fn is_bystander(&self) -> bool {
        matches!(self.scene, Scene::Bystander(_))
    }

    /// Whether servers need a weather service for it.
    pub fn asks_for_weather(&self) -> bool {
        self.scene == Scene::Busy(Question::Weather)
    }
}
