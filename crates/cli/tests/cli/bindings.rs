//! `superstream doctor` and languages: the binding that the application would find, and the
//! librdkafka that it brings.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Stage, text};

/// An executable that is called like an interpreter. Nobody runs it.
fn interpreter(stage: &Stage, name: &str) -> PathBuf {
    let file = stage.path(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    symlink("/usr/bin/env", &file).unwrap();
    file
}

fn binding(document: &Value) -> Value {
    let found = &document["librdkafka"][0];
    let binding = &found["binding"];
    assert_eq!(found["bound"], "language-binding", "{document:#}");
    json!([
        binding["name"],
        binding["version"],
        found["version"],
        document["way_in"]["way"]
    ])
}

/// A wheel as auditwheel leaves it: the library beside the package, under a name of its own.
fn wheel(stage: &Stage, packages: &str) -> PathBuf {
    let library = stage.engine(
        &format!("{packages}/confluent_kafka.libs/librdkafka-1a2b.so.1"),
        &[],
    );
    stage.write(&format!("{packages}/confluent_kafka/__init__.py"), "");
    stage.write(
        &format!("{packages}/confluent_kafka-2.12.1.dist-info/METADATA"),
        "",
    );
    let module = format!("{packages}/confluent_kafka/cimpl.cpython-311-x86_64-linux-gnu.so");
    let flags = [
        "-shared",
        "-fPIC",
        "-Wl,-rpath,$ORIGIN/../confluent_kafka.libs",
    ];
    stage.caller(&module, &library, &flags);
    library
}

#[test]
fn python_in_a_virtual_environment() {
    let stage = Stage::new();
    let python = interpreter(&stage, "venv/bin/python3");
    stage.write("venv/pyvenv.cfg", "include-system-site-packages = false\n");
    let library = wheel(&stage, "venv/lib/python3.11/site-packages");
    let expected = json!(["confluent-kafka", "2.12.1", "2.12.1", "preload"]);

    let python = text(&python);
    let document = stage.doctor(&["--", &python, "-u", "app.py"]);
    assert_eq!(binding(&document), expected);
    assert_eq!(document["librdkafka"][0]["file"], text(&library));
    // No drop-in can take the place of a library with a name of its own.
    let others = document["way_in"]["others"].as_array().unwrap();
    assert!(
        others.iter().all(|other| other["way"] != "drop-in"),
        "{document:#}"
    );

    // A program that pip installed, and one whose interpreter has too long a path for that.
    for first in [
        format!("#!{python}\n"),
        format!("#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"),
    ] {
        let script = stage.write("venv/bin/gunicorn", &first);
        assert_eq!(binding(&stage.doctor(&[&text(&script)])), expected);
    }
}

#[test]
fn python_with_packages_elsewhere() {
    let stage = Stage::new();
    let python = text(&interpreter(&stage, "bin/python3"));
    wheel(&stage, "packages");
    let look = |variable: &str, value: &Path| {
        let mut command = stage.tool(stage.path("bin/superstream"));
        command.args(["doctor", "--json", "--", "env"]);
        command
            .arg(format!("{variable}={}", value.display()))
            .args([&python, "app.py"]);
        let output = command.output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let found = look("PYTHONPATH", &stage.path("packages"));
    assert_eq!(binding(&found)[0], "confluent-kafka");
    let found = look("PYTHONPATH", &stage.path("nowhere"));
    assert!(!found.to_string().contains("1a2b"), "{found:#}");

    // The module is part of the wheel: without it, something is wrong with the installation.
    stage.write("broken/confluent_kafka/__init__.py", "");
    let found = look("PYTHONPATH", &stage.path("broken"));
    assert!(
        found["notes"].to_string().contains("was it built"),
        "{found:#}"
    );
}

#[test]
fn node_from_the_scripts_folder_upwards() {
    let stage = Stage::new();
    let node = text(&interpreter(&stage, "bin/node"));
    let engine = stage.engine(
        "app/node_modules/node-rdkafka/build/deps/librdkafka.so.1",
        &[],
    );
    stage.write(
        "app/node_modules/node-rdkafka/package.json",
        "{\"version\": \"3.6.1\"}",
    );
    let module = "app/node_modules/node-rdkafka/build/Release/node-librdkafka.node";
    stage.caller(module, &engine, &["-shared", "-fPIC"]);
    stage.write("app/src/deep/main.js", "");
    let document = stage.doctor(&["--", &node, "-r", "dotenv/config", "app/src/deep/main.js"]);
    assert_eq!(
        binding(&document),
        json!(["node-rdkafka", "3.6.1", "2.12.1", "preload"])
    );

    stage.write("elsewhere/main.js", "");
    let document = stage.doctor(&["--", &node, "elsewhere/main.js"]);
    assert_eq!(document["way_in"]["way"], "unknown", "{document:#}");
}

#[test]
fn runtimes_that_fetch_functions_get_the_hooks() {
    let stage = Stage::new();
    let ruby = text(&interpreter(&stage, "bin/ruby"));
    let gem = "gems/gems/rdkafka-0.21.0/ext/librdkafka.so";
    let library = stage.engine(gem, &[]);
    let home = format!("GEM_HOME={}", text(&stage.path("gems")));
    let document = stage.doctor(&["--", "env", &home, &ruby, "app.rb"]);
    let expected = json!(["rdkafka", "0.21.0", "2.12.1", "preload-with-hooks"]);
    assert_eq!(binding(&document), expected);
    assert_eq!(document["librdkafka"][0]["file"], text(&library));

    let dotnet = text(&interpreter(&stage, "bin/dotnet"));
    let native = match cfg!(target_arch = "aarch64") {
        true => "linux-arm64",
        false => "linux-x64",
    };
    stage.engine(&format!("net/runtimes/{native}/native/librdkafka.so"), &[]);
    stage.write("net/app.dll", "");
    let document = stage.doctor(&["--", &dotnet, "net/app.dll"]);
    assert_eq!(
        binding(&document),
        json!(["Confluent.Kafka", null, "2.12.1", "preload-with-hooks"])
    );
    assert_eq!(
        document["way_in"]["others"][0]["way"], "drop-in",
        "{document:#}"
    );
}

#[test]
fn php_is_reached_past_its_isolation() {
    let stage = Stage::new();
    let php = text(&interpreter(&stage, "bin/php8.2"));
    let engine = stage.engine("librdkafka.so.1", &[]);
    stage.caller(
        "lib/php/extensions/20220829/rdkafka.so",
        &engine,
        &["-shared", "-fPIC"],
    );
    // Extensions are looked for from where the interpreter really is.
    fs::remove_file(stage.path("bin/php8.2")).unwrap();
    crate::support::compile("plain.c", &stage.path("bin/php8.2"), &[]);
    let document = stage.doctor(&["--", &php, "app.php"]);
    assert_eq!(
        binding(&document),
        json!(["php-rdkafka", null, "2.12.1", "preload-with-hooks"])
    );
    assert!(
        document["way_in"]["reasons"]
            .to_string()
            .contains("RTLD_DEEPBIND"),
        "{document:#}"
    );
}
