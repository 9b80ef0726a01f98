//! Versions that do not fit, by the library that speaks them.

use std::sync::mpsc::channel;
use std::time::Instant;

use superstream_veltix::frames::Wire;
use superstream_veltix::{Address, CloseReason, Connection, Error, Server};

use super::{Python, VERSIONS};
use crate::support::*;

fn other(wire: Wire) -> Wire {
    match wire {
        Wire::V1 => Wire::V2,
        Wire::V2 => Wire::V1,
    }
}

/// What we make of a greeting in the other version.
fn is_refused(ours: Wire, error: &Error) -> bool {
    match (ours, error) {
        (Wire::V1, Error::Closed(CloseReason::TooLarge { .. })) => true,
        (Wire::V2, Error::Closed(reason)) => {
            *reason == CloseReason::Handshake("a greeting that is no JSON")
        }
        _ => false,
    }
}

/// No time of ours ends here: it is noticed by what is said.
#[test]
fn a_server_of_another_version_is_left_at_once_and_notices() {
    for (version, theirs) in VERSIONS {
        let reserved = Reserved::new();
        let python = Python::server(version, reserved.port());
        let ours = other(theirs);
        let client = client_with(reserved.port(), |config| config.session.wire = Some(ours));
        let refused = client.connect().unwrap_err();
        assert!(is_refused(ours, &refused), "{version}: {refused:?}");
        python.says("refused");

        let mut options = unhurried();
        options.session.wire = Some(ours);
        let address = Address::new("127.0.0.1", reserved.port());
        let opened = Connection::open(&address, &options, Instant::now() + LONG);
        let refused = opened.err().unwrap();
        assert!(is_refused(ours, &refused), "{version}: {refused:?}");
        python.says("refused");
    }
}

/// A server of one client at a time: the next one is greeted when that one is gone.
fn server_for_one(wire: Wire) -> Server {
    let server = server_with(|config| {
        config.max_connection = 1;
        config.session.wire = Some(wire);
    });
    server.start().unwrap();
    server
}

#[test]
fn a_client_of_another_version_is_never_let_in_and_is_not_kept() {
    for (version, theirs) in VERSIONS {
        let server = server_for_one(other(theirs));
        let (connects, connected) = channel();
        server.on_connect(move |client| connects.send(client.addr()).unwrap());
        // That of 1.6.3 says nothing before it is greeted, and waits for a frame that it understands:
        // nobody can know before its time is over. That of 2.0.0rc1 knows at once.
        let timeout = match theirs {
            Wire::V1 => "1",
            Wire::V2 => "1000",
        };
        let port = port(&server).to_string();
        let python = Python::new(version, &["client", &port, "0", timeout]);
        python.says("connected False");
        let raw = Raw::greeted_on(other(theirs), super::port(&server));
        assert_eq!(next(&connected), raw.socket.local_addr().unwrap());
    }
}
