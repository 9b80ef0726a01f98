//! Programs with something preloaded, or with the plugin.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::driver::{self, Driver};
use crate::fault_service::FaultService;
use crate::{assert_success, include, preload, root, run, scratch, tool, unique};

pub const LIBRARY: &str = "libsuperstream.so";
pub const PLUGIN: &str = "libsuperstream-plugin.so";
pub const HOOKS: &str = "libsuperstream-hooks.so";

pub fn product(name: &str) -> PathBuf {
    preload().with_file_name(name)
}

pub fn advice() -> Value {
    json!({"linger.ms": 50, "compression.type": "lz4", "batch.size": 1_000_000})
}

/// A C program or, with `-shared` among the arguments, a library.
pub fn compile_c(source: &str, arguments: &[&OsStr]) -> PathBuf {
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

pub fn compile_with_engine(source: &str, engine: &Path, shared: bool) -> PathBuf {
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
pub fn preloaded(program: impl AsRef<OsStr>, libraries: &[&Path], host: &str) -> Command {
    let mut command = tool(program);
    command
        .env("LD_PRELOAD", env::join_paths(libraries).unwrap())
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    if !host.is_empty() {
        command.env("SUPERSTREAM_HOST", host);
    }
    command
}

pub fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_success(command, &output);
    output
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The driver with an engine, and something preloaded.
pub fn driver_with(engine: &Path, libraries: &[&Path], host: &str) -> Driver {
    let mut command = preloaded(driver::program(), libraries, host);
    command.env("LD_LIBRARY_PATH", engine);
    Driver::spawn(&mut command)
}

/// However many ways in there are: the one client is tuned, and registered once.
pub fn makes_one_tuned_client(mut driver: Driver, service: &FaultService) {
    driver.create("producer");
    assert_eq!(driver.get(0, "compression.codec"), "lz4");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    service.wait_for_report("client-0");
    assert_eq!(registrations(service), 1);
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
}

pub fn registrations(service: &FaultService) -> usize {
    let requests = service.requests();
    requests
        .iter()
        .filter(|request| request.registers())
        .count()
}
