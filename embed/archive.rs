//! The copy of the engine's archive that goes into the product.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Before the name of each engine function that we define ourselves.
pub const RENAMED: &str = "superstream_engine_";

/// References of one member that are bound to a function of `mend.c` instead.
const REDIRECTED: &[(&str, &str, &str)] = &[
    (
        "rdkafka.o",
        "rd_kafka_interceptors_destroy",
        "superstream_engine_failed_creation",
    ),
    (
        "rdkafka_ssl.o",
        "SSL_CTX_set_default_verify_paths",
        "superstream_engine_system_trust",
    ),
    (
        "rdhttp.o",
        "SSL_CTX_set_default_verify_paths",
        "superstream_engine_system_trust",
    ),
];

/// Copies the archive `from` to `to`, renames the `intercepted` functions and redirects the
/// references above.
pub fn embed(from: &Path, to: &Path, intercepted: &[&str]) -> Result<(), Box<dyn Error>> {
    let folder = to.parent().ok_or("the archive needs a folder")?;
    fs::copy(from, to)?;
    for (member, function, ours) in REDIRECTED {
        run(Command::new("ar")
            .arg("x")
            .arg(to)
            .arg(member)
            .current_dir(folder))?;
        let object = folder.join(member);
        require_reference(&object, function)?;
        run(Command::new("objcopy")
            .arg(format!("--redefine-sym={function}={ours}"))
            .arg(&object))?;
        run(Command::new("ar").arg("r").arg(to).arg(&object))?;
        fs::remove_file(&object)?;
    }
    let mut objcopy = Command::new("objcopy");
    for function in intercepted {
        objcopy.arg(format!("--redefine-sym={function}={RENAMED}{function}"));
    }
    run(objcopy.arg(to))
}

/// A redirection that matches nothing would silently lose what it mends.
fn require_reference(object: &Path, function: &str) -> Result<(), Box<dyn Error>> {
    let symbols = Command::new("nm")
        .arg("--undefined-only")
        .arg(object)
        .output()?;
    let found = String::from_utf8_lossy(&symbols.stdout)
        .lines()
        .any(|line| line.trim_start().strip_prefix("U ") == Some(function));
    if found {
        return Ok(());
    }
    Err(format!("{} no longer refers to {function}", object.display()).into())
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command
        .status()
        .map_err(|error| format!("cannot run {command:?} (install binutils): {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{command:?} failed with {status}").into())
}
