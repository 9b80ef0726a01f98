//! Driven by a thread that waits by itself, for other things too.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

/// What a thread does that waits for the connection and for something else. Whether it was something
/// else.
fn waited(connection: &Connection, wake: &UnixStream) -> bool {
    let waits = connection.waits();
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, waits.readable);
    flags.set(PollFlags::OUT, waits.writable);
    let until = waits.until.unwrap_or_else(later).min(later());
    let left = until.saturating_duration_since(Instant::now());
    let timeout = Timespec {
        tv_sec: left.as_secs() as i64,
        tv_nsec: left.subsec_nanos().into(),
    };
    let mut fds = [
        PollFd::new(connection, flags),
        PollFd::new(wake, PollFlags::IN),
    ];
    poll(&mut fds, Some(&timeout)).unwrap();
    !fds[1].revents().is_empty()
}

/// The next message to a thread that waits by itself.
fn polled(connection: &mut Connection, wake: &UnixStream) -> Result<Vec<u8>, Error> {
    let deadline = later();
    loop {
        if let Some(message) = connection.try_next()? {
            return Ok(message.content);
        }
        assert!(Instant::now() < deadline, "no message");
        assert!(!waited(connection, wake), "woken");
    }
}

#[test]
fn a_thread_that_waits_for_other_things_too_drives_it() {
    let (mut connection, mut raw) = opened_for_huge();
    let (mut wake, woken) = UnixStream::pair().unwrap();
    assert!(connection.try_next().unwrap().is_none());
    let waits = connection.waits();
    assert!(waits.readable && !waits.writable);
    // When the server is to be asked whether it is there.
    assert!(waits.until.unwrap() > Instant::now());

    // Something else ends the waiting, and takes nothing from the connection.
    wake.write_all(b"!").unwrap();
    assert!(waited(&connection, &woken));
    (&woken).read_exact(&mut [0]).unwrap();

    // Pings are answered by the way, and messages come in their order.
    let peer = thread::spawn(move || {
        raw.send(MessageType::PING, RequestId(5), b"");
        raw.send(OTHER, RequestId(1), b"one");
        raw.send(OTHER, RequestId(2), &vec![2; 1_000_000]);
        let pong = raw.frame();
        assert_eq!(
            (pong.message_type, pong.id),
            (MessageType::PONG, RequestId(5))
        );
        raw
    });
    assert_eq!(polled(&mut connection, &woken).unwrap(), b"one");
    assert_eq!(polled(&mut connection, &woken).unwrap().len(), 1_000_000);
    let mut raw = peer.join().unwrap();

    // What does not fit into the socket goes when it does.
    connection
        .queue(&Request::new(OTHER, vec![9; HUGE]))
        .unwrap();
    assert!(connection.waits().writable);
    assert!(connection.try_next().unwrap().is_none());
    assert!(connection.waits().writable);
    let peer = thread::spawn(move || {
        assert_eq!(raw.frame().payload.len(), HUGE);
        raw.send(OTHER, RequestId(3), b"has it");
    });
    assert_eq!(polled(&mut connection, &woken).unwrap(), b"has it");
    assert!(!connection.waits().writable);
    peer.join().unwrap();
    assert!(matches!(
        polled(&mut connection, &woken),
        Err(Error::Closed(CloseReason::PeerClosed))
    ));
    let waits = connection.waits();
    assert!(!waits.readable && !waits.writable && waits.until.is_some());
}

#[test]
fn a_thread_that_waits_by_itself_notices_a_silent_server() {
    let mut options = unhurried();
    options.session.ping_interval = Some(Duration::from_millis(20));
    options.session.ping_timeout = Duration::from_millis(20);
    let (mut connection, mut raw) = opened_with(&options);
    let (_wake, woken) = UnixStream::pair().unwrap();
    assert!(matches!(
        polled(&mut connection, &woken),
        Err(Error::Closed(CloseReason::Silent))
    ));
    assert_eq!(raw.frame().message_type, MessageType::PING);
}

#[test]
fn what_arrived_while_nobody_looked_is_not_late() {
    const FRAME_TIMEOUT: Duration = Duration::from_secs(4);
    let mut options = unhurried();
    options.session.frame_timeout = FRAME_TIMEOUT;
    options.session.ping_interval = None;
    let (mut connection, mut raw) = opened_with(&options);
    // More than is read at once.
    let bytes = frame(OTHER, RequestId(1), &[7; 20_000]);
    let (first, rest) = bytes.split_at(10);
    raw.write(first);
    until("its end is waited for", || {
        assert!(connection.try_next().unwrap().is_none());
        connection.waits().until.is_some()
    });
    raw.write(rest);
    // With what it gets for the part that is read first.
    let over = connection.waits().until.unwrap() + FRAME_TIMEOUT;
    until("its time is over", || Instant::now() > over);
    assert_eq!(message(&mut connection).len(), 20_000);
}
