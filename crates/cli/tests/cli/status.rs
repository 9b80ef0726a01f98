//! `superstream status`: what a process holds for us to read, and what it says where there is
//! nothing, or nothing to be trusted.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::thread;

use serde_json::Value;

use crate::support::{Said, Stage, Waiting, compile, is_root};

const REST: &str = r#""superstream":{"version":"0.1.0","on":true,"mode":"active"},
  "engines":[{"version":"2.0.2","file":"/lib/librdkafka.so.1"}],
  "service":{"host":"http://h","state":"up"},
  "clients":[{"client":{"type":"producer","client_id":"orders"},
    "changes":[{"key":"linger.ms","old":"5","new":"100","reason":"fewer requests"}],
    "refusals":[{"key":"acks","asked":"1","reason":"never touched"}]}],
  "clients_left_out":0}"#;

struct Scene {
    stage: Stage,
    process: Waiting,
    /// The process that says it is ready: the child, where there is one.
    id: String,
}

fn holding(how: &str) -> Scene {
    holding_this(how, REST)
}

fn holding_this(how: &str, rest: &str) -> Scene {
    let stage = Stage::without_libraries();
    compile("status.c", &stage.path("holder"), &[]);
    let (process, id) = Waiting::start(stage.tool(stage.path("holder")).args([how, rest]));
    Scene { stage, process, id }
}

impl Scene {
    fn status(&self, options: &[&str]) -> Said {
        self.stage.output(&[&["status"], options].concat())
    }
}

