//! The library that is preloaded: what it is made of, and how it behaves in processes of all kinds.
//! (plugin.rs has the plugin.) What a client of theirs lives through is in life.rs, failures.rs and
//! others, which run with other engines too (`make test-engines`).

use std::ffi::OsStr;
use std::path::Path;
use std::{env, fs};

use serde_json::{Value, json};
use superstream_tests::fault_service::{FaultService, Request};
use superstream_tests::preloading::{
    HOOKS, LIBRARY, PLUGIN, advice, compile_c, compile_with_engine, driver_with,
    makes_one_tuned_client, output, preloaded, product, registrations, stderr, stdout,
};
use superstream_tests::{Library, built, engine, run, scratch, tool, unique};

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
    // Both are librdkafka.so.1 to whoever looks by that name, so each is linked by its own.
    for (names, versions) in [
        (["2.16.1", "2.12.1"], ["2.12.1", "2.12.1", "2.16.0"]),
        (["1.9.2", "2.3.0"], ["2.3.0", "2.3.0", "1.9.2"]),
        (["2.13.0", "1.5.0"], ["1.5.0", "1.5.0", "2.13.0"]),
    ] {
        let [first, second] = names.map(|version| {
            let module = compile_with_engine("preload_module.c", &engine(version), true);
            (module, engine(version))
        });
        let program = compile_c("preload_tail.c", &[]);
        let folders = env::join_paths([&first.1, &second.1]).unwrap();
        let global = engine("debian").join("librdkafka.so.1");
        let service = FaultService::advising(advice());
        for (host, linger) in [(service.url(), "50"), (String::new(), "5")] {
            let mut command = preloaded(&program, &[&product(LIBRARY)], &host);
            command
                .args([&first.0, &second.0, &global])
                .env("LD_LIBRARY_PATH", &folders);
            let said = output(&mut command);
            let expected = format!("linger.ms {linger}\n").repeat(3);
            assert_eq!(stdout(&said), expected, "{names:?}");
        }
        let requests = service.requests();
        let registered = requests.iter().filter(|request| request.registers());
        let told: Vec<_> = registered
            .map(|request| request.json()["engine_version"].clone())
            .collect();
        assert_eq!(told, versions);
    }
}

/// The engine and the allocator need not be libc's friends: nothing is asked of memory that nobody
/// knows.
#[test]
fn an_allocator_that_tells_no_sizes() {
    let allocator = compile_c("preload_allocator.c", &["-shared".as_ref()]);
    let folder = engine("debian");
    for failing in [true, false] {
        let service = FaultService::advising(advice());
        let libraries = [&*allocator, &*product(LIBRARY)];
        let mut driver = driver_with(&folder, &libraries, &service.url());
        if failing {
            driver.set(&[
                ("security.protocol", "sasl_plaintext"),
                ("sasl.mechanism", "NOPE"),
            ]);
            let answer = driver.say("new producer");
            assert!(answer.starts_with("failed"), "{answer}");
            driver.expect("conf-destroy", "destroyed");
        }
        driver.create("producer");
        assert_eq!(driver.get(0, "linger.ms"), "5", "it is left alone");
        driver.expect("destroy 0", "destroyed");
        driver.end_quietly();
        assert_eq!(registrations(&service), 0);
    }
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

/// A child may find any lock of the loader taken for ever, but those that libc renews.
#[test]
fn a_child_forked_while_the_loader_is_busy() {
    let folder = engine("debian");
    let program = compile_with_engine("preload_fork.c", &folder, false);
    let service = FaultService::advising(advice());
    for host in ["", &service.url()] {
        let mut command = preloaded(&program, &[&product(LIBRARY)], host);
        let said = output(command.env("LD_LIBRARY_PATH", &folder));
        assert_eq!(stdout(&said), "made\n", "{host}");
    }
}

/// The drop-in meets its clients itself: with both, a client is one client.
#[test]
fn preload_in_front_of_the_drop_in() {
    let service = FaultService::advising(advice());
    let driver = driver_with(
        &Library::DropIn.folder(),
        &[&product(LIBRARY)],
        &service.url(),
    );
    makes_one_tuned_client(driver, &service);
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
    let expected = [
        "client-0",
        "orders",
        "compression.type",
        "2.0.2",
        "librdkafka.so.1",
    ];
    service.wait_until("its document", || {
        let shown = status(&pid);
        let document: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
        let text = document.to_string();
        expected.iter().all(|part| text.contains(part))
    });
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
    assert!(!status(&pid).status.success(), "after the end");
}
