//! The library that is preloaded, and the plugin: what they are made of, and how they behave in
//! processes of all kinds. What a client of theirs lives through is in life.rs, failures.rs and
//! others, which run with other engines too (`make test-engines`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(dead_code, reason = "each test uses a part of the support")]

#[path = "support/driver.rs"]
mod driver;
#[path = "support/fault_service.rs"]
mod fault_service;
mod support;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;
use std::{env, fs};

use driver::Driver;
use fault_service::{FaultService, Request};
use serde_json::{Value, json};
use support::{
    Library, assert_success, built, engine, include, preload, root, run, scratch, tool, unique,
    with_library_in,
};

const LIBRARY: &str = "libsuperstream.so";
const PLUGIN: &str = "libsuperstream-plugin.so";
const HOOKS: &str = "libsuperstream-hooks.so";

fn product(name: &str) -> PathBuf {
    preload().with_file_name(name)
}

fn advice() -> Value {
    json!({"linger.ms": 50, "compression.type": "lz4", "batch.size": 1_000_000})
}

/// A C program or, with `-shared` among the arguments, a library.
fn compile_c(source: &str, arguments: &[&OsStr]) -> PathBuf {
    let source = root().join("tests/c").join(source);
    let name = source.file_stem().unwrap().to_str().unwrap();
    let compiled = unique(scratch(), name);
    run(tool("cc")
        .args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
        .args(["-fPIC", "-isystem"])
        .arg(include())
        .arg("-o")
        .args([&compiled, &source])
        .args(arguments)
        .arg("-ldl"));
    compiled
}

fn compile_with_engine(source: &str, engine: &Path, shared: bool) -> PathBuf {
    let mut folder = OsStr::new("-L").to_owned();
    folder.push(engine);
    let mut arguments = vec![&*folder, OsStr::new("-l:librdkafka.so.1")];
    // Debian's is not the only one whose own libraries are not the linker's business.
    arguments.push(OsStr::new("-Wl,--allow-shlib-undefined"));
    if shared {
        arguments.push(OsStr::new("-shared"));
    }
    compile_c(source, &arguments)
}

/// A command with libraries preloaded, in this order, in front of a service.
fn preloaded(program: impl AsRef<OsStr>, libraries: &[&Path], host: &str) -> Command {
    let mut command = tool(program);
    command
        .env("LD_PRELOAD", env::join_paths(libraries).unwrap())
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    if !host.is_empty() {
        command.env("SUPERSTREAM_HOST", host);
    }
    command
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_success(command, &output);
    output
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The driver with an engine, and something preloaded.
fn driver_with(engine: &Path, libraries: &[&Path], host: &str) -> Driver {
    let mut command = preloaded(driver::program(), libraries, host);
    command.env("LD_LIBRARY_PATH", engine);
    Driver::spawn(&mut command)
}

fn registrations(service: &FaultService) -> usize {
    let requests = service.requests();
    requests
        .iter()
        .filter(|request| request.registers())
        .count()
}

#[test]
fn the_libraries_export_what_they_take() {
    for (name, expected) in [
        (
            LIBRARY,
            &[
                "rd_kafka_new",
                "rd_kafka_share_consumer_new",
                "rd_kafka_topic_new",
                "superstream_advise",
                "superstream_conf_init",
                "superstream_free",
                "superstream_interpose",
                "superstream_status",
                "superstream_version",
            ][..],
        ),
        (PLUGIN, &["conf_init"]),
        (HOOKS, &["dlopen", "dlsym"]),
    ] {
        let symbols = run(tool("nm").args(["-D", "--defined-only"]).arg(product(name)));
        let exported = symbols.lines().filter_map(|line| line.split(' ').nth(2));
        let mut exported: Vec<_> = exported.collect();
        exported.sort_unstable();
        assert_eq!(exported, expected, "{name}");
    }
}

/// A preloaded library that asks for something new kills every process on an older system.
#[test]
fn the_libraries_ask_for_little() {
    for name in [LIBRARY, PLUGIN, HOOKS] {
        let dynamic = run(tool("readelf").args(["-dW"]).arg(product(name)));
        for needed in dynamic.lines().filter(|line| line.contains("(NEEDED)")) {
            let of_glibc = ["libc.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux"];
            assert!(
                of_glibc.iter().any(|library| needed.contains(library)),
                "{name}: {needed}"
            );
        }
        assert!(!dynamic.contains("STATIC_TLS"), "{name}: {dynamic}");
        assert!(dynamic.contains("NODELETE"), "{name}: {dynamic}");

        let versions = run(tool("readelf").args(["-VW"]).arg(product(name)));
        let minors = versions
            .split("GLIBC_2.")
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap());
        let newest = minors.map(|minor| minor.parse::<u32>().unwrap()).max();
        assert!(newest.unwrap() <= 17, "{name} asks for glibc 2.{newest:?}");

        let stripped = unique(scratch(), name);
        run(tool("strip").arg("-o").args([&stripped, &product(name)]));
        let size = fs::metadata(&stripped).unwrap().len();
        assert!(size < 4 * 1024 * 1024, "{name} has {size} bytes");
        fs::remove_file(stripped).unwrap();
    }
}

