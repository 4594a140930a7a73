//! Models of the pool, of the list of threads, and of the shutdown.

use crate::{pool::Pool, shutdown::Shutdown, threads::Threads};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

fn threads() -> (Arc<Threads>, Arc<Shutdown>) {
    let shutdown = Arc::new(Shutdown::new().expect("a descriptor"));
    (Threads::new(64 * 1024, &shutdown), shutdown)
}

/// Each task that the pool has taken runs exactly once, although no further task and no end of the pool wakes a thread.
/// No more tasks run at once than there may be threads.
pub fn pool_runs_each_task_without_another_wake_up() {
    const MAX_THREADS: usize = 2;
    let (threads, _shutdown) = threads();
    let pool = Pool::new("pool", MAX_THREADS, 8, &threads);
    let running = Arc::new(AtomicUsize::new(0));
    let submitters = [0, 1, 2].map(|_| {
        let (pool, running) = (pool.clone(), Arc::clone(&running));
        thread::spawn(move || {
            let mut most = 0;
            for _ in 0..2 {
                let (done, is_done) = channel();
                let running = Arc::clone(&running);
                let task = move || {
                    let at_once = running.fetch_add(1, SeqCst) + 1;
                    running.fetch_sub(1, SeqCst);
                    done.send(at_once).expect("the submitter waits");
                };
                pool.submit(Box::new(task)).expect("room");
                most = most.max(is_done.recv().expect("the task runs"));
                assert!(is_done.recv().is_err(), "the task is dropped when it has run");
            }
            most
        })
    });
    for submitter in submitters {
        assert!(submitter.join().expect("no panic") <= MAX_THREADS);
    }
    drop(pool);
    threads.wait().expect("no failure");
}

/// Of tasks for a pool whose only thread is busy, as many wait as the queue has places, and the others are rejected. A
/// task that is cancelled runs at most once, and all others exactly once, also if the pool is dropped meanwhile.
pub fn pool_rejects_what_its_queue_does_not_hold() {
    const QUEUE: usize = 2;
    let (threads, _shutdown) = threads();
    let pool = Pool::new("pool", 1, QUEUE, &threads);
    let (started, has_started) = channel();
    let (release, released) = channel::<()>();
    let busy = move || {
        started.send(()).expect("the model waits");
        assert!(released.recv().is_err());
    };
    pool.submit(Box::new(busy)).expect("a thread");
    has_started.recv().expect("the task runs");
    let submitters = [0, 1, 2].map(|number| {
        let pool = pool.clone();
        thread::spawn(move || {
            let runs = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&runs);
            let task = pool.submit(Box::new(move || {
                counted.fetch_add(1, SeqCst);
            }));
            (task.ok().map(|task| (task, number == 0)), runs)
        })
    });
    let tasks = submitters.map(|submitter| submitter.join().expect("no panic"));
    assert_eq!(tasks.iter().filter(|(task, _)| task.is_some()).count(), QUEUE);
    let canceller = thread::spawn({
        let cancelled = tasks.iter().find_map(|(task, _)| task.clone().filter(|(_, cancels)| *cancels));
        move || {
            if let Some((task, _)) = cancelled {
                task.cancel();
            }
        }
    });
    drop(release);
    drop(pool);
    threads.wait().expect("no failure");
    canceller.join().expect("no panic");
    for (task, runs) in tasks {
        let runs = runs.load(SeqCst);
        match task {
            None => assert_eq!(runs, 0, "a rejected task"),
            Some((_, true)) => assert!(runs <= 1, "a cancelled task"),
            Some((_, false)) => assert_eq!(runs, 1, "a task in the queue"),
        }
    }
}

/// `Threads::wait` returns each failure once, and then, when all threads have ended, success. A thread that another one
/// starts counts.
pub fn threads_are_waited_for() {
    let (threads, shutdown) = threads();
    let ended = Arc::new(AtomicUsize::new(0));
    let (own, counted) = (Arc::clone(&threads), Arc::clone(&ended));
    let parent = move || {
        let child = Arc::clone(&counted);
        let run = move || {
            child.fetch_add(1, SeqCst);
            Err(io::Error::other("child"))
        };
        own.spawn("child", run).expect("a thread");
        counted.fetch_add(1, SeqCst);
        Ok(())
    };
    threads.spawn("parent", parent).expect("a thread");
    let own = Arc::clone(&threads);
    let stopper = thread::spawn(move || {
        shutdown.begin(Instant::now(), Duration::from_secs(3600));
        own.notify();
    });
    let failure = threads.wait().expect_err("the child fails");
    assert_eq!(failure.to_string(), "the thread child has ended: child");
    threads.wait().expect("one failure");
    assert_eq!(ended.load(SeqCst), 2);
    stopper.join().expect("no panic");
}

/// A thread that sees the shutdown, by its flag or by its descriptor, sees the flag and a deadline. Of two deadlines,
/// the earlier one remains.
pub fn shutdown_has_a_deadline_when_it_is_seen() {
    let shutdown = Arc::new(Shutdown::new().expect("a descriptor"));
    let is_readable = |shutdown: &Shutdown| {
        let mut events = [PollFd::new(shutdown, PollFlags::IN)];
        poll(&mut events, Some(&Timespec::default())).expect("poll") > 0
    };
    let beginners = [3600, 60].map(|seconds| {
        let shutdown = Arc::clone(&shutdown);
        thread::spawn(move || {
            shutdown.begin(Instant::now(), Duration::from_secs(seconds));
            assert!(shutdown.has_begun());
        })
    });
    let mut known = None;
    while known.is_none() {
        if is_readable(&shutdown) {
            assert!(shutdown.has_begun());
        }
        if shutdown.has_begun() {
            known = Some(shutdown.deadline().expect("a deadline"));
        }
        thread::yield_now();
    }
    let _ = beginners.map(|beginner| beginner.join().expect("no panic"));
    let deadline = shutdown.deadline().expect("a deadline");
    assert!(is_readable(&shutdown) && known.is_some_and(|known| deadline <= known));
    assert!(deadline.elapsed().is_zero() && deadline < Instant::now() + Duration::from_secs(61));
}
