//! Python: confluent-kafka in the interpreter's packages, in a virtual environment or not.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Binding, Holds, Start, entries_like};

pub fn bindings(start: &Start<'_>) -> Vec<Binding> {
    packages(start)
        .iter()
        .find_map(|folder| in_folder(folder))
        .into_iter()
        .collect()
}

fn in_folder(folder: &Path) -> Option<Binding> {
    let package = folder.join("confluent_kafka");
    package.join("__init__.py").is_file().then_some(())?;
    let module = entries_like(&package, "cimpl", ".so").into_iter().next();
    Some(Binding {
        name: "confluent-kafka",
        version: version(folder),
        holds: module.map_or(Holds::Nothing(package), Holds::Module),
    })
}

/// From the name of `confluent_kafka-2.12.1.dist-info` or Debian's `….egg-info`.
fn version(folder: &Path) -> Option<String> {
    let found = entries_like(folder, "confluent_kafka-", "-info")
        .into_iter()
        .next()?;
    let name = found
        .file_name()?
        .to_str()?
        .strip_prefix("confluent_kafka-")?;
    let name = name
        .strip_suffix(".dist-info")
        .or(name.strip_suffix(".egg-info"))?;
    name.split('-').next().map(str::to_owned)
}

/// The folders of packages, in the order in which Python searches them.
fn packages(start: &Start<'_>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let script = start.script(&["-W", "-X", "--check-hash-based-pycs"], &["-c", "-m", "-"]);
    match script
        .as_deref()
        .and_then(|script| script.canonicalize().ok())
    {
        Some(script) => folders.extend(script.parent().map(Path::to_owned)),
        None => folders.extend(std::env::current_dir()),
    }
    folders.extend(start.folders("PYTHONPATH"));
    let environment = virtual_environment(start.executable);
    if let Some((folder, _)) = &environment {
        folders.extend(site_packages(folder, None));
    }
    if environment.is_none_or(|(_, sees_system)| sees_system) {
        let version = version_of(start.executable);
        if let Some(home) = start.home() {
            folders.extend(site_packages(&home.join(".local"), version.as_deref()));
        }
        let prefix = start.prefix();
        if prefix.as_deref() == Some(Path::new("/usr")) {
            folders.extend(site_packages(Path::new("/usr/local"), version.as_deref()));
        }
        if let Some(prefix) = prefix {
            folders.extend(site_packages(&prefix, version.as_deref()));
        }
    }
    folders
}

/// The virtual environment of an interpreter, and whether it sees the system's packages too.
fn virtual_environment(executable: &Path) -> Option<(PathBuf, bool)> {
    let folder = executable.parent()?.parent()?;
    let configuration = fs::read_to_string(folder.join("pyvenv.cfg")).ok()?;
    let sees_system = configuration.lines().any(|line| {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        key.trim() == "include-system-site-packages" && value.trim().eq_ignore_ascii_case("true")
    });
    Some((folder.to_owned(), sees_system))
}

/// `3.11` of `python3.11`.
fn version_of(executable: &Path) -> Option<String> {
    let target = executable.canonicalize().ok()?;
    let version = target.file_name()?.to_str()?.strip_prefix("python")?;
    version.contains('.').then(|| version.to_owned())
}

/// The folders of packages below a prefix, for one version or for each.
fn site_packages(prefix: &Path, version: Option<&str>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for library in ["lib", "lib64"] {
        let library = prefix.join(library);
        let versions = match version {
            Some(version) => vec![library.join(format!("python{version}"))],
            None => entries_like(&library, "python3.", ""),
        };
        for folder in versions.into_iter().chain([library.join("python3")]) {
            folders.extend(["site-packages", "dist-packages"].map(|name| folder.join(name)));
        }
    }
    folders
}
