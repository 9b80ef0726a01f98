//! Connections that cannot be written to any more.

use std::process::Command;
use std::sync::mpsc::channel;

use superstream_veltix::BufferSize;

use crate::support::*;

/// Run alone, by the test below: it sets how much stack all threads of the process have.
#[test]
#[ignore = "run by the test of it"]
fn on_small_stacks() {
    let server = server_with(|config| config.buffer_size = BufferSize::Bytes(64));
    let (reasons, left) = channel();
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    server.start().unwrap();
    // Its answers cannot be written, and after each there is something more to be read.
    for _ in 0..5 {
        let mut raw = Raw::greeted(port(&server));
        raw.write(&[0; 22 * 200_000]);
        drop(raw);
        next(&left);
    }
    assert!(Raw::greeted(port(&server)).echoes());
}

#[test]
fn a_peer_that_asked_much_and_is_gone_costs_no_stack() {
    let output = Command::new(std::env::current_exe().unwrap())
        .env("RUST_MIN_STACK", (256 * 1024).to_string())
        .args(["--exact", "broken::on_small_stacks", "--ignored"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}");
}
