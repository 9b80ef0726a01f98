use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

fn watch(socket: &UnixStream) -> Watch<'_> {
    Watch {
        socket: socket.as_fd(),
        readable: true,
        writable: false,
        from: None,
    }
}

/// What the thread and those who ring share: changes under a lock, and a flag without one.
#[derive(Default)]
struct Rung {
    bell: Bell,
    changes: Mutex<u64>,
    flag: AtomicBool,
}

/// Waits until there is a change or the flag, with or without a socket; none comes later than its ring.
fn take(rung: &Rung, watch: Option<&Watch<'_>>) -> (u64, bool) {
    let mut changes = lock(&rung.changes);
    loop {
        rung.bell.listen(watch);
        let flag = rung.flag.swap(false, Ordering::SeqCst);
        let count = std::mem::take(&mut *changes);
        if flag || count > 0 {
            rung.bell.is_busy();
            return (count, flag);
        }
        let begin = Instant::now();
        let (state, shows) = rung.bell.wait(&rung.changes, changes, soon(), watch);
        assert!(
            !shows && begin.elapsed() < Duration::from_secs(50),
            "a ring was lost"
        );
        changes = state;
    }
}

/// Each ring of a thread waits until the one before was heard, so that the bell is silent time and
/// again; every other waiting is without a socket.
#[test]
fn no_ring_is_lost() {
    const RINGS: u64 = 3_000;
    const THREADS: u64 = 3;
    let (socket, _other) = UnixStream::pair().unwrap();
    let watch = watch(&socket);
    let rung = Rung::default();
    // A ring that is lost ends the test, and not only its waiting.
    let end = soon().map(|at| at + Duration::from_secs(600));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..RINGS {
                    *lock(&rung.changes) += 1;
                    rung.bell.ring();
                    while *lock(&rung.changes) > 0 && soon() < end {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let (mut taken, mut turn) = (0, 0_u64);
        while taken < RINGS * THREADS {
            let with_socket = (turn % 2 == 0).then_some(&watch);
            taken += take(&rung, with_socket).0;
            turn += 1;
        }
        assert_eq!(taken, RINGS * THREADS);
    });
}

/// As hooks ring: with a flag, and without the lock.
#[test]
fn no_flag_is_missed_beside_a_socket() {
    const RINGS: usize = 3_000;
    let (socket, _other) = UnixStream::pair().unwrap();
    let watch = watch(&socket);
    let rung = Rung::default();
    // A ring that is lost ends the test, and not only its waiting.
    let end = soon().map(|at| at + Duration::from_secs(600));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..RINGS {
                rung.flag.store(true, Ordering::SeqCst);
                rung.bell.ring();
                while rung.flag.load(Ordering::SeqCst) && soon() < end {
                    std::thread::yield_now();
                }
            }
        });
        for _ in 0..RINGS {
            assert!(take(&rung, Some(&watch)).1);
        }
    });
}

#[test]
fn a_socket_ends_the_waiting_and_so_does_its_end() {
    let (socket, mut other) = UnixStream::pair().unwrap();
    let (bell, mutex) = (Bell::default(), Mutex::new(()));
    let waits = |socket: &UnixStream| {
        let watch = watch(socket);
        let state = lock(&mutex);
        bell.listen(Some(&watch));
        bell.wait(&mutex, state, soon(), Some(&watch)).1
    };
    other.write_all(b"x").unwrap();
    assert!(waits(&socket));
    drop(other);
    assert!(waits(&socket));
    // Descriptors are not for programs that the application starts.
    let descriptor = bell.descriptor.get().unwrap();
    // SAFETY: asks for the flags of an open descriptor.
    let flags = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFD) };
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
}

/// Whoever rings when nobody waits at the descriptor leaves nothing there.
#[test]
fn the_descriptor_is_written_only_while_it_is_waited_at() {
    let (socket, _other) = UnixStream::pair().unwrap();
    let (bell, mutex) = (Arc::new(Bell::default()), Mutex::new(()));
    let watch = watch(&socket);
    bell.ring();
    assert!(bell.descriptor.get().is_none());
    let state = lock(&mutex);
    bell.listen(Some(&watch));
    bell.is_busy();
    bell.ring();
    bell.listen(Some(&watch));
    let brief = Some(Instant::now() + Duration::from_millis(1));
    let (state, shows) = bell.wait(&mutex, state, brief, Some(&watch));
    assert!(!shows && brief.is_some_and(|at| at <= Instant::now()));
    drop(state);
}

/// The socket shows something all the while.
#[test]
fn a_watch_that_rests_is_waited_for_afterwards() {
    let (socket, mut other) = UnixStream::pair().unwrap();
    let (bell, mutex) = (Bell::default(), Mutex::new(()));
    other.write_all(b"x").unwrap();
    let waits = |until: Option<Instant>, from: Option<Instant>| {
        let watch = Watch {
            from,
            ..watch(&socket)
        };
        let state = lock(&mutex);
        bell.listen(Some(&watch));
        bell.wait(&mutex, state, until, Some(&watch)).1
    };
    let brief = || Some(Instant::now() + Duration::from_millis(50));
    assert!(!waits(brief(), soon()), "it rests");
    // The first waiting ends with the rest, where it was not over before.
    let from = brief();
    assert!(waits(soon(), from) || waits(soon(), from));
    assert!(from.is_some_and(|from| Instant::now() >= from));
}

/// As where an application closes all descriptors that it does not know, and opens its own.
#[test]
fn a_descriptor_that_is_not_ours_any_more_is_left_alone() {
    let (socket, _other) = UnixStream::pair().unwrap();
    let watch = watch(&socket);
    let replaced = |by: &UnixStream| {
        let (bell, mutex) = (Bell::default(), Mutex::new(()));
        bell.listen(Some(&watch));
        let place = bell.rings_at.load(Ordering::SeqCst);
        // SAFETY: two open descriptors.
        assert_eq!(unsafe { libc::dup2(by.as_raw_fd(), place) }, place);
        let state = lock(&mutex);
        let (state, shows) = bell.wait(&mutex, state, soon(), Some(&watch));
        assert!(!shows);
        bell.listen(Some(&watch));
        assert_eq!(bell.rings_at.load(Ordering::SeqCst), SILENT);
        // Nothing shows, so that it is looked at now and then, however often somebody rings.
        let brief = || Some(Instant::now() + Duration::from_millis(1));
        let begin = Instant::now();
        let (mut state, mut shows) = bell.wait(&mutex, state, brief(), Some(&watch));
        while !shows && begin.elapsed() < Duration::from_secs(60) {
            bell.listen(Some(&watch));
            (state, shows) = bell.wait(&mutex, state, brief(), Some(&watch));
        }
        assert!(shows && begin.elapsed() >= BLIND / 2);
        drop(state);
        drop(bell);
        // SAFETY: asks for the flags of a descriptor, and closes it: it is nobody's but this test's.
        let was_open = unsafe { libc::fcntl(place, libc::F_GETFD) >= 0 && libc::close(place) == 0 };
        assert!(was_open, "it is the application's");
    };
    let (ended, other) = UnixStream::pair().unwrap();
    drop(other);
    let (mut speaks, with_data) = UnixStream::pair().unwrap();
    speaks.write_all(&[0]).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| replaced(&ended));
        scope.spawn(|| replaced(&with_data));
    });
}
