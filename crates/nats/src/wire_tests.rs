use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

fn pair() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let wire = Wire::connect(&listener.local_addr().unwrap(), later()).unwrap();
    (wire, listener.accept().unwrap().0)
}

fn shortly() -> Instant {
    Instant::now() + Duration::from_millis(100)
}

/// So late that only a fault comes so far.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn read_whole(mut peer: TcpStream) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut read = Vec::new();
        peer.read_to_end(&mut read).unwrap();
        read
    })
}

/// A message that is not begun can be taken back; one that is begun cannot. How much a socket takes
/// of a server that does not read is the system's affair, and may grow meanwhile.
#[test]
fn what_the_socket_does_not_take_in_time_is_told() {
    let (mut wire, peer) = pair();
    let bytes = vec![b'x'; 64 * 1024 * 1024];
    assert_eq!(wire.write(&bytes, shortly()).unwrap(), Written::Half);
    assert_eq!(wire.write(b"abc", shortly()).unwrap(), Written::Not);
    let reading = read_whole(peer);
    assert_eq!(wire.write(b"", later()).unwrap(), Written::Whole);
    drop(wire);
    assert!(reading.join().unwrap() == bytes);
}

#[test]
fn what_was_left_goes_out_before_what_follows() {
    let (mut wire, peer) = pair();
    let bytes = vec![b'x'; 64 * 1024 * 1024];
    assert_eq!(wire.write(&bytes, shortly()).unwrap(), Written::Half);
    let reading = read_whole(peer);
    assert_eq!(wire.write(b"abc", later()).unwrap(), Written::Whole);
    drop(wire);
    let read = reading.join().unwrap();
    assert_eq!(read.len(), bytes.len() + 3);
    assert!(read.ends_with(b"xabc"));
}

#[test]
fn a_server_that_does_not_read_is_left_only_so_much() {
    let (mut wire, _peer) = pair();
    let pong = b"PONG\r\n".repeat(1000);
    let rounds = (0..100_000).take_while(|_| wire.leave(&pong)).count();
    assert!(rounds < 100_000);
    assert!(wire.out.len() - wire.sent <= KEPT_CAPACITY + pong.len());
    // Waiting for what it says is no busy loop that never sends, and ends.
    // The system may take a little more at first.
    assert!((0..100).any(|_| !wire.wait_readable(shortly()).unwrap()));
}

#[test]
fn a_wait_ends_with_what_comes_or_with_its_deadline() {
    let (mut wire, mut peer) = pair();
    let mut parser = Parser::new();
    assert!(!wire.wait_readable(shortly()).unwrap());
    assert_eq!(wire.read(&mut parser).unwrap(), Came::Nothing);
    peer.write_all(b"PING\r\n").unwrap();
    assert!(wire.wait_readable(later()).unwrap());
    assert_eq!(wire.read(&mut parser).unwrap(), Came::Bytes);
    drop(peer);
    assert!(wire.wait_readable(later()).unwrap());
    assert_eq!(wire.read(&mut parser).unwrap(), Came::End);
}

#[test]
fn a_wait_is_never_shorter_than_it_was_asked_for() {
    assert_eq!(milliseconds(Duration::ZERO), 0);
    assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
    assert_eq!(milliseconds(Duration::from_millis(7)), 7);
    assert_eq!(milliseconds(Duration::MAX), libc::c_int::MAX);
}