#[test]
fn a_process_that_never_calls_kafka_does_not_notice() {
    let service = FaultService::advising(advice());
    let script = "cat /proc/self/status | grep Threads; ls /proc/self/fd | wc -l; exit 3";
    let run = |libraries: &[&Path]| {
        let mut command = preloaded("sh", libraries, &service.url());
        command
            .args(["-c", script])
            .env("SUPERSTREAM_DEBUG", "true");
        command.output().unwrap()
    };
    assert_eq!(
        run(&[]),
        run(&[&product(LIBRARY), &product(HOOKS)]),
        "stock, and preloaded"
    );
    assert_eq!(service.connections(), 0);
}

#[test]
fn a_call_without_an_engine() {
    let program = compile_c("preload_alone.c", &[]);
    let mut command = preloaded(program, &[&product(LIBRARY)], "http://127.0.0.1:1");
    let said = output(command.env("SUPERSTREAM_DEBUG", "true"));
    assert_eq!(
        stdout(&said),
        "not created, Superstream finds no librdkafka that this call could mean\n"
    );
    assert_eq!(stderr(&said).lines().count(), 1, "{}", stderr(&said));
}

/// It lacks functions that we use: its clients are created, and the log says once what is missing.
#[test]
fn an_engine_that_is_too_old() {
    let folder = unique(scratch(), "old");
    fs::create_dir(&folder).unwrap();
    let library = compile_c("preload_old.c", &["-shared".as_ref()]);
    fs::rename(library, folder.join("librdkafka.so.1")).unwrap();
    let program = compile_with_engine("preload_old_user.c", &folder, false);
    for debug in ["false", "true"] {
        let mut command = preloaded(&program, &[&product(LIBRARY)], "http://127.0.0.1:1");
        command.env("LD_LIBRARY_PATH", &folder);
        let said = output(command.env("SUPERSTREAM_DEBUG", debug));
        assert_eq!(stdout(&said), "created\ncreated\n");
        let lines: Vec<_> = stderr(&said).lines().collect();
        match (debug, &lines[..]) {
            ("false", []) => {}
            ("true", [line]) => {
                assert!(line.contains("has no rd_kafka_"), "{line}");
                assert!(line.contains("too old"), "{line}");
            }
            _ => panic!("{lines:#?}"),
        }
    }
}

#[test]
fn another_library_takes_the_same_function() {
    let other = compile_c("preload_other.c", &["-shared".as_ref()]);
    let ours = product(LIBRARY);
    for libraries in [[&*ours, &*other], [&*other, &*ours]] {
        for host in [true, false] {
            let service = FaultService::advising(advice());
            let url = service.url();
            let host = if host { &*url } else { "" };
            let mut driver = driver_with(&engine("debian"), &libraries, host);
            driver.create("producer");
            let linger = driver.get(0, "linger.ms");
            driver.expect("destroy 0", "destroyed");
            let ended = driver.end();
            assert!(ended.status.success(), "{libraries:?}: {ended:?}");
            assert_eq!(linger, if host.is_empty() { "5" } else { "50" });
            assert_eq!(
                ended
                    .stderr
                    .matches("the other library saw a creation")
                    .count(),
                1,
                "{libraries:?}: {ended:?}"
            );
        }
    }
}

