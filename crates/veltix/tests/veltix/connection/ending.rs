//! How it ends, and what is left of it then.

use super::*;

#[test]
fn what_came_is_not_lost_where_nothing_can_be_written_any_more() {
    for max_kept_bytes in [ConnectionOptions::default().max_kept_bytes, 1] {
        let (mut connection, mut raw) = opened_with(&ConnectionOptions {
            max_kept_bytes,
            ..ConnectionOptions::default()
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
