//! Threads that run callbacks, whatever becomes of them.

use std::sync::mpsc::{Sender, channel};

use super::*;

#[derive(Default)]
struct Somebody(Mailbox);

impl Owner for Somebody {
    fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    fn run(&self, job: Job) {
        if let Job::Call(call) = job {
            call();
        }
    }

    fn caught_up(&self) {}
}

fn owner() -> Arc<dyn Owner> {
    Arc::new(Somebody::default())
}

fn tell(results: &Sender<u32>, number: u32) -> Job {
    let results = results.clone();
    Job::Call(Box::new(move || results.send(number).unwrap()))
}

fn wait_for_rest(pool: &Pool) {
    while lock(&pool.state).idle == 0 {
        thread::yield_now();
    }
}

#[test]
fn who_rests_is_called_though_another_brings_its_work_back() {
    let pool = Pool::new(1);
    let (results, ran) = channel();
    pool.submit(owner(), [tell(&results, 1)]);
    assert_eq!(ran.recv(), Ok(1));
    wait_for_rest(&pool);
    // What a worker does that has not taken its next work yet.
    let more = owner();
    let job = tell(&results, 2);
    lock(&more.mailbox().0).bytes += job.cost();
    lock(&more.mailbox().0).jobs.push_back(job);
    pool.queue_again(more);
    pool.submit(owner(), [tell(&results, 3)]);
    assert_eq!((ran.recv(), ran.recv()), (Ok(2), Ok(3)));
    pool.stop();
}

#[test]
fn work_for_which_there_was_no_thread_is_not_forgotten() {
    static REFUSES: AtomicBool = AtomicBool::new(true);
    let pool = Pool::with(4, |pool| {
        if REFUSES.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        thread::spawn(move || pool.work());
        Ok(())
    });
    let (results, ran) = channel();
    pool.submit(owner(), [tell(&results, 1)]);
    pool.try_again();
    assert!(pool.is_starved());
    REFUSES.store(false, Ordering::SeqCst);
    pool.try_again();
    assert!(!pool.is_starved());
    assert_eq!(ran.recv(), Ok(1));
    pool.stop();
}

#[test]
fn messages_without_content_take_room_too() {
    let pool = Pool::with(1, |_| Err(io::ErrorKind::WouldBlock.into()));
    let owner = owner();
    let mut count = 0;
    for awaited in [false, true] {
        while owner.mailbox().has_room(None, awaited) {
            let nothing = Response {
                message_type: crate::message::MessageType::of(200),
                content: Vec::new(),
                timestamp_ms: 0,
                received_at_ms: 0,
                crc: 0,
                request_id: crate::message::RequestId(0),
            };
            pool.submit(Arc::clone(&owner), [Job::Message(nothing)]);
            count += 1;
        }
        // A queue that grows has twice the places that it needs.
        let most = MAX_BYTES * if awaited { 2 } else { 1 };
        assert!(count * 2 * size_of::<Job>() <= most, "{count}");
    }
    // Or nothing would ever be read.
    assert!(Mailbox::default().has_room(Some(0), false));
}

/// An owner whose end panics, and panics with something whose end does.
struct Bomb(Mailbox);

struct Shrapnel;

impl Drop for Shrapnel {
    fn drop(&mut self) {
        panic!("what was thrown");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any(Shrapnel);
    }
}

impl Owner for Bomb {
    fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    fn run(&self, _: Job) {
        std::panic::panic_any(Shrapnel);
    }

    fn caught_up(&self) {}
}

#[test]
fn a_thread_outlives_whatever_panics_on_it() {
    let pool = Pool::new(1);
    let (results, ran) = channel();
    pool.submit(Arc::new(Bomb(Mailbox::default())), [Job::Connected]);
    pool.submit(owner(), [tell(&results, 1)]);
    assert_eq!(ran.recv(), Ok(1));
    pool.stop();
    assert!(pool.wait(Instant::now() + Duration::from_secs(30)));
}
