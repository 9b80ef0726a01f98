//! `superstream run`: checks a command, sets its environment, and becomes it.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, ErrorKind, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::arguments::{Hooks, Run};
use crate::command::{self, CommandError, Program};
use crate::doctor;
use crate::inspect::runtime::Runtime;
use crate::inspect::{self, Findings, Kind};
use crate::installation::Installation;
use crate::preload;
use crate::settings;
use crate::text;
use crate::verdict::{self, Way};

/// Exit codes as `env` has them: what is below 125 is the command's own.
pub const REFUSED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Why the command does not run.
struct Refusal {
    code: u8,
    reason: String,
}

impl Refusal {
    fn of(reason: impl Into<String>) -> Self {
        Self {
            code: REFUSED,
            reason: reason.into(),
        }
    }
}

/// Does what the arguments say. Returns only where the command does not run.
pub fn run(options: &Run) -> u8 {
    match prepare(options).and_then(|()| Err(become_command(&options.command))) {
        Ok(()) => 0,
        Err(refusal) => {
            text::complain(&refusal.reason);
            refusal.code
        }
    }
}

/// Everything before the command: checks, and the environment.
fn prepare(options: &Run) -> Result<(), Refusal> {
    if let Some(host) = &options.host {
        settings::check_host(host).map_err(Refusal::of)?;
    }
    if let Some(tags) = &options.tags {
        settings::check_tags(tags).map_err(Refusal::of)?;
    }
    let token_file = match &options.token_file {
        Some(file) => Some(settings::check_token_file(file).map_err(Refusal::of)?),
        None => None,
    };
    let preloads = match command::resolve(&options.command) {
        Ok(program) => preloads(&program, options)?,
        Err(CommandError::NotFound(not_found)) => {
            return Err(Refusal {
                code: match not_found.is_forbidden {
                    true => NOT_EXECUTABLE,
                    false => NOT_FOUND,
                },
                reason: not_found.to_string(),
            });
        }
        // It may be executed though not read: then the loader has to tell.
        Err(CommandError::Unreadable(..)) => chosen(
            &Installation::find().map_err(Refusal::of)?,
            options.hooks == Hooks::Always,
        )?,
        Err(error @ CommandError::Loop(_)) => return Err(Refusal::of(doctor::in_words(&error))),
    };
    let set = |name: &str, value: &OsStr| {
        // SAFETY: this process has one thread.
        unsafe { std::env::set_var(name, value) }
    };
    if !preloads.is_empty() {
        let present = std::env::var_os("LD_PRELOAD").unwrap_or_default();
        let libraries: Vec<&Path> = preloads.iter().map(PathBuf::as_path).collect();
        set("LD_PRELOAD", &preload::in_front(&libraries, &present));
    }
    if let Some(host) = &options.host {
        set("SUPERSTREAM_HOST", host);
    }
    if let Some(file) = token_file {
        set("SUPERSTREAM_TOKEN_FILE", file.as_os_str());
        // The file that was asked for is the one that counts.
        // SAFETY: this process has one thread.
        unsafe { std::env::remove_var("SUPERSTREAM_TOKEN") };
    }
    if let Some(tags) = &options.tags {
        set("SUPERSTREAM_TAGS", OsStr::new(tags));
    }
    if options.debug {
        set("SUPERSTREAM_DEBUG", OsStr::new("true"));
    }
    warn_without_host(options);
    Ok(())
}

/// The libraries to preload for a program; none where it has the drop-in.
fn preloads(program: &Program, options: &Run) -> Result<Vec<PathBuf>, Refusal> {
    let typed = options
        .command
        .first()
        .map_or(OsStr::new(""), OsString::as_os_str);
    let findings = inspect::of_program(Kind::Command, &typed.to_string_lossy(), program);
    let verdict = verdict::of(&findings);
    if verdict.way == Way::None {
        return Err(refusal(&findings, &verdict.reasons, &verdict.next, program));
    }
    if verdict.way == Way::DropIn {
        return Ok(Vec::new());
    }
    let installation = Installation::find().map_err(Refusal::of)?;
    let hooks = match options.hooks {
        Hooks::Always => true,
        Hooks::Never => false,
        Hooks::Auto => {
            let present = std::env::var_os("LD_PRELOAD").unwrap_or_default();
            verdict.way == Way::PreloadWithHooks
                || findings.runtime.and_then(Runtime::need_of_hooks).is_some()
                || preload::has_hooks(&present)
        }
    };
    chosen(&installation, hooks)
}

fn chosen(installation: &Installation, hooks: bool) -> Result<Vec<PathBuf>, Refusal> {
    let mut libraries = vec![installation.library.clone()];
    if hooks {
        if !installation.hooks.is_file() {
            return Err(Refusal::of(format!(
                "{} is missing, and this command needs it; install the whole tree",
                installation.hooks.display()
            )));
        }
        libraries.push(installation.hooks.clone());
    }
    match libraries
        .iter()
        .find_map(|library| preload::unusable(library))
    {
        Some(reason) => Err(Refusal::of(reason)),
        None => Ok(libraries),
    }
}

fn refusal(findings: &Findings, reasons: &[String], next: &[String], program: &Program) -> Refusal {
    let subject = match findings.name == program.executable.to_string_lossy() {
        true => findings.name.clone(),
        false => format!("{} ({})", findings.name, program.executable.display()),
    };
    let sentences = reasons
        .iter()
        .chain(next)
        .cloned()
        .collect::<Vec<_>>()
        .join(" ");
    Refusal {
        code: match program.is_foreign {
            true => NOT_EXECUTABLE,
            false => REFUSED,
        },
        reason: format!("{subject}: {sentences}"),
    }
}

/// Somebody at a terminal who forgot the host would wonder; a log would only fill.
fn warn_without_host(options: &Run) {
    let has_host = std::env::var_os("SUPERSTREAM_HOST").is_some_and(|host| !host.is_empty());
    if !has_host && (options.debug || io::stderr().is_terminal()) {
        text::complain(
            "no --host and no SUPERSTREAM_HOST: the command runs on its plain librdkafka",
        );
    }
}

/// Replaces this process by the command. Nothing of it was changed but the environment: signals,
/// descriptors and terminal are as they were given to us.
fn become_command(command: &[OsString]) -> Refusal {
    let words: Result<Vec<CString>, _> = command
        .iter()
        .map(|word| CString::new(word.as_bytes()))
        .collect();
    // An argument comes from the kernel, and has no NUL in it.
    let Ok(words) = words else {
        return Refusal::of("an argument has a NUL in it");
    };
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    let Some(file) = pointers.first().copied() else {
        return Refusal::of("there is no command");
    };
    pointers.push(std::ptr::null());
    // SAFETY: C strings, and a list of them that ends with NULL; all outlive the call.
    unsafe { libc::execvp(file, pointers.as_ptr()) };
    let error = io::Error::last_os_error();
    let name = command
        .first()
        .map(|name| name.to_string_lossy().into_owned());
    Refusal {
        code: match error.kind() {
            ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_EXECUTABLE,
        },
        reason: format!("cannot execute {}: {error}", name.unwrap_or_default()),
    }
}
