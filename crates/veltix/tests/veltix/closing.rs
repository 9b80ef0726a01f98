//! Ends: what was accepted goes out or is told of, nothing comes after, and nothing is kept.

use std::io::Read;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use superstream_veltix::session::Options;
use superstream_veltix::{
    Client, ClientConfig, ClientInfo, CloseReason, DisconnectReason, Endpoint, Error, Request,
    RequestId, Server, ServerConfig,
};

use crate::support::*;

const PART: usize = 128 * 1024;

/// So many are more than the system keeps for a peer that does not read: what it says that it keeps at
/// most, on both sides, and 4 MiB.
fn parts() -> usize {
    let most = |name: &str| -> usize {
        let limits = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
        limits.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    (most("tcp_rmem") + most("tcp_wmem")) / PART + 32
}

/// Room for all of them.
fn roomy(options: &mut Options) {
    options.max_queued_bytes = 2 * parts() * PART;
}

fn send_much(mut send: impl FnMut(&Request) -> Result<RequestId, Error>) {
    for _ in 0..parts() {
        send(&Request::new(OTHER, vec![7; PART])).unwrap();
    }
}

/// A server of these settings with room for all of them, and so much time to write them when it closes.
fn roomy_server(endpoint: &Endpoint, mut config: ServerConfig, close_timeout: Duration) -> Server {
    config.close_timeout = close_timeout;
    patient(&mut config.session);
    roomy(&mut config.session);
    Server::on(endpoint, config)
}

/// A server on this endpoint, and a client of it that has been sent more than it has read.
fn much_for_a_raw_client(
    endpoint: &Endpoint,
    close_timeout: Duration,
) -> (Server, ClientInfo, Raw) {
    let server = roomy_server(endpoint, ServerConfig::new("127.0.0.1", 0), close_timeout);
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    server.start().unwrap();
    let raw = Raw::greeted(port(&server));
    let peer = next(&connected);
    send_much(|request| peer.send(request));
    (server, peer, raw)
}

#[test]
fn what_was_accepted_goes_out_in_its_time_and_what_does_not_is_told() {
    let endpoint = endpoint();
    let (_patient, patient, mut slow) = much_for_a_raw_client(&endpoint, LONG);
    let (server, peer, mut stuck) = much_for_a_raw_client(&endpoint, Duration::from_millis(1500));
    let (reasons, left) = channel();
    server.on_disconnect(move |client, reason| {
        reasons
            .send((client.unsent_bytes(), reason.clone()))
            .unwrap();
    });
    patient.close();
    peer.close();
    let (unsent, reason) = next(&left);
    assert_eq!(reason, CloseReason::Manual);
    // What was not told of has been written.
    let mut written = Vec::new();
    stuck.socket.read_to_end(&mut written).unwrap();
    assert!(unsent > 0);
    assert_eq!(written.len() + unsent, parts() * (PART + 22));
    // The other one had as little, and more time.
    for _ in 0..parts() {
        assert_eq!(slow.frame().payload.len(), PART);
    }
    assert!(slow.next().is_none());
    assert_eq!(patient.unsent_bytes(), 0);
}

#[test]
fn a_server_that_is_closed_says_whether_all_was_written() {
    let (server, peer, _stuck) = much_for_a_raw_client(&endpoint(), Duration::from_millis(1500));
    assert!(!server.close_all());
    assert!(peer.unsent_bytes() > 0);
}

#[test]
fn those_who_were_leaving_already_count_when_a_server_is_closed() {
    let (server, peer, stuck) = much_for_a_raw_client(&endpoint(), LONG);
    peer.close();
    until("it leaves", || server.clients().is_empty());
    thread::scope(|scope| {
        let closing = scope.spawn(|| server.close_all());
        until("it waits", || server.local_addr().is_none());
        // Resets the connection, for not everything has been read.
        drop(stuck);
        assert!(!closing.join().unwrap());
    });
    assert!(peer.unsent_bytes() > 0);
}

#[test]
fn whoever_closes_a_server_is_told_the_same() {
    // As short as the machine can keep: who comes after the end has nothing left to do.
    let times = [1_500, 6_000, 24_000].map(Duration::from_millis);
    assert!(times.into_iter().any(|time| {
        let (server, _, _stuck) = much_for_a_raw_client(&endpoint(), time);
        let told = thread::scope(|scope| {
            let closing = [(); 2].map(|()| scope.spawn(|| server.close_all()));
            closing.map(|closing| closing.join().unwrap())
        });
        assert!(server.close_all(), "there is nothing left to do");
        told == [false; 2]
    }));
}

#[test]
fn a_client_is_told_what_was_not_written() {
    let (listener, port) = listener();
    let client = client_with(port, |config| {
        config.close_timeout = Duration::from_millis(50);
        roomy(&mut config.session);
    });
    let (states, told) = channel();
    client.on_disconnect(move |state| states.send(state).unwrap());
    let accepting = thread::spawn(move || Raw::accept_greeting(&listener));
    client.connect().unwrap();
    let mut raw = accepting.join().unwrap();
    send_much(|request| client.send(request));
    assert!(!client.disconnect());
    let state = next(&told);
    assert_eq!(
        (state.permanent, state.reason),
        (true, DisconnectReason::Manual)
    );
    let mut written = Vec::new();
    raw.socket.read_to_end(&mut written).unwrap();
    assert!(state.unsent_bytes > 0);
    assert_eq!(written.len() + state.unsent_bytes, parts() * (PART + 22));
    assert!(told.try_recv().is_err(), "once");
}

#[test]
fn who_says_nothing_more_still_gets_everything() {
    let (server, peer, mut raw) = much_for_a_raw_client(&endpoint(), LONG);
    let (reasons, left) = channel();
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    raw.end();
    until("the server knows", || !peer.handshake_done());
    for _ in 0..parts() {
        assert_eq!(raw.frame().payload.len(), PART);
    }
    assert!(raw.next().is_none());
    assert_eq!(next(&left), CloseReason::PeerClosed);
    assert_eq!(peer.unsent_bytes(), 0);
}

#[test]
fn an_endpoint_that_ends_writes_what_was_sent() {
    let endpoint = endpoint();
    let (_server, _, mut raw) = much_for_a_raw_client(&endpoint, LONG);
    let ending = thread::spawn(move || endpoint.shutdown(LONG));
    for _ in 0..parts() {
        assert_eq!(raw.frame().payload.len(), PART);
    }
    assert!(raw.next().is_none());
    drop(raw);
    assert!(ending.join().unwrap());
}

#[cfg(feature = "tls")]
#[test]
fn what_tls_holds_goes_out_too() {
    let (server_tls, client_tls) = crate::tls::certificates();
    let config = ServerConfig::new("127.0.0.1", 0).with_tls(server_tls);
    let server = roomy_server(&endpoint(), config, LONG);
    let (go, may_go) = channel();
    let may_go = Mutex::new(may_go);
    server.on_connect(move |client| {
        // Not before the client has seen that it is connected.
        next(&may_go.lock().unwrap());
        send_much(|request| client.send(request));
        client.close();
    });
    let (reasons, left) = channel();
    server.on_disconnect(move |client, reason| {
        reasons
            .send((client.unsent_bytes(), reason.clone()))
            .unwrap();
    });
    server.start().unwrap();
    for _ in 0..5 {
        let client = Client::on(&endpoint(), crate::tls::secure_client(&server, &client_tls));
        let (events, happened) = channel();
        let messages = events.clone();
        client.on_recv(move |response| messages.send(Ok(response.content.len())).unwrap());
        client.on_disconnect(move |state| events.send(Err(state.cause)).unwrap());
        client.connect().unwrap();
        go.send(()).unwrap();
        for _ in 0..parts() {
            assert_eq!(next(&happened), Ok(PART));
        }
        assert!(next(&happened).is_err());
        assert_eq!(next(&left), (0, CloseReason::Manual));
    }
}

#[test]
fn nothing_comes_after_the_end() {
    for _ in 0..5 {
        let (listener, port) = listener();
        let client = client_with(port, |_| {});
        let (events, happened) = channel();
        let messages = events.clone();
        client.on_recv(move |_| messages.send("message").unwrap());
        client.on_disconnect(move |_| events.send("end").unwrap());
        let flooding = thread::spawn(move || {
            use std::io::Write;
            let mut raw = Raw::accept_greeting(&listener);
            let many = frame(OTHER, RequestId(1), b"").repeat(100);
            while raw.socket.write_all(&many).is_ok() {}
        });
        client.connect().unwrap();
        assert_eq!(next(&happened), "message");
        client.disconnect();
        drop(client);
        // Until nobody is left who could tell more.
        let all: Vec<_> = happened.iter().collect();
        let end = all.iter().position(|event| *event == "end");
        assert_eq!(end, Some(all.len() - 1));
        flooding.join().unwrap();
    }
}

#[test]
fn a_sender_in_a_client_s_own_callback_keeps_nothing() {
    let server = echo_server();
    let client = connected(port(&server));
    let sender = client.sender();
    let (kept, freed) = witness();
    client.on_recv(move |response| {
        let _ = (&kept, sender.send(&Request::reply_to(&response, OTHER, "")));
    });
    let outside = client.sender();
    drop(client);
    until("the callback is freed", || freed.strong_count() == 0);
    assert!(matches!(
        outside.send(&Request::new(OTHER, "")),
        Err(Error::NotConnected)
    ));
}

#[test]
fn clients_that_a_server_s_callbacks_keep_do_not_keep_the_server() {
    let server = server_with(|_| {});
    let (kept, freed) = witness();
    let clients = Mutex::new(Vec::new());
    let (connects, told) = channel();
    server.on_connect(move |client| {
        let _ = &kept;
        clients.lock().unwrap().push(client.clone());
        connects.send(()).unwrap();
    });
    server.start().unwrap();
    let client = connected(port(&server));
    next(&told);
    drop(server);
    until("the client knows", || !client.is_connected());
    drop(client);
    until("the callback is freed", || freed.strong_count() == 0);
}

fn witness() -> (Arc<()>, Weak<()>) {
    let kept = Arc::new(());
    let freed = Arc::downgrade(&kept);
    (kept, freed)
}

#[test]
fn a_server_whose_endpoint_has_ended_is_closed() {
    let endpoint = endpoint();
    let server = Server::on(&endpoint, ServerConfig::new("127.0.0.1", 0));
    server.start().unwrap();
    assert!(endpoint.shutdown(LONG));
    assert!(server.local_addr().is_none());
    assert!(server.close_all(), "there is nothing left to do");
    assert!(matches!(server.start(), Err(Error::WrongState(_))));
}

#[test]
fn what_begins_while_an_endpoint_ends_has_begun_or_is_refused() {
    for _ in 0..50 {
        let endpoint = endpoint();
        let server = Server::on(&endpoint, ServerConfig::new("127.0.0.1", 0));
        let (_silent, port) = listener();
        let client = Client::on(&endpoint, ClientConfig::new("127.0.0.1", port));
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = server.start();
            });
            // Returns at all.
            scope.spawn(|| assert!(client.connect().is_err()));
            scope.spawn(|| assert!(endpoint.shutdown(LONG)));
        });
        assert!(server.local_addr().is_none(), "nobody listens there");
        assert!(server.close_all());
    }
}
