//! A client on its way to a server that may be in several places.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{arrives, frame, reactor};
use crate::endpoint::client_core::ClientCore;
use crate::endpoint::config::ClientConfig;
use crate::endpoint::pool::Job;
use crate::endpoint::reactor::Reactor;
use crate::endpoint::shared::{Command, Inbox};
use crate::error::{CloseReason, Error};
use crate::frames::Wire;
use crate::message::{MessageType, RequestId};

fn hello(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Wire::V1.encode(MessageType::HELLO, RequestId(1), 0, payload, &mut bytes);
    bytes
}

/// A client that has begun to connect to this port, and what it has the reactor do.
fn dials(reactor: &Reactor, port: u16) -> (Arc<ClientCore>, u64, JoinHandle<Result<(), Error>>) {
    let mut config = ClientConfig::new("127.0.0.1", port);
    // One that says nothing is left for the others; the last one has all of the handshake's time.
    config.connect_timeout = Duration::from_secs(8);
    config.session.handshake_timeout = Duration::from_secs(300);
    let core = ClientCore::new(config, &reactor.shared);
    let connecting = {
        let core = Arc::clone(&core);
        thread::spawn(move || core.connect())
    };
    let mut inbox = Inbox::default();
    let epoch = loop {
        reactor.shared.take(&mut inbox);
        match inbox.commands.pop() {
            Some(Command::Dial(_, epoch, _)) => break epoch,
            _ => thread::yield_now(),
        }
    };
    (core, epoch, connecting)
}

/// What a thread gives that must not take for ever.
fn ended<T>(thread: JoinHandle<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !thread.is_finished() {
        assert!(Instant::now() < deadline, "in vain");
        thread::sleep(Duration::from_millis(1));
    }
    thread.join().unwrap()
}

/// What comes of a client whose server may be at these.
fn connects(addresses: Vec<SocketAddr>) -> Result<(), Error> {
    let reactor = reactor();
    // No name is looked up: only these are tried.
    let (core, epoch, connecting) = dials(&reactor, 1);
    let dial = Command::Dial(core, epoch, addresses);
    assert!(reactor.shared.begin(dial));
    let shared = Arc::clone(&reactor.shared);
    let running = thread::spawn(move || reactor.run());
    let connected = ended(connecting);
    shared.stop();
    running.join().unwrap();
    connected
}

#[test]
fn a_client_finds_the_address_at_which_it_is_greeted() {
    let listen = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    };
    let (_mute, mute) = listen();
    let (mad, nonsense) = listen();
    let (other, another_version) = listen();
    let (good, address) = listen();
    let saying = thread::spawn(move || {
        let words = [
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            hello(b"\x00\x059.9.9"),
        ];
        let words = [&words[0], &words[1], &hello(b"\x00\x051.6.3")];
        let said = [mad, other, good].into_iter().zip(words);
        said.map(|(listener, words)| {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(words).unwrap();
            // Until it has answered, or ended.
            let _ = socket.read(&mut [0; 100]);
            socket
        })
        .collect::<Vec<_>>()
    });
    connects(vec![mute, nonsense, another_version, address]).unwrap();
    let _sockets = ended(saying);
}

#[test]
fn of_addresses_that_all_fail_the_most_telling_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Connected, so that nobody else has its port, and nobody listens there.
    let silent = TcpStream::connect(address).unwrap();
    let refuses = silent.local_addr().unwrap();
    let (_, _) = listener.accept().unwrap();
    let saying = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        let _ = socket.read(&mut [0; 100]);
    });
    let failed = connects(vec![refuses, address, refuses]);
    let Err(Error::Closed(reason)) = failed else {
        panic!("{failed:?}");
    };
    assert!(!matches!(reason, CloseReason::Network(_)), "{reason:?}");
    ended(saying);
}

#[test]
fn a_client_that_was_called_off_hears_nothing_of_a_server_that_greets_late() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut reactor = reactor();
    let (core, epoch, connecting) = dials(&reactor, address.port());
    let (events, happened) = channel();
    let (ends, last) = (events.clone(), events.clone());
    core.handlers
        .set_recv(Arc::new(move |_| events.send("message").unwrap()));
    core.handlers
        .set_disconnect(Arc::new(move |_| ends.send("end").unwrap()));
    reactor.dial(Arc::clone(&core), epoch, vec![address]);
    let (mut peer, _) = listener.accept().unwrap();
    let token = *reactor.dialing.keys().next().unwrap();
    while reactor.dialing.contains_key(&token) {
        reactor.dialled(token);
        thread::yield_now();
    }
    assert!(core.disconnect().is_none());
    assert!(connecting.join().unwrap().is_err());
    for words in [hello(b"\x00\x051.6.3"), frame(b"news")] {
        peer.write_all(&words).unwrap();
        arrives(&reactor, token, words.len());
        reactor.read(token, true);
    }
    let last = Job::Call(Box::new(move || last.send("last").unwrap()));
    reactor.shared.submit(core, [last]);
    let told: Vec<_> = happened.iter().take(2).collect();
    assert_eq!(told, ["end", "last"]);
}
