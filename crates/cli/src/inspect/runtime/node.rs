//! Node.js: its two clients, in `node_modules` from the script's folder upwards.

use std::path::{Path, PathBuf};

use super::{Binding, Holds, Start, entries};

/// The packages, and the names by which they are known.
const CLIENTS: [(&str, &str); 2] = [
    (
        "@confluentinc/kafka-javascript",
        "@confluentinc/kafka-javascript",
    ),
    ("node-rdkafka", "node-rdkafka"),
];
/// `build/Release/x.node`, and what node-pre-gyp or pnpm put in between.
const DEEPEST: usize = 4;

pub fn bindings(start: &Start<'_>) -> Vec<Binding> {
    let folders = folders(start);
    CLIENTS
        .iter()
        .filter_map(|(package, name)| {
            folders
                .iter()
                .map(|folder| folder.join(package))
                .find(|folder| folder.join("package.json").is_file())
                .map(|folder| binding(name, &folder))
        })
        .collect()
}

fn binding(name: &'static str, folder: &Path) -> Binding {
    // pnpm links packages; what lies beside the module counts from where it really is.
    let folder = folder.canonicalize().unwrap_or(folder.to_owned());
    let holds = match module(&folder, DEEPEST) {
        Some(module) => Holds::Module(module),
        None => Holds::Nothing(folder.clone()),
    };
    Binding {
        name,
        version: version(&folder),
        holds,
    }
}

fn version(folder: &Path) -> Option<String> {
    let text = std::fs::read(folder.join("package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

/// The built module: the first `.node` file, the one of a release build before others.
fn module(folder: &Path, depth: usize) -> Option<PathBuf> {
    let release = folder.join("build/Release");
    if depth == DEEPEST
        && release.is_dir()
        && let Some(found) = module(&release, 1)
    {
        return Some(found);
    }
    let entries = entries(folder);
    let is_module = |entry: &&PathBuf| {
        entry
            .extension()
            .is_some_and(|extension| extension == "node")
            && entry.is_file()
    };
    if let Some(found) = entries.iter().find(is_module) {
        return Some(found.clone());
    }
    let below = depth.checked_sub(1)?;
    entries
        .iter()
        .filter(|entry| entry.is_dir() && !entry.is_symlink() && !entry.ends_with("obj.target"))
        .find_map(|entry| module(entry, below))
}

/// The `node_modules` that `require` would look into.
fn folders(start: &Start<'_>) -> Vec<PathBuf> {
    let with_value = [
        "-r",
        "--require",
        "--import",
        "--loader",
        "--env-file",
        "-C",
        "--conditions",
    ];
    let script = start.script(&with_value, &["-e", "--eval", "-p", "--print", "-"]);
    let script = script.and_then(|script| script.canonicalize().ok());
    let begin = match script.as_deref().and_then(Path::parent) {
        Some(folder) => Some(folder.to_owned()),
        None => std::env::current_dir().ok(),
    };
    let mut folders: Vec<PathBuf> = begin
        .iter()
        .flat_map(|begin| begin.ancestors())
        .map(|folder| folder.join("node_modules"))
        .collect();
    folders.extend(start.folders("NODE_PATH"));
    folders
}
