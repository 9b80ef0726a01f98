//! The programs of `examples/`, as somebody would run them.

use std::path::Path;
use std::process::{Command, Output};

/// Runs one, where `cargo test` has put it: beside the tests.
fn run(name: &str, arguments: &[&str]) -> Output {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let program = folder.join("examples").join(name);
    let output = Command::new(&program).args(arguments).output();
    output.unwrap_or_else(|error| {
        panic!("{program:?}: {error}; `cargo test` without `--test` builds it")
    })
}

fn said(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text
}

#[test]
fn echo_says_everything_again() {
    let text = said(&run("echo", &[]));
    for line in ["client: Hello Server!", "client: Once more"] {
        assert!(text.lines().any(|said| said == line), "{text}");
    }
    assert!(text.contains(" is here\n"), "{text}");
}

#[test]
fn ping_measures_in_both_directions_and_without_a_thread() {
    let text = said(&run("ping", &[]));
    let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(count("client to server: "), 5, "{text}");
    assert_eq!(count("without a thread: "), 1, "{text}");
}

#[test]
fn chat_tells_a_port_that_is_none() {
    for port in ["eighty", "65536", "-1", ""] {
        let output = run("chat", &["serve", port]);
        assert_eq!(output.status.code(), Some(2), "{port}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(&format!("{port:?} is no port")), "{errors}");
    }
}