/// A module with an engine comes and goes, and another one comes in its place.
#[test]
fn modules_that_are_closed_again() {
    for (version, linger) in [("debian", "50"), ("2.16.1", "50"), ("1.9.2", "50")] {
        let folder = engine(version);
        let module = compile_with_engine("preload_module.c", &folder, true);
        let host = compile_c("preload_host.c", &[]);
        for advised in [true, false] {
            let service = FaultService::advising(advice());
            let url = service.url();
            let mut command =
                preloaded(&host, &[&product(LIBRARY)], if advised { &url } else { "" });
            command
                .args([module.as_os_str(), "3".as_ref()])
                .env("LD_LIBRARY_PATH", &folder);
            let said = output(&mut command);
            let expected = format!("linger.ms {}\n", if advised { linger } else { "5" });
            assert_eq!(stdout(&said), expected.repeat(3), "{version}");
            assert_eq!(stderr(&said), "", "{version}");
        }
    }
}

/// A call whose return address lies in a module with another engine, and an engine that becomes
/// global later: the configuration tells whose it is.
#[test]
fn each_handle_stays_with_its_engine() {
    let [first, second] = ["2.16.1", "2.12.1"].map(|version| {
        let module = compile_with_engine("preload_module.c", &engine(version), true);
        (module, engine(version))
    });
    let program = compile_c("preload_tail.c", &[]);
    let folders = env::join_paths([&first.1, &second.1]).unwrap();
    // Both are librdkafka.so.1 to whoever looks by that name, so each is linked by its own.
    let global = engine("debian").join("librdkafka.so.1");
    let service = FaultService::advising(advice());
    for (host, linger) in [(service.url(), "50"), (String::new(), "5")] {
        let mut command = preloaded(&program, &[&product(LIBRARY)], &host);
        command
            .args([&first.0, &second.0, &global])
            .env("LD_LIBRARY_PATH", &folders);
        let said = output(&mut command);
        assert_eq!(stdout(&said), format!("linger.ms {linger}\n").repeat(3));
    }
    let requests = service.requests();
    let registered = requests.iter().filter(|request| request.registers());
    let versions: Vec<_> = registered
        .map(|request| request.json()["engine_version"].clone())
        .collect();
    assert_eq!(versions, ["2.12.1", "2.12.1", "2.16.0"]);
}

/// Engines with the fault free what they share with the application: it must not free it again,
/// wherever its memory lies.
#[test]
fn a_late_failure_in_a_program_at_a_fixed_address() {
    for version in ["debian", "2.12.1", "2.16.1"] {
        for arguments in [&["-no-pie"][..], &[]] {
            let folder = engine(version);
            let mut library = OsStr::new("-L").to_owned();
            library.push(&folder);
            let mut all = vec![
                &*library,
                "-l:librdkafka.so.1".as_ref(),
                "-pthread".as_ref(),
            ];
            all.push("-Wl,--allow-shlib-undefined".as_ref());
            all.extend(arguments.iter().map(OsStr::new));
            let program = compile_c("preload_late.c", &all);
            let service = FaultService::advising(advice());
            let mut command = preloaded(&program, &[&product(LIBRARY)], &service.url());
            let said = output(command.env("LD_LIBRARY_PATH", &folder));
            assert_eq!(stdout(&said), "failed\nfailed\n", "{version} {arguments:?}");
            assert_eq!(registrations(&service), 2);
        }
    }
}

/// The drop-in meets its clients itself: with both, a client is one client.
#[test]
fn preload_in_front_of_the_drop_in() {
    let service = FaultService::advising(advice());
    let mut driver = driver_with(
        &Library::DropIn.folder(),
        &[&product(LIBRARY)],
        &service.url(),
    );
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    service.wait_for_report("client-0");
    assert_eq!(registrations(&service), 1);
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
}

