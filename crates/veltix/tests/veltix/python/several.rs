//! Several of its programs at once, and ours that is killed.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use superstream_veltix::Request;
use superstream_veltix::frames::Wire;

use super::{Python, VERSIONS, our_server};
use crate::support::*;

#[test]
fn a_broadcast_reaches_all_of_its_clients_but_those_excepted() {
    for (version, wire) in VERSIONS {
        let server = our_server(wire, 0);
        let (connects, connected) = channel();
        server.on_connect(move |client| connects.send(client.clone()).unwrap());
        let joined = || {
            let python = Python::client(version, port(&server));
            python.says("connected True");
            (python, next(&connected))
        };
        let (first, excepted) = joined();
        let (second, _) = joined();
        let news = |content: &str| Request::new(OTHER, content);
        let result = server.broadcast(&news("to the rest"), std::slice::from_ref(&excepted));
        assert_eq!((result.sent, result.failed.len()), (1, 0));
        second.says("recv to the rest");
        let result = server.broadcast(&news("to all"), &[]);
        assert_eq!((result.sent, result.failed.len()), (2, 0));
        second.says("recv to all");
        let heard = first.says("recv to all");
        assert!(!heard.contains(&"recv to the rest".to_owned()), "{heard:?}");
    }
}

#[test]
fn its_broadcast_reaches_all_of_our_clients_but_those_excepted() {
    for (version, _) in VERSIONS {
        let reserved = Reserved::new();
        let mut python = Python::server(version, reserved.port());
        let (messages, received) = channel();
        let clients = ["first", "second"].map(|name| {
            let client = connected(reserved.port());
            let messages = messages.clone();
            client.on_recv(move |response| {
                messages
                    .send(format!("{name}: {}", response.text().unwrap()))
                    .unwrap();
            });
            // It knows them in this order.
            python.says("connect");
            client
        });
        python.tell("broadcast_but_first to the rest");
        python.says("sent True");
        assert_eq!(next(&received), "second: to the rest");
        python.tell("broadcast to all");
        python.says("sent True");
        let mut heard = [next(&received), next(&received)];
        heard.sort_unstable();
        assert_eq!(heard, ["first: to all", "second: to all"]);
        drop(clients);
    }
}

const PORT: &str = "VELTIX_TEST_PORT";
const WIRE: &str = "VELTIX_TEST_WIRE";

/// Run alone, by the test below: it lives until it is killed, or until that test is gone.
#[test]
#[ignore = "run by the test of it"]
fn a_server_until_it_is_killed() {
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let wire = match std::env::var(WIRE).as_deref() {
        Ok("2") => Wire::V2,
        _ => Wire::V1,
    };
    let _server = our_server(wire, port);
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn server_in_a_process(wire: Wire, port: u16) -> Child {
    let wire = match wire {
        Wire::V1 => "1",
        Wire::V2 => "2",
    };
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact"])
        .arg("python::several::a_server_until_it_is_killed")
        .env(PORT, port.to_string())
        .env(WIRE, wire)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn its_client_comes_back_to_a_server_that_was_killed() {
    for (version, wire) in VERSIONS {
        let reserved = Reserved::new();
        // 2.0.0rc1 leaves and comes back without end once it was lost twice, whoever serves it.
        let losses = match wire {
            Wire::V1 => 2,
            Wire::V2 => 1,
        };
        let mut server = server_in_a_process(wire, reserved.port());
        // It tries until somebody listens.
        let mut python = Python::client(version, reserved.port());
        for loss in 0..=losses {
            if loss > 0 {
                server.kill().unwrap();
                server.wait().unwrap();
                server = server_in_a_process(wire, reserved.port());
            }
            python.says(&format!("connect {}", loss + 1));
            python.tell("ask still there?");
            python.says("answer still there?");
        }
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
