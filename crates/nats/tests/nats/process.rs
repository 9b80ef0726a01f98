//! The program around it: forks, execs and threads are its own.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use superstream_nats::Connection;

use crate::common::{NatsServer, connect, open, soon, wait_until};
use crate::encrypted::Authority;

/// Runs something in a forked child, which is gone afterwards without any clean-up.
fn in_child(what: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `what` alone, and leaves by _exit(2). glibc's allocator works after a fork.
    match unsafe { libc::fork() } {
        0 => {
            let good = catch_unwind(AssertUnwindSafe(what)).unwrap_or(false);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!good)) }
        }
        child => {
            assert!(child > 0, "cannot fork");
            let mut status = 0;
            // SAFETY: waits for the child that was just made, and writes to a place of ours.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(waited, child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}

fn descriptors() -> BTreeSet<i32> {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    entries
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .collect()
}

/// Lets a child drop its copy of a connection that has a subscription, and uses it afterwards.
fn outlives_a_copy(server: &NatsServer, mut connection: Connection) {
    let subscription = connection.subscribe("a", None, soon()).unwrap();
    let mut copy = Some(connection);
    // The child has a copy of all that is here.
    assert!(in_child(|| {
        drop(copy.take());
        true
    }));
    let mut connection = copy.unwrap();
    connection.publish("a", None, b"x", soon()).unwrap();
    let message = connection.next_of(subscription, soon()).unwrap().unwrap();
    assert_eq!(message.payload, b"x");
    connection.flush(soon()).unwrap();
    assert_eq!(server.connections().len(), 1);
}

#[test]
fn a_child_that_drops_its_copy_disturbs_nobody() {
    let server = NatsServer::start();
    outlives_a_copy(&server, connect(&server));
    // Nor where an end could be said within TLS.
    let authority = Authority::new();
    let server = authority.server("localhost", "");
    let options = authority.options("tls://", "localhost", &server);
    outlives_a_copy(&server, open(&options).unwrap());
}

/// A child that lives as long as its parent holds the other end: it has a copy of every descriptor.
fn with_a_child(what: impl FnOnce()) {
    let (mut child_end, parent_end) = std::io::pipe().unwrap();
    // SAFETY: the child reads from a pipe alone, and leaves by _exit(2).
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(parent_end);
        let _ = child_end.read(&mut [0]);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(0) }
    }
    assert!(child > 0, "cannot fork");
    what();
    drop(parent_end);
    // SAFETY: waits for the child that was just made, and wants no status.
    let waited = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(waited, child);
}

#[test]
fn the_end_is_heard_while_a_child_has_a_copy() {
    let server = NatsServer::start();
    let connection = connect(&server);
    with_a_child(|| {
        connection.close();
        wait_until("its end", || server.connections().is_empty());
    });
}

#[test]
fn a_connection_has_no_thread_and_no_descriptor_that_an_exec_keeps() {
    let server = NatsServer::start();
    // A fork has one thread, whatever its parent had.
    assert!(in_child(|| {
        let before = descriptors();
        let mut connection = connect(&server);
        connection.subscribe("a", None, soon()).unwrap();
        connection.flush(soon()).unwrap();
        let new: Vec<i32> = descriptors().difference(&before).copied().collect();
        assert_eq!(fs::read_dir("/proc/self/task").unwrap().count(), 1);
        let is_closed = |descriptor: &&i32| {
            // SAFETY: asks for the flags of a descriptor, whatever it is.
            let flags = unsafe { libc::fcntl(**descriptor, libc::F_GETFD) };
            // The folder that was read is gone again.
            flags == -1 || flags & libc::FD_CLOEXEC != 0
        };
        let open = new.iter().filter(is_closed).count();
        !new.is_empty() && open == new.len()
    }));
}
