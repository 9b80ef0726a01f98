//! The chores of the project that are more than a line of shell.

mod dist;
mod matrix;
mod relocate;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: xtask dist [--profile NAME] [--prefix DIR] [--library FILE]
           fill DIR (dist) from what cargo built
       xtask matrix [--check]
           write or check MATRIX.md";

/// Any failure, as text for the person who called.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match chore(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn chore(mut arguments: Vec<String>) -> Result<(), Failure> {
    let profile = option(&mut arguments, "--profile")?;
    let prefix = option(&mut arguments, "--prefix")?;
    let library = option(&mut arguments, "--library")?;
    let built = built(profile.as_deref())?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["dist"] => {
            let prefix = prefix.map_or_else(|| root().join("dist"), PathBuf::from);
            let library = library.map_or_else(|| built.join("libsuperstream.so"), PathBuf::from);
            dist::fill(&built, &library, &prefix)
        }
        ["matrix"] => matrix::write(&built),
        ["matrix", "--check"] => matrix::check(&built),
        _ => Err(USAGE.into()),
    }
}

/// Takes `name VALUE` out of the arguments.
fn option(arguments: &mut Vec<String>, name: &str) -> Result<Option<String>, Failure> {
    let Some(at) = arguments.iter().position(|argument| argument == name) else {
        return Ok(None);
    };
    if at + 1 == arguments.len() {
        return Err(format!("{name} needs a value\n{USAGE}").into());
    }
    arguments.remove(at);
    Ok(Some(arguments.remove(at)))
}

/// Where cargo put the products: beside this program, or in the folder of another profile.
fn built(profile: Option<&str>) -> Result<PathBuf, Failure> {
    let program = env::current_exe()?.canonicalize()?;
    let own = program.parent().ok_or("this program lies in no folder")?;
    match profile {
        None => Ok(own.to_owned()),
        Some(name) => Ok(own.parent().ok_or("no target folder")?.join(name)),
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// Runs a tool that has to succeed; its stdout.
fn run(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run {command:?} (see `make setup`): {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{command:?} failed with {}\n{said}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