#[test]
fn a_thread_that_is_to_be_cancelled_names_the_plugin() {
    let service = FaultService::advising(advice());
    for version in ["debian", "2.16.1"] {
        let folder = engine(version);
        let program = compile_with_engine("preload_cancel.c", &folder, false);
        let mut command = preloaded(&program, &[], &service.url());
        command
            .arg(product(PLUGIN))
            .env("LD_LIBRARY_PATH", &folder)
            .env_remove("LD_PRELOAD");
        assert_eq!(stdout(&output(&mut command)), "set: 0\n", "{version}");
    }
    assert_eq!(registrations(&service), 2);
}

/// The engine would warn of a producer's property on a consumer, had the plugin been seen to set it.
#[test]
fn a_consumer_hears_no_warning_because_of_the_plugin() {
    let service = FaultService::advising(advice());
    for version in ["debian", "2.16.1"] {
        let mut driver = driver_with(&engine(version), &[], &service.url());
        let plugin = product(PLUGIN);
        driver.set(&[
            ("bootstrap.servers", "127.0.0.1:1"),
            ("plugin.library.paths", plugin.to_str().unwrap()),
            ("group.id", "g"),
        ]);
        driver.create("consumer");
        let logs = driver.say("logs");
        // The driver has a callback that the engine does warn of.
        assert!(logs.contains("dr_msg_cb"), "{logs}");
        assert!(!logs.contains("compression"), "{logs}");
        assert!(!logs.contains("batch"), "{logs}");
        driver.expect("destroy 0", "destroyed");
        let ended = driver.end();
        assert!(!ended.stderr.contains("CONFWARN"), "{ended:?}");
    }
}

/// It calls `rd_kafka_new` inside itself: one client, registered once.
#[test]
fn a_share_consumer_is_one_client() {
    let folder = engine("2.16.1");
    let program = compile_with_engine("preload_share.c", &folder, false);
    let service = FaultService::advising(json!({"fetch.min.bytes": 1000}));
    let mut command = preloaded(&program, &[&product(LIBRARY)], &service.url());
    command
        .env("LD_LIBRARY_PATH", &folder)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let told = service.wait_for_report("client-0").json();
    drop(child.stdin.take());
    let said = child.wait_with_output().unwrap();
    assert_eq!(stdout(&said), "created\n");
    assert!(said.status.success(), "{said:?}");
    assert_eq!(registrations(&service), 1);
    let registered = service
        .wait_for("a registration", Request::registers)
        .json();
    assert_eq!(registered["type"], "consumer");
    assert_eq!(registered["engine_version"], "2.16.0");
    assert_eq!(told["changes"][0]["key"], "fetch.min.bytes", "{told}");
}

/// The driver under `superstream status`: the document of the running process, and of no other.
#[test]
fn a_process_tells_its_status() {
    let service = FaultService::advising(advice());
    let superstream = built().join("superstream");
    let status = |pid: &str| {
        let mut command = tool(&superstream);
        command.args(["status", "--json", "--pid", pid]);
        command.output().unwrap()
    };
    let mut driver = driver_with(&engine("debian"), &[&product(LIBRARY)], &service.url());
    let pid = driver.pid();
    assert!(!status(&pid).status.success(), "before the first client");
    driver.set(&[("client.id", "orders")]);
    driver.create("producer");
    service.wait_for_report("client-0");
    let document: Value = loop {
        let seen = status(&pid);
        let document: Value = serde_json::from_slice(&seen.stdout).unwrap_or_default();
        if document.to_string().contains("client-0") {
            break document;
        }
    };
    let text = document.to_string();
    for expected in ["orders", "compression.type", "2.0.2", "librdkafka.so.1"] {
        assert!(text.contains(expected), "{expected}: {document:#}");
    }
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
    assert!(!status(&pid).status.success(), "after the end");
}

