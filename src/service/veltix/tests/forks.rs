//! Forked children, which have a copy of the socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use superstream_nats_server::wait_until;
use superstream_protocol::link::{CONFIGURE, GOODBYE, HELLO, REGISTER, UPDATE};

use super::creators::{created, session};
use super::service::Service;
use super::{config, hear, register, veltix, zstd};
use crate::service::veltix::unasked::IDLE;
use crate::service::{Heard, Said, Transport};

/// A child that does something and then lives until it is let go.
struct Child {
    process: libc::pid_t,
    holds: UnixStream,
}

impl Child {
    fn that(does: impl FnOnce()) -> Self {
        let (mut waits, mut holds) = UnixStream::pair().unwrap();
        // SAFETY: the child frees what it has, waits and ends; glibc keeps its allocator usable there.
        let process = unsafe { libc::fork() };
        if process == 0 {
            drop(holds);
            does();
            let _ = waits.write_all(b"x");
            let _ = waits.read(&mut [0]);
            // SAFETY: ends this process, and nothing of the parent's runs in it.
            unsafe { libc::_exit(0) };
        }
        drop(waits);
        holds.read_exact(&mut [0]).unwrap();
        Self { process, holds }
    }

    fn end(self) {
        drop(self.holds);
        let mut status = -1;
        // SAFETY: our own child, and room for its status.
        let ended = unsafe { libc::waitpid(self.process, &mut status, 0) };
        assert_eq!((ended, status), (self.process, 0));
    }
}

fn is_codec(heard: &Heard) -> bool {
    matches!(heard, Heard::Codec { .. })
}

#[test]
fn a_forked_child_neither_ends_the_link_nor_speaks_over_it() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    // It ends without the parent's copy, which it has dropped. Here that goes on.
    let mut copy = Some(veltix);
    let child = Child::that(|| drop(copy.take()));
    let mut veltix = copy.unwrap();
    assert_eq!(veltix.configure(&config("h1")), Ok(Said::Yes));
    assert_eq!(service.kinds(), [HELLO, REGISTER, CONFIGURE]);
    service.say(UPDATE, &zstd("h1"));
    hear(&mut veltix, "the update", is_codec);
    child.end();
}

/// Its copy keeps the socket open, but not the connection.
#[test]
fn a_link_that_is_closed_ends_although_a_child_has_it() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    let child = Child::that(|| {});
    veltix.goodbye("h1", "1").unwrap();
    veltix.unasked.idle_since = Instant::now().checked_sub(IDLE);
    veltix.look().unwrap();
    assert!(!veltix.link.is_open());
    drop(veltix);
    wait_until("its end at the service", || service.connections() == 0);
    child.end();
}

/// It has no thread of the session, and nothing of what was said.
#[test]
fn a_session_goes_on_beside_a_child() {
    let service = Service::start();
    let session = session(service.port());
    let client = created(&session, "1");
    let child = Child::that(|| {});
    service.say(UPDATE, &zstd("h1"));
    wait_until("the codec", || client.outcome().next_advice.is_some());
    session.goodbye(&client);
    wait_until("its goodbye", || service.told(GOODBYE).len() == 1);
    child.end();
    assert_eq!(service.told(HELLO).len(), 1);
}
