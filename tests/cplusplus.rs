//! The distribution's C++ wrapper, made for the distribution's librdkafka, on the drop-in.

use std::fs;
use superstream_tests::{
    Cluster, Library, assert_success, root, scratch, system_library, tool, unique, with_library_in,
};

#[test]
fn the_wrapper_reaches_the_drop_in() {
    let program = unique(scratch(), "producer-cpp");
    superstream_tests::run(
        tool("c++")
            .args(["-std=c++11", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&program)
            .arg(root().join("examples/cpp/producer.cpp"))
            .args(["-lrdkafka++", "-lrdkafka"]),
    );
    let wrapper = system_library("librdkafka++.so.1");
    assert!(
        wrapper.is_absolute(),
        "no librdkafka++.so.1: run `make setup`"
    );

    let cluster = Cluster::start(&["orders:4"]);
    let mut command = with_library_in(&Library::DropIn.folder(), &program);
    command
        .args([&cluster.brokers, "orders", "5000"])
        .env("LD_DEBUG", "bindings");
    let output = command.output().unwrap();
    assert_success(&command, &output);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "librdkafka 2.12.1\ndelivered 5000 of 5000\n");

    // binding file /…/librdkafka++.so.1 [0] to /…/librdkafka.so.1 [0]: normal symbol `rd_kafka_new'
    let ours = Library::DropIn.folder().join("librdkafka.so.1");
    let to_ours = format!("to {} [0]", ours.display());
    let said = String::from_utf8_lossy(&output.stderr);
    let bound = |name: &str| {
        said.lines().any(|line| {
            line.contains("librdkafka++.so.1 [0] to")
                && line.contains(&to_ours)
                && line.contains(&format!("`{name}'"))
        })
    };
    for name in ["rd_kafka_new", "rd_kafka_producev", "rd_kafka_flush"] {
        assert!(
            bound(name),
            "{name} of the wrapper is not bound to the drop-in"
        );
    }
    cluster.stop();
    fs::remove_file(program).unwrap();
}