fn plugin_driver(folder: &Path, libraries: &[&Path], host: &str) -> Driver {
    let mut driver = driver_with(folder, libraries, host);
    let plugin = product(PLUGIN);
    driver.set(&[("plugin.library.paths", plugin.to_str().unwrap())]);
    driver
}

/// Codec and batch are set; linger cannot be; what the application sets later holds.
#[test]
fn the_plugin_tunes_what_it_knows() {
    for version in ["debian", "1.9.2", "2.16.1"] {
        let service = FaultService::advising(advice());
        let folder = engine(version);
        let mut driver = plugin_driver(&folder, &[], &service.url());
        driver.create("producer");
        assert_eq!(driver.get(0, "compression.codec"), "lz4", "{version}");
        assert_eq!(driver.get(0, "linger.ms"), "5", "{version}");

        let plugin = product(PLUGIN);
        driver.set(&[
            ("plugin.library.paths", plugin.to_str().unwrap()),
            ("compression.type", "gzip"),
        ]);
        driver.create("producer");
        assert_eq!(driver.get(1, "compression.codec"), "gzip", "{version}");

        let told = service.wait_for_report("client-0").json();
        let refused = told["refusals"].as_array().unwrap();
        assert!(refused.iter().any(|refusal| refusal["key"] == "linger.ms"));
        assert_eq!(registrations(&service), 1, "{version}: one for the process");
        driver.expect("destroy 0", "destroyed");
        driver.expect("destroy 1", "destroyed");
        driver.end_quietly();
    }
}

#[test]
fn the_plugin_and_the_preload_act_once() {
    let service = FaultService::advising(advice());
    let folder = engine("debian");
    let mut driver = plugin_driver(&folder, &[&product(LIBRARY)], &service.url());
    driver.create("producer");
    assert_eq!(driver.get(0, "compression.codec"), "lz4");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    service.wait_for_report("client-0");
    assert_eq!(registrations(&service), 1);
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
}

/// Where it finds nothing, where Superstream is off, and where the application is a consumer.
#[test]
fn the_plugin_never_fails() {
    let folder = engine("debian");
    let alone = unique(scratch(), "alone");
    fs::create_dir(&alone).unwrap();
    fs::copy(product(PLUGIN), alone.join(PLUGIN)).unwrap();
    let alone = alone.join(PLUGIN);
    let service = FaultService::advising(advice());
    for (plugin, host, group) in [
        (&*alone, service.url(), ""),
        (&*product(PLUGIN), String::new(), ""),
        (&*product(PLUGIN), "http://127.0.0.1:1".to_owned(), ""),
        (&*product(PLUGIN), service.url(), "g"),
    ] {
        let mut driver = driver_with(&folder, &[], &host);
        if !group.is_empty() {
            driver.set(&[("group.id", group)]);
        }
        driver.set(&[("plugin.library.paths", plugin.to_str().unwrap())]);
        driver.create(if group.is_empty() {
            "producer"
        } else {
            "consumer"
        });
        assert_eq!(driver.get(0, "compression.codec"), "none");
        driver.expect("destroy 0", "destroyed");
        driver.end_quietly();
    }
    assert_eq!(service.connections(), 0);
}

/// A service that never answers costs a process one timeout, and not each of its configurations
/// one.
#[test]
fn the_plugin_waits_once() {
    let service = FaultService::start(|_, _| fault_service::silence());
    let folder = engine("debian");
    let mut command = with_library_in(&folder, driver::program());
    command
        .env("SUPERSTREAM_HOST", service.url())
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", "700");
    let mut driver = Driver::spawn(&mut command);
    let plugin = product(PLUGIN);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let begin = Instant::now();
        driver.set(&[("plugin.library.paths", plugin.to_str().unwrap())]);
        waits.push(begin.elapsed());
        driver.create("producer");
    }
    let long = waits.iter().filter(|wait| wait.as_millis() >= 700).count();
    assert_eq!(long, 1, "{waits:?}");
    for client in 0..4 {
        driver.expect(&format!("destroy {client}"), "destroyed");
    }
    driver.end_quietly();
}