#[test]
fn changes_and_refusals_are_shown_with_their_reasons() {
    let scene = holding("whole");
    let said = scene.status(&["--pid", &scene.id]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    for words in [
        "Superstream 0.1.0 on, mode active",
        "2.0.2, /lib/librdkafka.so.1",
        "http://h: answers",
        "producer \"orders\"",
        "changed  linger.ms  5 -> 100  fewer requests",
        "refused  acks       1         never touched",
    ] {
        assert!(said.out.contains(words), "no {words:?} in\n{}", said.out);
    }
    let said = scene.status(&["--json", "--pid", &scene.id]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["clients"][0]["changes"][0]["new"], "100");
}

#[test]
fn what_is_known_of_records_with_a_schema_is_shown() {
    let consumed = r#""consumed":{"records":900,"bytes":9000}"#;
    for (measured, words) in [
        (
            format!(r#""topics":{{"orders":{{{consumed},"consumed_with_schema":840}}}}"#),
            Some(
                "at least 840 records have a superstream_schema header; they are delivered unchanged",
            ),
        ),
        (
            format!(r#""topics":{{"orders":{{{consumed}}}}},"headers_unseen":true"#),
            Some("this librdkafka shows no headers"),
        ),
        (format!(r#""topics":{{"orders":{{{consumed}}}}}"#), None),
    ] {
        let client = format!(r#"{{"client":{{"type":"consumer"}},"measured":{{{measured}}}}}"#);
        let scene = holding_this("whole", &format!(r#""clients":[{client}]}}"#));
        let said = scene.status(&["--pid", &scene.id]);
        assert!(said.out.contains("900 records"), "{said:?}");
        // A line ends where the page does.
        let text = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
        match words {
            Some(words) => assert!(text.contains(words), "no {words:?} in\n{}", said.out),
            None => assert!(!said.out.contains("header"), "{}", said.out),
        }
    }
}

#[test]
fn what_clients_are_called_does_nothing_to_a_terminal() {
    let name = "a\u{9b}2J\u{7f}\u{202e}";
    let rest = format!(r#""clients":[{{"client":{{"client_id":"{name}"}}}}]}}"#);
    let scene = holding_this("whole", &rest);
    for options in [
        &["--pid", &scene.id][..],
        &["--json", "--pid", &scene.id],
        &["--json"],
    ] {
        let said = scene.status(options);
        assert_eq!(said.code, Some(0), "{said:?}");
        let is_harmful = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!said.out.contains(is_harmful), "{said:?}");
    }
    let said = scene.status(&["--json", "--pid", &scene.id]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["clients"][0]["client"]["client_id"], name);
}

#[test]
fn all_processes_are_found() {
    let one = holding("whole");
    let other = holding("whole");
    let said = one.status(&["--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let processes = document["processes"].as_array().unwrap();
    for id in [&one.id, &other.id] {
        let number: u64 = id.parse().unwrap();
        assert!(
            processes.iter().any(|process| process["pid"] == number),
            "{document:#}"
        );
    }
    assert!(
        one.status(&[])
            .out
            .contains(&format!("process {}:", other.id))
    );
}

#[test]
fn a_status_that_is_being_written_is_waited_for() {
    let mut scene = holding("late");
    let mut command = scene.stage.superstream(&["status", "--pid", &scene.id]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    // It looks at what is half-written.
    let descriptors = format!("/proc/{}/fd", child.id());
    let is_open = || {
        let all = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        let mut links = all.filter_map(|one| fs::read_link(one.path()).ok());
        links.any(|link| link.to_string_lossy().contains("superstream-status"))
    };
    while !is_open() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it has not waited: {ended:?}");
        thread::yield_now();
    }
    writeln!(scene.process.stdin.as_mut().unwrap(), "go on").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("linger.ms"), "{said}");
}

#[test]
fn a_status_that_cannot_be_trusted_is_not_shown() {
    for (how, words) in [
        ("garbage", "not JSON"),
        ("endless", "too long"),
        ("half", "while it was writing"),
        ("empty", "while it was writing"),
    ] {
        let scene = holding(how);
        scene.status(&["--pid", &scene.id]).complains(1, &[words]);
    }
}

#[test]
fn a_status_that_another_user_made_is_not_shown() {
    if !is_root() {
        eprintln!("skipped: only root can make a file look like another user's");
        return;
    }
    let scene = holding("foreign");
    scene
        .status(&["--pid", &scene.id])
        .complains(1, &["cannot be trusted", "another user"]);
}

#[test]
fn a_process_that_has_ended_is_named() {
    let stage = Stage::without_libraries();
    let mut ended = stage.tool("true").spawn().unwrap();
    let id = ended.id().to_string();
    // SAFETY: waits for the child, and leaves it to be collected.
    let answer = unsafe {
        let mut about: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOWAIT;
        libc::waitid(libc::P_PID, ended.id(), &raw mut about, options)
    };
    assert_eq!(answer, 0);
    for command in ["status", "doctor"] {
        stage
            .output(&[command, "--pid", &id])
            .complains(1, &["has ended"]);
    }
    ended.wait().unwrap();
}

#[test]
fn a_child_does_not_show_its_parents_status() {
    let scene = holding("forked");
    let parent = scene.process.id.as_str();
    assert_ne!(parent, scene.id);
    let of_parent = format!("forked from {parent}");
    scene
        .status(&["--pid", &scene.id])
        .complains(1, &["no status of its own", &of_parent]);
    assert_eq!(scene.status(&["--pid", parent]).code, Some(0));
}

#[test]
fn processes_without_a_status_are_named() {
    let stage = Stage::without_libraries();
    let own = std::process::id().to_string();
    stage
        .output(&["status", "--pid", &own])
        .complains(1, &["not have Superstream on"]);
    stage
        .output(&["status", "--pid", "4194304"])
        .complains(1, &["there is no process 4194304"]);
    stage
        .output(&["status", "--pid", "x"])
        .complains(2, &["--pid"]);
    let said = stage.output(&["status", "--json", "--pid", &own]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert!(document["error"].is_string(), "{said:?}");
}

#[test]
fn another_users_process_is_not_shown() {
    let stage = Stage::without_libraries();
    let mut command = stage.superstream(&["status", "--pid"]);
    if is_root() {
        // As nobody, who must not see ours. Its folder may be closed to nobody: then by the
        // program that is open already.
        command
            .arg(std::process::id().to_string())
            .uid(65534)
            .gid(65534);
    } else {
        command.arg("1");
    }
    match command.output() {
        Ok(_) => Said::by(&mut command).complains(1, &["belongs to user 0"]),
        Err(error) => eprintln!("skipped: nobody cannot start it here ({error})"),
    }
}
