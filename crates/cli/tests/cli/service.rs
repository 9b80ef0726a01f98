//! `superstream doctor --host`: whether the service answers, takes the token, and what it would
//! advise, as the library says. (The library here is a stand-in; the host says how it answers.)

use serde_json::{Value, json};

use crate::support::{Said, Stage};

fn asked(stage: &Stage, options: &[&str]) -> Value {
    let document = stage.doctor(&[options, &["--", "kcat"]].concat());
    assert_eq!(document["way_in"]["works"], true, "{document:#}");
    document
}

#[test]
fn advice_is_shown() {
    let stage = Stage::new();
    stage.write("token", "good-token\n");
    let options = ["--host", "http://up", "--token-file", "token"];
    let document = asked(&stage, &options);
    let service = &document["service"];
    assert_eq!(
        (&service["state"], &service["token"]),
        (&json!("up"), &json!("accepted"))
    );
    assert_eq!(
        service["advice"][0]["optimized_configuration"],
        json!({"linger.ms": 100})
    );
    assert_eq!(service["advice"][1]["type"], "consumer");
    assert_eq!(document["works"], true);

    let said = stage.output(&[&["doctor"], &options[..], &["--", "kcat"]].concat());
    for words in [
        "http://up: answers",
        "accepted",
        "producer: linger.ms=100",
        "consumer: nothing",
    ] {
        assert!(said.out.contains(words), "no {words:?} in\n{}", said.out);
    }
    assert!(!said.out.contains("good-token"), "{}", said.out);
}

#[test]
fn a_token_file_of_the_environment_that_cannot_be_read_is_named() {
    let stage = Stage::new();
    let mut doctor = stage.superstream(&["doctor", "--host", "http://up", "--", "kcat"]);
    let said = Said::by(doctor.env("SUPERSTREAM_TOKEN_FILE", "missing"));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains("SUPERSTREAM_TOKEN_FILE missing cannot"),
        "{said:?}"
    );
}

#[test]
fn a_wrong_token_and_a_silent_service_are_told_apart() {
    let stage = Stage::new();
    stage.write("wrong", "wrong-token\n");
    let document = asked(&stage, &["--host", "http://up", "--token-file", "wrong"]);
    assert_eq!(document["service"]["token"], "refused");
    assert!(
        document["next"].to_string().contains("--token-file"),
        "{document:#}"
    );
    assert_eq!(document["works"], false);

    let document = asked(&stage, &["--host", "http://down"]);
    assert_eq!(document["service"]["state"], "down");
    assert_eq!(document["service"]["token"], "not-given");
    assert_eq!(document["works"], false);
}

#[test]
fn the_environments_host_is_asked_and_the_given_token_counts() {
    let stage = Stage::new();
    stage.write("token", "good-token\n");
    let mut command =
        stage.superstream(&["doctor", "--json", "--token-file", "token", "--", "kcat"]);
    command
        .env("SUPERSTREAM_HOST", "http://up")
        .env("SUPERSTREAM_TOKEN", "another");
    let output = command.output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["service"]["token"], "accepted", "{document:#}");
}

#[test]
fn without_a_host_nobody_is_asked() {
    let stage = Stage::without_libraries();
    let document = asked(&stage, &[]);
    assert_eq!(
        (&document["service"], &document["works"]),
        (&Value::Null, &json!(true))
    );

    // With one, the library is needed, or a library that can be asked.
    let document = asked(&stage, &["--host", "http://up"]);
    assert!(
        document["service"]["reason"]
            .to_string()
            .contains("libsuperstream.so")
    );
    let stage = Stage::new();
    let document = asked(&stage, &["--host", "http://off"]);
    assert_eq!(document["service"]["answers"], false);
    assert!(document["service"]["reason"].is_string(), "{document:#}");
    stage
        .output(&["doctor", "--token-file", "Cargo.toml", "--", "kcat"])
        .complains(2, &["--token-file"]);
}

/// The loader and the service are asked meanwhile: what is printed must not go to them.
#[test]
fn a_closed_output_takes_nothing_elsewhere() {
    let stage = Stage::new();
    stage.write("token", "good-token\n");
    let program = stage.path("bin/superstream");
    let line = format!(
        "{} doctor --host http://talkative --token-file token -- kcat >&-",
        program.display()
    );
    let said = Said::by(stage.tool("sh").args(["-c", &line]));
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
    let kept = std::fs::read_to_string(stage.path("connection")).unwrap();
    assert_eq!(kept, "");
}
