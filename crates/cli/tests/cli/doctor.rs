//! `superstream doctor`: which librdkafka, how it is bound, and which way in works.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Said, Stage, Waiting, compile, is_root, text};

/// What matters of a document in most tests.
fn gist(document: &Value) -> Value {
    let engine = &document["librdkafka"][0];
    json!([
        engine["version"],
        engine["bound"],
        document["way_in"]["way"]
    ])
}

#[test]
fn kcat_is_reached_by_preload() {
    let stage = Stage::new();
    let document = stage.doctor(&["--", "kcat", "-P", "-b", "broker"]);
    assert_eq!(document["subject"]["name"], "kcat");
    let engine = &document["librdkafka"][0];
    assert!(
        engine["file"]
            .as_str()
            .unwrap()
            .ends_with("/librdkafka.so.1"),
        "{document:#}"
    );
    assert_eq!(engine["bound"], "dynamic");
    assert_eq!(document["way_in"]["way"], "preload");

    // kcat tells the same of its librdkafka.
    let said = Said::by(stage.tool("kcat").arg("-V"));
    let told = said.out + &said.err;
    let version = engine["version"].as_str().unwrap();
    assert!(
        told.contains(&format!("librdkafka {version} ")),
        "{version}: {told}"
    );
    let features = engine["features"].as_array().unwrap();
    let features: Vec<&str> = features.iter().map(|name| name.as_str().unwrap()).collect();
    assert!(
        told.contains(&format!("builtin.features={}", features.join(","))),
        "{told}"
    );
}

