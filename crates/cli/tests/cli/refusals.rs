//! `superstream run`: what cannot work is refused, with the reason and what to do next.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Said, Stage, compile, is_root, text};

const SELF_32: u8 = 1;
const SELF_64: u8 = 2;
const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// An executable that is a header and the name of a loader: nothing to run, enough to look at.
fn header(stage: &Stage, name: &str, class: u8, machine: u16, loader: &str) -> PathBuf {
    let mut file = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
    file.resize(16, 0);
    let half = |value: u16| value.to_le_bytes();
    let word = |value: u32| value.to_le_bytes();
    let long = |value: u64| value.to_le_bytes();
    // Executable; the machine; version 1; no entry; program headers behind this one.
    file.extend([half(2), half(machine)].concat());
    file.extend(word(1));
    file.extend([long(0), long(64), long(0)].concat());
    file.extend(word(0));
    for value in [64, 56, 1, 0, 0, 0] {
        file.extend(half(value));
    }
    let loader = format!("{loader}\0");
    let length = loader.len() as u64;
    // PT_INTERP, readable, behind the headers.
    file.extend([word(3), word(4)].concat());
    file.extend(
        [
            long(120),
            long(120),
            long(120),
            long(length),
            long(length),
            long(1),
        ]
        .concat(),
    );
    file.extend(loader.as_bytes());
    let path = stage.path(name);
    fs::write(&path, file).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn own() -> (u16, u16, &'static str) {
    match cfg!(target_arch = "aarch64") {
        true => (EM_AARCH64, EM_X86_64, "x86-64"),
        false => (EM_X86_64, EM_AARCH64, "aarch64"),
    }
}

/// `run` refuses, and doctor names the reason.
fn is_refused(stage: &Stage, program: &Path, name: &str, words: &[&str]) {
    let program = text(program);
    stage
        .output(&["run", "--host", "http://h", "--", &program])
        .complains(125, words);
    let document = stage.doctor(&["--", &program]);
    assert_eq!(document["obstacles"][0]["name"], name, "{document:#}");
    assert_eq!(document["way_in"]["way"], "none", "{document:#}");
    assert!(document["next"][0].is_string(), "{document:#}");
}

#[test]
fn static_programs() {
    let stage = Stage::new();
    for flags in ["-static", "-static-pie"] {
        let program = stage.path("app");
        compile("plain.c", &program, &[flags]);
        is_refused(
            &stage,
            &program,
            "static",
            &["static executable", "dynamically"],
        );
    }
}

#[test]
fn programs_for_another_libc_or_machine() {
    let stage = Stage::new();
    let (own, other, other_name) = own();
    let musl = header(&stage, "musl", SELF_64, own, "/lib/ld-musl-x86_64.so.1");
    is_refused(&stage, &musl, "musl", &["musl", "glibc"]);
    let bionic = header(&stage, "bionic", SELF_64, own, "/system/bin/linker64");
    is_refused(&stage, &bionic, "other-loader", &["/system/bin/linker64"]);
    let foreign = header(&stage, "foreign", SELF_64, other, "/lib/ld.so");
    is_refused(&stage, &foreign, "other-architecture", &[other_name]);
    if cfg!(target_arch = "x86_64") {
        let small = header(&stage, "small", SELF_32, EM_386, "/lib/ld-linux.so.2");
        is_refused(&stage, &small, "32-bit", &["32-bit"]);
    }
}

#[test]
fn a_script_of_a_musl_program() {
    let stage = Stage::new();
    let musl = header(&stage, "musl", SELF_64, own().0, "/lib/ld-musl-x86_64.so.1");
    let script = stage.write("script", &format!("#!{} -x\n", musl.display()));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    is_refused(&stage, &script, "musl", &["musl"]);
    stage
        .output(&["run", "env", "A=1", "./script"])
        .complains(125, &["musl"]);
}

#[test]
fn programs_with_more_rights_than_their_caller() {
    let stage = Stage::new();
    let program = match is_root() {
        true => {
            let copy = stage.path("app");
            compile("plain.c", &copy, &[]);
            std::os::unix::fs::chown(&copy, Some(65534), None).unwrap();
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).unwrap();
            copy
        }
        // The system's own: a copy of ours would give us nothing that we do not have.
        false => PathBuf::from("/usr/bin/passwd"),
    };
    is_refused(
        &stage,
        &program,
        "set-user-id",
        &["set-user-ID", "LD_PRELOAD"],
    );
}

/// The library here is a stand-in that only has the name.
#[test]
fn programs_with_address_sanitizer() {
    let stage = Stage::new();
    let library = stage.path("libasan.so.8");
    let flags = ["-shared", "-fPIC", "-Wl,-soname,libasan.so.8"];
    compile("plain.c", &library, &flags);
    let app = stage.path("app");
    let here = format!("-Wl,-rpath,{}", text(library.parent().unwrap()));
    let linked = ["-Wl,--no-as-needed", &text(&library), &here];
    compile("plain.c", &app, &linked);
    let first = "LD_PRELOAD=libasan.so.8";
    is_refused(&stage, &app, "address-sanitizer", &["libasan.so.8", first]);

    let mut run = stage.superstream(&["run", "./app"]);
    run.env("ASAN_OPTIONS", "halt_on_error=1:verify_asan_link_order=0");
    assert_eq!(Said::by(&mut run).code, Some(0));

    let mut run = stage.superstream(&["run", "sh", "-c", "echo $LD_PRELOAD; exec ./app"]);
    run.env("LD_PRELOAD", &library);
    let said = Said::by(&mut run);
    let expected = format!("{}:{}\n", text(&library), stage.library());
    assert_eq!((said.code, said.out), (Some(0), expected));
}

