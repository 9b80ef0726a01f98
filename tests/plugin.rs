//! The plugin: what it does where nothing can be preloaded, and that it never harms.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use superstream_tests::{driver, fault_service};

use superstream_tests::driver::Driver;
use superstream_tests::fault_service::FaultService;
use superstream_tests::preloading::{
    LIBRARY, PLUGIN, advice, compile_with_engine, driver_with, makes_one_tuned_client, output,
    preloaded, product, registrations, stdout,
};
use superstream_tests::{engine, scratch, unique, with_library_in};

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
    let driver = plugin_driver(&folder, &[&product(LIBRARY)], &service.url());
    makes_one_tuned_client(driver, &service);
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
    // Whoever waits takes all of this.
    const TIMEOUT: Duration = Duration::from_secs(5);
    let service = FaultService::start(|_, _| fault_service::silence());
    let folder = engine("debian");
    let mut command = with_library_in(&folder, driver::program());
    command.env("SUPERSTREAM_HOST", service.url()).env(
        "SUPERSTREAM_RESPONSE_TIMEOUT",
        TIMEOUT.as_millis().to_string(),
    );
    let mut driver = Driver::spawn(&mut command);
    let plugin = product(PLUGIN);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let begin = Instant::now();
        driver.set(&[("plugin.library.paths", plugin.to_str().unwrap())]);
        waits.push(begin.elapsed());
        driver.create("producer");
    }
    let long = waits.iter().filter(|wait| **wait >= TIMEOUT).count();
    assert_eq!(long, 1, "{waits:?}");
    for client in 0..4 {
        driver.expect(&format!("destroy {client}"), "destroyed");
    }
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