#[test]
fn it_speaks_plainly() {
    let stage = Stage::new();
    let said = stage.output(&["doctor", "--", "env", "A=1", "kcat"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    for words in [
        "env: ",
        "/kcat",
        "librdkafka  2.",
        "way in      preload",
        "superstream run",
    ] {
        assert!(said.out.contains(words), "no {words:?} in\n{}", said.out);
    }
    assert!(
        said.out.lines().all(|line| line.len() < 160),
        "{}",
        said.out
    );
}

#[test]
fn a_file_is_looked_at_where_it_is() {
    let stage = Stage::new();
    let engine = stage.engine("lib/librdkafka.so.1", &["-DVERSION=0x010902ff"]);
    let app = stage.caller("app", &engine, &[]);
    let document = stage.doctor(&[&text(&app)]);
    assert_eq!(gist(&document), json!(["1.9.2", "dynamic", "preload"]));
    let found = &document["librdkafka"][0];
    assert_eq!(found["file"], text(&engine));
    assert_eq!(
        found["features"],
        json!(["gzip", "snappy", "plugins", "oidc"])
    );
    let ways: Vec<&Value> = document["way_in"]["others"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(ways.len(), 2, "{document:#}");
    assert_eq!(
        (&ways[0]["way"], &ways[1]["way"]),
        (&json!("drop-in"), &json!("plugin"))
    );

    // LD_LIBRARY_PATH comes before the program's own idea.
    let other = stage.engine("other/librdkafka.so.1", &["-DVERSION=0x020002ff"]);
    let mut command = stage.superstream(&["doctor", "--json", &text(&app)]);
    command.env("LD_LIBRARY_PATH", other.parent().unwrap());
    // Whatever else is set for the loader is not the program's.
    command.env("LD_DEBUG", "all").env("LD_BIND_NOW", "1");
    let document: Value = serde_json::from_str(&Said::by(&mut command).out).unwrap();
    assert_eq!(gist(&document)[0], "2.0.2");
}

#[test]
fn nothing_of_the_program_is_run() {
    let stage = Stage::new();
    let engine = stage.engine("librdkafka.so.1", &[]);
    let app = stage.caller("app", &engine, &[]);
    let module = stage.caller("module.so", &engine, &["-shared", "-fPIC"]);
    stage.doctor(&["--", &text(&app)]);
    stage.doctor(&[&text(&module)]);
    assert!(!stage.path("loaded").exists());
    // The proof that it would have shown.
    assert!(Said::by(&mut stage.tool(&app)).out.contains("app"));
    assert!(stage.path("loaded").exists());
}

#[test]
fn an_engine_that_is_opened_later_needs_the_hooks() {
    let stage = Stage::new();
    stage.engine("librdkafka.so.1", &[]);
    compile("fetcher.c", &stage.path("fetcher"), &["-ldl"]);
    let document = stage.doctor(&["--", "./fetcher"]);
    assert_eq!(
        gist(&document),
        json!(["2.12.1", "dlopen", "preload-with-hooks"])
    );
}

#[test]
fn a_module_that_carries_its_engine_is_reached_where_it_asks_the_loader() {
    let stage = Stage::new();
    let carrying = ["-shared", "-fPIC", "-DOWN_CALL"];
    let open = stage.path("open.node");
    compile("engine.c", &open, &carrying);
    let document = stage.doctor(&[&text(&open)]);
    assert_eq!(gist(&document), json!(["2.12.1", "static", "preload"]));

    for (name, flag) in [
        ("symbolic.node", "-Wl,-Bsymbolic"),
        ("hidden.node", "-fvisibility=hidden"),
    ] {
        let sealed = stage.path(name);
        compile("engine.c", &sealed, &[&carrying[..], &[flag]].concat());
        let document = stage.doctor(&[&text(&sealed)]);
        assert_eq!(
            gist(&document),
            json!(["2.12.1", "static", "none"]),
            "{name}"
        );
    }
}

#[test]
fn libraries_are_told_from_programs() {
    let stage = Stage::new();
    let engine = stage.engine("librdkafka.so.1", &[]);
    let document = stage.doctor(&[&text(&engine)]);
    assert_eq!(document["librdkafka"][0]["version"], "2.12.1");
    assert!(
        document["way_in"]["reasons"][0]
            .as_str()
            .unwrap()
            .contains("librdkafka itself")
    );
    let drop_in = stage.engine("lib/librdkafka.so.1", &["-DDROP_IN"]);
    assert_eq!(stage.doctor(&[&text(&drop_in)])["way_in"]["way"], "drop-in");
    let app = stage.caller("app", &drop_in, &[]);
    let document = stage.doctor(&[&text(&app)]);
    assert_eq!(gist(&document), json!(["2.12.1", "dynamic", "drop-in"]));
    let own = stage.library();
    let document = stage.doctor(&[&own]);
    assert_eq!(document["librdkafka"], json!([]));
}

#[test]
fn odd_names_are_no_obstacle() {
    let stage = Stage::new();
    let engine = stage.engine("librdkafka.so.1", &[]);
    let app = stage.caller("app", &engine, &["-shared", "-fPIC"]);
    for name in [
        &b"caf\xe9.so"[..],
        b"-rf.so",
        b"two words.so",
        b"new\nline\x1b[2J.so",
    ] {
        let odd = stage.path("").join(OsStr::from_bytes(name));
        fs::copy(&app, &odd).unwrap();
        for options in [&["--json"][..], &[]] {
            let mut command = stage.superstream(&["doctor"]);
            command
                .args(options)
                .arg("--")
                .arg(Path::new("./").join(odd.file_name().unwrap()));
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert!(!output.stdout.contains(&0x1b), "{output:?}");
        }
    }
}

#[test]
fn no_trace_is_no_verdict() {
    let stage = Stage::new();
    let app = stage.path("app");
    compile("plain.c", &app, &[]);
    for subject in [
        &["--", "./app"][..],
        &["./app"],
        &["--", "sh", "-c", "kcat"],
    ] {
        let document = stage.doctor(subject);
        assert_eq!(document["way_in"]["way"], "unknown", "{document:#}");
        assert!(
            document["next"][0].as_str().unwrap().contains("--pid"),
            "{document:#}"
        );
    }
}

#[test]
fn what_cannot_be_looked_at_is_named() {
    let stage = Stage::new();
    let doctor = |words: &[&str]| stage.output(&[&["doctor"], words].concat());
    doctor(&["kcat"]).complains(1, &["superstream doctor -- kcat"]);
    doctor(&["--", "no-such-command"]).complains(1, &["is not found"]);
    doctor(&["."]).complains(1, &["no regular file"]);
    doctor(&["--pid", "4194304"]).complains(1, &["there is no process"]);
    doctor(&[]).complains(2, &["COMMAND"]);
    doctor(&["--token-file", "missing", "kcat"]).complains(2, &["cannot be read"]);
    let text_file = stage.write("data", "some text\n");
    let document = stage.doctor(&[&text(&text_file)]);
    assert_eq!(document["obstacles"][0]["name"], "not-elf");
}

#[test]
fn a_process_is_looked_at_by_what_it_has_loaded() {
    let stage = Stage::new();
    let engine = stage.engine("librdkafka-1a2b.so.1", &[]);
    let app = stage.caller("app", &engine, &[]);
    let (process, _) = Waiting::start(stage.tool(&app).arg("stay"));
    let document = stage.doctor(&["--pid", &process.id]);
    assert_eq!(gist(&document), json!(["2.12.1", "dynamic", "preload"]));
    assert_eq!(document["subject"]["executable"], text(&app));
    assert_eq!(document["subject"]["has_superstream"], false);
    assert!(
        document["next"][0].as_str().unwrap().contains("anew"),
        "{document:#}"
    );

    let mut run = stage.superstream(&["run", "./app", "stay"]);
    let (process, _) = Waiting::start(&mut run);
    let document = stage.doctor(&["--pid", &process.id]);
    assert_eq!(document["subject"]["has_superstream"], true);
    assert!(
        document["next"][0]
            .as_str()
            .unwrap()
            .contains("superstream status")
    );
}

#[test]
fn a_process_whose_program_was_replaced() {
    let stage = Stage::new();
    let engine = stage.engine("librdkafka.so.1", &[]);
    let app = stage.caller("app", &engine, &[]);
    let (process, _) = Waiting::start(stage.tool(&app).arg("stay"));
    fs::remove_file(&app).unwrap();
    let document = stage.doctor(&["--pid", &process.id]);
    assert_eq!(gist(&document), json!(["2.12.1", "dynamic", "preload"]));

    // As after an upgrade of Superstream.
    stage.caller("app", &engine, &[]);
    let (process, _) = Waiting::start(&mut stage.superstream(&["run", "./app", "stay"]));
    fs::remove_file(stage.library()).unwrap();
    let document = stage.doctor(&["--pid", &process.id]);
    assert_eq!(document["subject"]["has_superstream"], true, "{document:#}");
}

/// As where a shell has started what `superstream run` cannot see.
#[test]
fn a_process_that_lacks_the_second_library() {
    let stage = Stage::new();
    let engine = stage.engine("librdkafka.so.1", &[]);
    // A Ruby, by its name.
    stage.caller("ruby", &engine, &[]);
    for (hooks, next) in [
        ("never", "--hooks always"),
        ("always", "superstream status"),
    ] {
        let mut run = stage.superstream(&["run", "--hooks", hooks, "./ruby", "stay"]);
        let (process, _) = Waiting::start(&mut run);
        let document = stage.doctor(&["--pid", &process.id]);
        let said = document["next"][0].as_str().unwrap();
        assert!(said.contains(next), "{document:#}");
    }
}

/// The loader would run an audit library even to list what the program takes.
#[test]
fn no_audit_library_is_run() {
    let stage = Stage::new();
    let audit = stage.path("audit.so");
    compile("audit.c", &audit, &["-shared", "-fPIC"]);
    for option in ["--audit", "--depaudit"] {
        let app = stage.path("app");
        let flag = format!("-Wl,{option}={}", text(&audit));
        compile("plain.c", &app, &[&flag]);
        let mut doctor = stage.superstream(&["doctor", "./app"]);
        let said = Said::by(doctor.env("TRACE", stage.path("trace")));
        assert!(said.out.contains("DT_AUDIT"), "{said:?}");
        assert!(!stage.path("trace").exists(), "{option}: it was run");
        let ran = stage.tool(&app).env("TRACE", stage.path("trace")).status();
        assert!(ran.unwrap().success());
        assert!(stage.path("trace").exists(), "{option}: it cannot be run");
        fs::remove_file(stage.path("trace")).unwrap();
    }
}

#[test]
fn a_process_with_more_rights_is_named() {
    if !is_root() {
        eprintln!("skipped: only root can make a program that gives others' rights");
        return;
    }
    let stage = Stage::new();
    let engine = stage.engine("librdkafka.so.1", &[]);
    let app = stage.caller("app", &engine, &[]);
    std::os::unix::fs::chown(&app, Some(65534), None).unwrap();
    fs::set_permissions(&app, fs::Permissions::from_mode(0o4755)).unwrap();
    let (process, _) = Waiting::start(stage.tool(&app).arg("stay"));
    let document = stage.doctor(&["--pid", &process.id]);
    assert_eq!(
        document["obstacles"][0]["name"], "started-privileged",
        "{document:#}"
    );
}
