//! From a command as typed to the executable that will carry it: along `PATH`, scripts' first
//! lines, and launchers such as `env` and `timeout`.

mod launcher;
mod path;
mod script;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::inspect::elf::Ident;
pub use path::NotFound;

/// More steps than any command has, fewer than a loop.
const MAX_STEPS: usize = 16;
/// What the kernel reads to tell what a file is.
const HEAD: u64 = 256;

/// A command, understood.
#[derive(Debug)]
pub struct Program {
    /// The file that the kernel is given.
    pub file: PathBuf,
    /// ELF programs that run before the last one, and hand their environment on.
    pub launchers: Vec<PathBuf>,
    /// The executable at the end: a program or an interpreter.
    pub executable: PathBuf,
    /// That executable's arguments, its own name first.
    pub arguments: Vec<OsString>,
    /// What launchers set on the way.
    pub environment: Vec<(OsString, OsString)>,
    /// A launcher that keeps Superstream's environment from the program, and how.
    pub drops_environment: Option<String>,
    /// The executable at the end is no ELF file.
    pub is_foreign: bool,
}

/// Programs that start others in an environment of their own.
const OWN_ENVIRONMENT: [&str; 4] = ["sudo", "doas", "systemd-run", "machinectl"];

impl Program {
    fn note_other_environment(&mut self) {
        let name = self.executable.file_name().and_then(OsStr::to_str);
        if let Some(name) = name.filter(|name| OWN_ENVIRONMENT.contains(name))
            && self.drops_environment.is_none()
        {
            self.drops_environment = Some(name.to_owned());
        }
    }

    /// A variable as the executable at the end will have it.
    pub fn variable(&self, name: &str) -> Option<OsString> {
        let mut set = self.environment.iter().rev();
        match set.find(|(key, _)| key == name) {
            Some((_, value)) => Some(value.clone()),
            None => std::env::var_os(name),
        }
    }
}

/// Why a command has no executable.
#[derive(Debug)]
pub enum CommandError {
    /// The command itself, or what a script or launcher names, is not there or may not be
    /// executed.
    NotFound(NotFound),
    /// A file could not be read, though it may be executed: nothing can be said about it.
    Unreadable(PathBuf, io::Error),
    /// Scripts that name each other.
    Loop(PathBuf),
}

/// Follows a command.
pub fn resolve(command: &[OsString]) -> Result<Program, CommandError> {
    let typed = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let file =
        path::find(typed, std::env::var_os("PATH").as_deref()).map_err(CommandError::NotFound)?;
    follow(file, command)
}

/// Follows a file that is there, executable or not, without arguments.
pub fn resolve_file(file: &Path) -> Result<Program, CommandError> {
    let head = head(file).map_err(|error| CommandError::Unreadable(file.to_owned(), error))?;
    let is_elf = Ident::of(&head).is_some();
    if !is_elf && let Some(command) = script::usual_interpreter(&head, file) {
        let program = resolve(&command)?;
        return Ok(Program {
            file: file.to_owned(),
            ..program
        });
    }
    let mut program = follow(file.to_owned(), &[file.as_os_str().to_owned()])?;
    if !is_elf && !head.starts_with(b"#!") && !path::may_execute(file) {
        // Only what may be executed is given to the shell for want of anything better.
        program.executable = file.to_owned();
        program.is_foreign = true;
    }
    Ok(program)
}

fn follow(file: PathBuf, command: &[OsString]) -> Result<Program, CommandError> {
    let mut program = Program {
        file: file.clone(),
        launchers: Vec::new(),
        executable: file,
        arguments: command.to_vec(),
        environment: Vec::new(),
        drops_environment: None,
        is_foreign: false,
    };
    for _ in 0..MAX_STEPS {
        let head = head(&program.executable)
            .map_err(|error| CommandError::Unreadable(program.executable.clone(), error))?;
        let next = if Ident::of(&head).is_some() {
            match launcher::peel(&program.executable, &program.arguments) {
                None => {
                    program.note_other_environment();
                    return Ok(program);
                }
                Some(peeled) => {
                    program.launchers.push(program.executable.clone());
                    program.environment.extend(peeled.environment);
                    if program.drops_environment.is_none() {
                        program.drops_environment = peeled.drops_environment;
                    }
                    peeled.command
                }
            }
        } else {
            match script::interpreter(&head, &program.executable, &program.arguments) {
                Some(command) => command,
                None => {
                    program.is_foreign = true;
                    return Ok(program);
                }
            }
        };
        let path = program.variable("PATH");
        let typed = next.first().map_or(OsStr::new(""), OsString::as_os_str);
        program.executable = path::find(typed, path.as_deref())
            .map_err(|error| CommandError::NotFound(error.named_by(&program.executable)))?;
        program.arguments = next;
    }
    Err(CommandError::Loop(program.file))
}

fn head(file: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    if file.metadata()?.is_file() {
        File::open(file)?.take(HEAD).read_to_end(&mut head)?;
    }
    Ok(head)
}
