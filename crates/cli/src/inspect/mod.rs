//! What can be known of a program from its files. Nothing of it is run.

pub mod elf;
pub mod engine;
pub mod go;
pub mod needed;
pub mod parts;
pub mod privilege;
pub mod process;
pub mod runtime;
mod tree;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::command::{self, CommandError, Program};
use crate::obstacle::{self, Obstacle};
use parts::{Bound, Part, Role, Search, Use};
use privilege::Caller;
use runtime::{Binding, Holds, Runtime, Start};
use tree::Tree;

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Command,
    File,
    Process(u32),
}

/// Everything that was found out.
#[derive(Clone, Debug)]
pub struct Findings {
    pub kind: Kind,
    /// The command or file as given; for a process, its executable.
    pub name: String,
    /// The executable at the end of scripts and launchers.
    pub executable: PathBuf,
    pub obstacles: Vec<(PathBuf, Obstacle)>,
    pub runtime: Option<Runtime>,
    /// The uses of librdkafka.
    pub found: Vec<Found>,
    /// The file is a librdkafka, or Superstream, itself.
    pub itself: Option<Part>,
    /// It is a module or another library, not a program.
    pub is_library: bool,
    /// A process that has Superstream's preload library already.
    pub has_superstream: bool,
    /// A process that has the second library, with the hooks, too.
    pub has_hooks: bool,
    /// It is a Go program.
    pub go: Option<go::Build>,
    /// What else is to be told.
    pub notes: Vec<String>,
}

/// One use of librdkafka, with the binding of the language in between.
#[derive(Clone, Debug)]
pub struct Found {
    pub used: Use,
    pub binding: Option<Binding>,
}

impl Findings {
    fn new(kind: Kind, name: String, executable: PathBuf) -> Self {
        Self {
            kind,
            name,
            executable,
            obstacles: Vec::new(),
            runtime: None,
            found: Vec::new(),
            itself: None,
            is_library: false,
            has_superstream: false,
            has_hooks: false,
            go: None,
            notes: Vec::new(),
        }
    }
}

/// Looks at a command as it would be run.
pub fn command(command: &[OsString]) -> Result<Findings, CommandError> {
    let program = command::resolve(command)?;
    let name = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    Ok(of_program(Kind::Command, &name.to_string_lossy(), &program))
}

/// Looks at a file: an executable, a script, a module or a library.
pub fn file(file: &Path) -> Result<Findings, CommandError> {
    let program = command::resolve_file(file)?;
    Ok(of_program(Kind::File, &file.to_string_lossy(), &program))
}

/// Looks at a program that was followed to its executable.
pub fn of_program(kind: Kind, name: &str, program: &Program) -> Findings {
    let caller = Caller::own();
    let mut findings = Findings::new(kind, name.to_owned(), program.executable.clone());
    findings
        .obstacles
        .extend(obstacle::of_launchers(&program.launchers, caller));
    if let Some(how) = &program.drops_environment {
        let obstacle = Obstacle::DropsEnvironment(how.clone());
        findings
            .obstacles
            .push((program.executable.clone(), obstacle));
    }
    match obstacle::of_executable(&program.executable, caller) {
        Ok(obstacles) => {
            let executable = &program.executable;
            let named = obstacles
                .into_iter()
                .map(|obstacle| (executable.clone(), obstacle));
            findings.obstacles.extend(named);
        }
        Err(error) => {
            let file = program.executable.display();
            findings.notes.push(format!(
                "{file} cannot be read ({error}): little can be said."
            ));
            return findings;
        }
    }
    if let Some((privilege, false)) = privilege::of(&program.executable, caller) {
        findings.notes.push(format!(
            "{} {}: for you that makes no difference, for other users it keeps Superstream out.",
            program.executable.display(),
            privilege.describe().trim_start_matches("it ")
        ));
    }
    findings.runtime = Runtime::of(&program.executable);
    if findings.runtime == Some(Runtime::Shell)
        && let Some(shim) = program.arguments.get(1..).and_then(shim)
    {
        findings.notes.push(format!(
            "{} is a version manager's shim: give what `pyenv which` or the like tells.",
            shim.display()
        ));
    }
    let library_path = program.variable("LD_LIBRARY_PATH");
    findings.add_executable(library_path.as_deref());
    if let Some(runtime) = findings.runtime {
        let start = Start {
            executable: &program.executable,
            arguments: &program.arguments,
            variable: &|name| program.variable(name),
        };
        for binding in runtime.bindings(&start) {
            findings.add_binding(binding, library_path.as_deref());
        }
    }
    findings
}

/// A shell script that looks for the interpreter to use.
fn shim(arguments: &[OsString]) -> Option<&Path> {
    let mut words = arguments.iter().map(Path::new);
    words.find(|word| {
        word.parent()
            .is_some_and(|folder| folder.ends_with("shims"))
    })
}

impl Findings {
    /// The executable and the libraries that the loader would give it.
    fn add_executable(&mut self, library_path: Option<&OsStr>) {
        let search = match self.runtime {
            Some(_) => Search::Symbols,
            None => Search::Content,
        };
        let Some(tree) = Tree::of(&self.executable, search, library_path) else {
            return;
        };
        self.notes.extend(tree.complaint);
        self.go = tree.go;
        self.is_library = tree.is_library;
        if tree.is_php_module {
            self.runtime = Some(Runtime::Php);
        }
        let parts = tree.parts;
        if let Some(own) = parts.first()
            && matches!(own.role, Role::Engine | Role::DropIn | Role::Superstream)
        {
            self.itself = Some(own.clone());
            return;
        }
        for mut used in parts::uses(&parts) {
            if used.bound == Bound::Fetched && used.engine.is_none() {
                used.engine = tree::installed(&self.executable, library_path);
            }
            self.found.push(Found {
                used,
                binding: None,
            });
        }
        for engine in parts::engines_without_caller(&parts, &parts::uses(&parts)) {
            self.notes.push(format!(
                "{} is loaded with it, but nothing in it is linked to rd_kafka_new.",
                engine.file.display()
            ));
        }
    }

    fn add_binding(&mut self, binding: Binding, library_path: Option<&OsStr>) {
        match &binding.holds {
            Holds::Nothing(folder) => self.notes.push(format!(
                "{} is installed in {}, but its module is not there: was it built?",
                binding.title(),
                folder.display()
            )),
            Holds::Library(file) => {
                let engine = Part::of_file(file, file, Search::Symbols);
                let own = Part::of_file(&self.executable, &self.executable, Search::Symbols);
                if let (Some(_), Some(by)) = (&engine, own) {
                    self.found.push(Found {
                        used: Use {
                            engine,
                            bound: Bound::Fetched,
                            by,
                        },
                        binding: Some(binding),
                    });
                }
            }
            Holds::Module(file) => {
                let Some(tree) = Tree::of(file, Search::Content, library_path) else {
                    return;
                };
                self.notes.extend(tree.complaint);
                for used in parts::uses(&tree.parts) {
                    self.found.push(Found {
                        used,
                        binding: Some(binding.clone()),
                    });
                }
            }
        }
    }
}
