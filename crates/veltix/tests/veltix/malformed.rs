//! Input that no peer should send: the connection ends with a reason, and what came before is not
//! lost.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use superstream_veltix::session::Options;
use superstream_veltix::{CloseReason, MessageType, RequestId, Server};

use crate::support::{CHAT, Raw, frame, next, port, server_with};

/// A server that tells of messages and of why clients leave.
fn watched() -> (Server, Receiver<Vec<u8>>, Receiver<CloseReason>) {
    watched_with(|_| {})
}

/// The same, and does not wait long for frames to end.
fn impatient() -> (Server, Receiver<Vec<u8>>, Receiver<CloseReason>) {
    watched_with(|options| options.frame_timeout = Duration::from_millis(100))
}

fn watched_with(
    change: impl FnOnce(&mut Options),
) -> (Server, Receiver<Vec<u8>>, Receiver<CloseReason>) {
    let server = server_with(|config| {
        config.session.max_message_size = 100_000;
        change(&mut config.session);
    });
    let (messages, received) = channel();
    let (reasons, left) = channel();
    server.on_recv(move |_, response| messages.send(response.content).unwrap());
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    server.start().unwrap();
    (server, received, left)
}

/// Sends a good message and then the bytes: the message arrives, and the connection ends.
fn ends(bytes: &[u8]) -> CloseReason {
    ends_at(watched(), bytes)
}

fn ends_at(
    (server, received, left): (Server, Receiver<Vec<u8>>, Receiver<CloseReason>),
    bytes: &[u8],
) -> CloseReason {
    let mut raw = Raw::greeted(port(&server));
    let mut both = frame(MessageType::of(300), RequestId(1), b"before");
    both.extend_from_slice(bytes);
    raw.write(&both);
    assert_eq!(next(&received), b"before");
    let reason = next(&left);
    assert!(raw.closed());
    assert!(received.try_recv().is_err(), "nothing came after it");
    // And nobody else is harmed.
    assert!(Raw::greeted(port(&server)).echoes());
    reason
}

#[test]
fn a_wrong_checksum_ends_the_connection() {
    let mut bad = frame(CHAT, RequestId(2), b"payload");
    bad[6] ^= 1;
    bad.extend(frame(CHAT, RequestId(3), b"behind"));
    assert_eq!(ends(&bad), CloseReason::BadChecksum { message_type: CHAT });
}

#[test]
fn a_checksum_of_nothing_that_is_not_zero_is_wrong() {
    let mut bad = frame(CHAT, RequestId(2), b"");
    bad[9] = 1;
    assert!(matches!(ends(&bad), CloseReason::BadChecksum { .. }));
}

#[test]
fn a_frame_that_is_too_long_ends_the_connection() {
    let mut bad = frame(CHAT, RequestId(2), b"");
    bad[2..6].copy_from_slice(&(100_000_u32 - 22 + 1).to_be_bytes());
    assert_eq!(
        ends(&bad),
        CloseReason::TooLarge {
            size: 100_001,
            limit: 100_000
        }
    );
}

#[test]
fn bytes_of_all_ones_and_http_end_the_connection() {
    assert!(matches!(ends(&[0xff; 64]), CloseReason::TooLarge { .. }));
    let http = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    assert!(matches!(ends(http), CloseReason::TooLarge { .. }));
}

#[test]
fn a_type_that_nobody_knows_is_only_a_message() {
    let (server, received, _left) = watched();
    let mut raw = Raw::greeted(port(&server));
    raw.send(MessageType::of(65_535), RequestId(1), b"unknown");
    assert_eq!(next(&received), b"unknown");
    assert!(raw.echoes());
}

#[test]
fn a_header_or_payload_that_does_not_end_is_not_waited_for_for_ever() {
    let whole = frame(CHAT, RequestId(2), b"payload");
    assert_eq!(
        ends_at(impatient(), &whole[..10]),
        CloseReason::FrameTimeout
    );
    assert_eq!(
        ends_at(impatient(), &whole[..25]),
        CloseReason::FrameTimeout
    );
}

#[test]
fn zeros_are_pings_and_what_is_left_over_does_not_stay() {
    let (server, _received, left) = impatient();
    let mut raw = Raw::greeted(port(&server));
    raw.write(&[0; 64]);
    for _ in 0..2 {
        let pong = raw.frame();
        assert_eq!(pong.message_type, MessageType::PONG);
        assert_eq!(pong.id, RequestId(0));
        assert!(pong.payload.is_empty());
    }
    assert_eq!(next(&left), CloseReason::FrameTimeout);
    assert!(raw.closed());
}

#[test]
fn an_end_within_a_frame_is_told_apart_from_one_between_frames() {
    let (server, received, left) = watched();
    let whole = frame(MessageType::of(300), RequestId(2), b"payload");
    let mut raw = Raw::greeted(port(&server));
    raw.write(&whole);
    raw.write(&whole[..25]);
    raw.end();
    assert_eq!(next(&received), b"payload");
    assert_eq!(next(&left), CloseReason::CutShort);

    let mut raw = Raw::greeted(port(&server));
    raw.write(&whole);
    raw.end();
    assert_eq!(next(&received), b"payload");
    assert_eq!(next(&left), CloseReason::PeerClosed);
}

#[test]
fn the_longest_frame_is_taken_and_the_next_longer_one_is_not() {
    let (server, received, _left) = watched();
    let mut raw = Raw::greeted(port(&server));
    let payload = vec![7; 100_000 - 22];
    raw.send(MessageType::of(300), RequestId(2), &payload);
    assert_eq!(next(&received), payload);
}