#[test]
fn librdkafka_inside_for_good() {
    let stage = Stage::new();
    let object = stage.path("engine.o");
    compile("engine.c", &object, &["-c"]);
    for (name, flags) in [
        ("app", &[][..]),
        ("stripped", &["-s"]),
        ("exporting", &["-rdynamic"]),
    ] {
        let program = stage.path(name);
        let object = text(&object);
        compile("caller.c", &program, &[&[object.as_str()], flags].concat());
        let program = text(&program);
        let words = ["inside", "dynamically"];
        stage
            .output(&["run", "--", &program])
            .complains(125, &words);
        let document = stage.doctor(&[&program]);
        let engine = &document["librdkafka"][0];
        assert_eq!(engine["bound"], "static", "{document:#}");
        assert_eq!(engine["features"][0], "gzip", "{document:#}");
        let version = if name == "stripped" {
            None
        } else {
            Some("2.12.1")
        };
        assert_eq!(engine["version"].as_str(), version, "{document:#}");
        assert_eq!(document["way_in"]["way"], "none", "{document:#}");
    }
}

#[test]
fn go_programs() {
    let stage = Stage::new();
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("skipped: there is no go");
        return;
    }
    stage.write("go/go.mod", "module example\ngo 1.21\n");
    stage.write(
        "go/main.go",
        "package main\nfunc main() { println(\"go\") }\n",
    );
    let mut build = stage.tool("go");
    build
        .args(["build", "-o", "../app", "."])
        .current_dir(stage.path("go"))
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", stage.path("go-cache"))
        .env("GOPATH", stage.path("go-path"))
        .env("GOFLAGS", "-mod=mod")
        .env("GOTOOLCHAIN", "local");
    let output = build.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    is_refused(
        &stage,
        &stage.path("app"),
        "static",
        &["Go", "-tags dynamic"],
    );
}

#[test]
fn commands_that_are_not_there() {
    let stage = Stage::new();
    let run = |words: &[&str]| stage.output(&[&["run", "--"], words].concat());
    run(&["no-such-command"]).complains(127, &["no-such-command is not found"]);
    run(&["./no-such-file"]).complains(127, &["./no-such-file is not found"]);
    run(&["nice", "no-such-command"]).complains(127, &["nice names"]);
    run(&[""]).complains(127, &["not found"]);
    let file = stage.write("file", "echo\n");
    run(&[&text(&file)]).complains(126, &["may not be executed"]);
    run(&["/"]).complains(126, &["may not be executed"]);
    fs::write(&file, b"\0\0\0\0not a program").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    run(&[&text(&file)]).complains(126, &["neither an ELF file nor a script"]);
    fs::write(&file, "#!./no-interpreter\n").unwrap();
    run(&[&text(&file)]).complains(127, &["./no-interpreter", "not found"]);
    fs::write(&file, format!("#!{}\n", file.display())).unwrap();
    run(&[&text(&file)]).complains(125, &["more scripts"]);
}

#[test]
fn a_script_without_a_first_line_is_the_shells() {
    let stage = Stage::new();
    let file = stage.write("file", "echo hello from $0\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let said = stage.output(&["run", "./file"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "hello from ./file\n"),
        "{said:?}"
    );
}

#[test]
fn settings_that_cannot_be_meant() {
    let stage = Stage::new();
    let run = |options: &[&str]| stage.output(&[&["run"], options, &["--", "true"]].concat());
    run(&["--tags", "{team:orders}"]).complains(125, &["--tags is not JSON"]);
    run(&["--host", "https://user:pass@h"]).complains(125, &["--token-file"]);
    run(&["--host", "u:pass@h"]).complains(125, &["--host", "--token-file"]);
    run(&["--host", "h:99999"]).complains(125, &["--host", "nats://"]);
    run(&["--host", "ws://h"]).complains(125, &["ws://", "https://"]);
    run(&["--host", ""]).complains(125, &["--host is empty"]);
    run(&["--token-file", "missing"]).complains(125, &["missing", "cannot be read"]);
    run(&["--token-file", "."]).complains(125, &["no regular file"]);
    run(&["--token-file", "/dev/null"]).complains(125, &["no regular file"]);
    stage.write("token", "one two\n");
    run(&["--token-file", "token"]).complains(125, &["no token"]);
    run(&["--hooks", "sometimes"]).complains(125, &["sometimes"]);
    stage.output(&["run"]).complains(125, &["COMMAND"]);
    if !is_root() {
        let file = stage.write("token", "good\n");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        run(&["--token-file", "token"]).complains(125, &["cannot be read"]);
    }
}

#[test]
fn launchers_that_throw_the_environment_away() {
    let stage = Stage::new();
    for command in [
        &["env", "-i", "true"][..],
        &["env", "-u", "LD_PRELOAD", "true"],
        &["nice", "env", "LD_PRELOAD=", "true"],
    ] {
        let said = stage.output(&[&["run", "--"], command].concat());
        said.complains(125, &["env", "Put `superstream run --` behind it"]);
    }
}

#[test]
fn libraries_that_cannot_be_preloaded() {
    let stage = Stage::without_libraries();
    stage
        .output(&["run", "true"])
        .complains(125, &["libsuperstream.so.0", "libsuperstream.so"]);
    for (name, what) in [("a space", "a space"), ("a:colon", "a colon")] {
        let stage = Stage::named(name);
        fs::create_dir(stage.path("lib")).unwrap();
        let library = stage.path("lib/libsuperstream.so.0");
        compile("superstream.c", &library, &["-shared", "-fPIC"]);
        stage
            .output(&["run", "true"])
            .complains(125, &[what, "LD_PRELOAD"]);
    }
}
