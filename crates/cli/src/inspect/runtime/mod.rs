//! Language runtimes: which one an executable is, how its librdkafka bindings get at the engine,
//! and where they lie.

mod dotnet;
mod node;
mod php;
mod python;
mod ruby;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What runs the application's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Python,
    Node,
    Php,
    Ruby,
    Java,
    DotNet,
    LuaJit,
    Perl,
    Shell,
}

impl Runtime {
    /// The runtime that an executable is, by its name.
    pub fn of(executable: &Path) -> Option<Self> {
        let target = executable.canonicalize().ok();
        [Some(executable), target.as_deref()]
            .into_iter()
            .flatten()
            .find_map(Self::by_name)
            .or_else(|| dotnet::is_host(executable).then_some(Self::DotNet))
    }

    fn by_name(executable: &Path) -> Option<Self> {
        let name = executable.file_name()?.to_str()?;
        // python3.11, php8.2, ruby3.1, php-fpm8.2, luajit-2.1.0-beta3
        let stem = name.split(|letter: char| letter.is_ascii_digit()).next()?;
        Some(match stem.trim_end_matches(['-', '.']) {
            "python" | "pypy" => Self::Python,
            "node" | "nodejs" => Self::Node,
            "php" | "php-fpm" | "php-cgi" | "frankenphp" => Self::Php,
            "ruby" | "truffleruby" => Self::Ruby,
            "java" => Self::Java,
            "dotnet" => Self::DotNet,
            "luajit" => Self::LuaJit,
            "perl" => Self::Perl,
            "sh" | "bash" | "dash" | "zsh" | "ksh" | "busybox" | "fish" => Self::Shell,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Node => "Node.js",
            Self::Php => "PHP",
            Self::Ruby => "Ruby",
            Self::Java => "Java",
            Self::DotNet => ".NET",
            Self::LuaJit => "LuaJIT",
            Self::Perl => "Perl",
            Self::Shell => "a shell",
        }
    }

    /// Why a preload alone does not come between this runtime's bindings and librdkafka, if so.
    pub fn need_of_hooks(self) -> Option<&'static str> {
        Some(match self {
            Self::Php => {
                "PHP opens its modules with RTLD_DEEPBIND, which binds them past a preload"
            }
            Self::Ruby => "Ruby's binding fetches librdkafka's functions with dlsym (ffi)",
            Self::Java => "Java's bindings fetch librdkafka's functions with dlsym (JNA)",
            Self::DotNet => "Confluent.Kafka fetches librdkafka's functions with dlsym (P/Invoke)",
            Self::LuaJit => "LuaJIT fetches librdkafka's functions with dlsym (ffi)",
            Self::Python | Self::Node | Self::Perl | Self::Shell => return None,
        })
    }

    /// The bindings to librdkafka that the application would find.
    pub fn bindings(self, start: &Start<'_>) -> Vec<Binding> {
        match self {
            Self::Python => python::bindings(start),
            Self::Node => node::bindings(start),
            Self::Php => php::bindings(start),
            Self::Ruby => ruby::bindings(start),
            Self::DotNet => dotnet::bindings(start),
            Self::Java | Self::LuaJit | Self::Perl | Self::Shell => Vec::new(),
        }
    }
}

/// How the runtime would be started.
pub struct Start<'a> {
    /// As it was found, links not followed: a virtual environment is a link.
    pub executable: &'a Path,
    /// Its own name first.
    pub arguments: &'a [OsString],
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Start<'_> {
    /// The first argument that is no option: most often the script. `with_value` are the options
    /// whose value is a word of its own; behind one of `ending` there is no script.
    fn script(&self, with_value: &[&str], ending: &[&str]) -> Option<PathBuf> {
        let mut words = self.arguments.iter().skip(1);
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            if ending.contains(&text.as_ref()) {
                return None;
            }
            if with_value.contains(&text.as_ref()) {
                words.next();
            } else if !text.starts_with('-') {
                return Some(PathBuf::from(word));
            }
        }
        None
    }

    fn home(&self) -> Option<PathBuf> {
        (self.variable)("HOME").map(PathBuf::from)
    }

    /// The folders of a variable such as PYTHONPATH.
    fn folders(&self, variable: &str) -> Vec<PathBuf> {
        let value = (self.variable)(variable).unwrap_or_default();
        std::env::split_paths(&value)
            .filter(|folder| !folder.as_os_str().is_empty())
            .collect()
    }

    /// The folder that holds the executable's `bin`, links followed.
    fn prefix(&self) -> Option<PathBuf> {
        let target = self.executable.canonicalize().ok()?;
        Some(target.parent()?.parent()?.to_owned())
    }
}

/// A binding of a language to librdkafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Such as `confluent-kafka`.
    pub name: &'static str,
    pub version: Option<String>,
    pub holds: Holds,
}

impl Binding {
    /// `confluent-kafka 2.12.1`.
    pub fn title(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// What a binding consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A module that the runtime opens, linked to librdkafka or with it inside.
    Module(PathBuf),
    /// A librdkafka that the runtime opens itself.
    Library(PathBuf),
    /// It is installed, but its module was not built.
    Nothing(PathBuf),
}

/// The entries of a folder, sorted; none where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    entries
}

/// The entries of a folder whose name begins and ends so.
fn entries_like(folder: &Path, begin: &str, end: &str) -> Vec<PathBuf> {
    let mut entries = entries(folder);
    entries.retain(|entry| {
        let name = entry
            .file_name()
            .unwrap_or(OsStr::new(""))
            .to_string_lossy();
        name.starts_with(begin) && name.ends_with(end)
    });
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_known_by_their_names() {
        for (name, expected) in [
            ("python3.11", Some(Runtime::Python)),
            ("python", Some(Runtime::Python)),
            ("nodejs", Some(Runtime::Node)),
            ("php8.2", Some(Runtime::Php)),
            ("php-fpm8.2", Some(Runtime::Php)),
            ("ruby3.1", Some(Runtime::Ruby)),
            ("luajit-2.1.0-beta3", Some(Runtime::LuaJit)),
            ("bash", Some(Runtime::Shell)),
            ("kcat", None),
            ("javac", None),
        ] {
            assert_eq!(
                Runtime::of(&Path::new("/nowhere").join(name)),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn the_script_is_behind_the_options() {
        let script = |line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let start = Start {
                executable: Path::new("/x"),
                arguments: &arguments,
                variable: &|_| None,
            };
            start.script(&["-W", "-r"], &["-c", "-m"])
        };
        assert_eq!(
            script("python3 -W ignore -u app.py -c"),
            Some(PathBuf::from("app.py"))
        );
        assert_eq!(script("python3 -c app.py"), None);
        assert_eq!(script("python3"), None);
    }
}
