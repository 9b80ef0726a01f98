//! How it ends, and what is left of it then.

use std::sync::mpsc::channel;

use super::*;

#[test]
fn what_came_is_not_lost_where_nothing_can_be_written_any_more() {
    for max_kept_bytes in [ConnectionOptions::default().max_kept_bytes, 1] {
        let (mut connection, mut raw) = opened_with(&ConnectionOptions {
            max_kept_bytes,
            ..unhurried()
        });
        raw.send(OTHER, RequestId(1), b"one");
        // More than is read at once.
        raw.send(OTHER, RequestId(2), &[2; 100_000]);
        raw.send(OTHER, RequestId(3), b"three");
        drop(raw);
        let request = Request::new(CHAT, "?");
        let mut refused = None;
        until("it cannot be written to", || {
            refused = connection.send(&request, later()).err();
            refused.is_some()
        });
        if max_kept_bytes > 1 {
            assert!(
                matches!(refused, Some(Error::Closed(CloseReason::PeerClosed))),
                "{refused:?}"
            );
            assert_eq!(connection.closed(), Some(&CloseReason::PeerClosed));
        } else {
            // What lies at the socket has no room yet.
            assert!(matches!(refused, Some(Error::Closed(_))), "{refused:?}");
        }
        assert!(connection.queue(&request).is_err());
        let lengths = [3, 100_000, 5];
        for length in lengths {
            let mut taken = None;
            until("what came is taken", || {
                taken = connection.try_next().unwrap();
                taken.is_some()
            });
            assert_eq!(taken.unwrap().content.len(), length);
        }
        let end = connection.next(later());
        assert!(
            matches!(end, Err(Error::Closed(CloseReason::PeerClosed))),
            "{end:?}"
        );
        assert_eq!(connection.closed(), Some(&CloseReason::PeerClosed));
    }
}

#[test]
fn closing_it_destroys_nothing_of_what_was_written() {
    let (mut connection, mut raw) = opened();
    // Nobody takes this. A socket that is closed before it is read takes back what it wrote.
    raw.send(OTHER, RequestId(1), &[1; 100_000]);
    let (closes, closing) = channel();
    let peer = thread::spawn(move || {
        closing.recv().unwrap();
        assert_eq!(raw.frame().payload.len(), 5_000_000);
        raw.send(OTHER, RequestId(2), b"too late for anybody");
        assert_eq!(raw.frame().payload, b"last");
        assert!(raw.next().is_none());
    });
    connection
        .queue(&Request::new(OTHER, vec![5; 5_000_000]))
        .unwrap();
    connection.queue(&Request::new(OTHER, "last")).unwrap();
    closes.send(()).unwrap();
    connection.close(later()).unwrap();
    peer.join().unwrap();
}

#[test]
fn closing_it_writes_what_waits_though_nobody_has_taken_what_came() {
    let mut options = ConnectionOptions {
        max_kept_bytes: 1,
        ..unhurried()
    };
    options.session.max_message_size = HUGE + 100;
    let (mut connection, mut raw) = opened_with(&options);
    connection
        .queue(&Request::new(OTHER, vec![9; HUGE]))
        .unwrap();
    let peer = thread::spawn(move || {
        // Who is busy with writing does not read.
        for id in 0..2 {
            raw.send(OTHER, RequestId(id), &vec![1; 9_000_000]);
        }
        assert_eq!(raw.frame().payload.len(), HUGE);
        assert!(raw.next().is_none());
    });
    connection.close(later()).unwrap();
    peer.join().unwrap();
}
