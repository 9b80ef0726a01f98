//! A file and the libraries that the loader would map with it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::elf::{Elf, Ident, Image, Symbol, SymbolTable};
use super::go;
use super::needed::{self, Loader};
use super::parts::{Part, Search};

/// Where the system keeps libraries. What lies elsewhere is the application's own, and looked at
/// more closely.
const SYSTEM_FOLDERS: [&str; 8] = [
    match cfg!(target_arch = "aarch64") {
        true => "/lib/aarch64-linux-gnu",
        false => "/lib/x86_64-linux-gnu",
    },
    match cfg!(target_arch = "aarch64") {
        true => "/usr/lib/aarch64-linux-gnu",
        false => "/usr/lib/x86_64-linux-gnu",
    },
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/lib64",
];

/// What belongs to a file.
pub struct Tree {
    /// The file, and its libraries in the loader's order.
    pub parts: Vec<Part>,
    /// What the loader complains of.
    pub complaint: Option<String>,
    pub go: Option<go::Build>,
    pub is_library: bool,
    pub is_php_module: bool,
}

impl Tree {
    /// `None` for what is no 64-bit ELF file of this machine.
    pub fn of(file: &Path, search: Search, library_path: Option<&OsStr>) -> Option<Self> {
        let image = Image::open(file).ok()?;
        Ident::of(&image).filter(|ident| ident.is_own())?;
        let elf = Elf::parse(&image).ok()?;
        let mut tree = Self {
            parts: vec![Part::of_elf(&elf, file, search)],
            complaint: None,
            go: go::build(&elf),
            is_library: !elf.is_executable(),
            is_php_module: is_php_module(&elf),
        };
        match libraries(&elf, file, library_path) {
            Ok(libraries) => {
                let parts = libraries
                    .iter()
                    .filter_map(|library| Part::of_file(library, library, closeness(library)));
                tree.parts.extend(parts);
            }
            Err(complaint) => tree.complaint = Some(complaint),
        }
        Some(tree)
    }
}

fn libraries(
    elf: &Elf<'_>,
    file: &Path,
    library_path: Option<&OsStr>,
) -> Result<Vec<PathBuf>, String> {
    if elf
        .dynamic
        .as_ref()
        .is_some_and(|dynamic| dynamic.has_audit)
    {
        return Err(
            "It names audit libraries (DT_AUDIT), whose code the loader would run even to list \
             what it takes: that shows only once it runs (--pid)."
                .to_owned(),
        );
    }
    let loader = elf.interpreter.as_deref();
    let listed = match loader.map(|name| (name, Loader::of(name))) {
        // The kernel starts what a link leads to, and $ORIGIN is there; a module's is not.
        Some((_, Loader::Ours)) => file.canonicalize().unwrap_or(file.to_owned()),
        // The loader would look for a bare name elsewhere.
        None if !elf.is_executable() => std::path::absolute(file).unwrap_or(file.to_owned()),
        Some((name, Loader::LikeOurs)) => {
            return Err(format!(
                "Its loader is {name}, not the system's: which libraries it takes shows only once \
                 it runs (--pid)."
            ));
        }
        Some((_, Loader::Musl | Loader::Other)) | None => return Ok(Vec::new()),
    };
    let mut libraries = needed::list(&listed, library_path)
        .map_err(|complaint| format!("The loader says: {complaint}"))?;
    libraries.retain(|library| *library != listed);
    Ok(libraries)
}

/// Every module of PHP tells of itself through `get_module`, and uses some of these.
fn is_php_module(elf: &Elf<'_>) -> bool {
    let names = [
        "get_module",
        "zend_throw_error",
        "zend_parse_parameters",
        "zend_wrong_parameters_count_error",
        "zend_register_functions",
    ];
    let [tells, used @ ..] = elf.symbols(SymbolTable::Dynamic, names);
    matches!(tells, Some(Symbol::Defined(_))) && used.contains(&Some(Symbol::Wanted))
}

/// How closely to look at a library.
pub fn closeness(library: &Path) -> Search {
    let folder = library.parent().and_then(Path::to_str).unwrap_or_default();
    match SYSTEM_FOLDERS.contains(&folder) {
        true => Search::Symbols,
        false => Search::Content,
    }
}

/// The librdkafka that a program would most likely open by its name.
pub fn installed(executable: &Path, library_path: Option<&OsStr>) -> Option<Part> {
    let own = executable.parent().map(Path::to_owned);
    let given = std::env::split_paths(library_path.unwrap_or_default());
    let system = SYSTEM_FOLDERS.iter().map(PathBuf::from);
    let mut folders = given.chain(own).chain(system);
    folders.find_map(|folder| {
        let names = ["librdkafka.so.1", "librdkafka.so"];
        names.iter().find_map(|name| {
            let file = folder.join(name);
            Part::of_file(&file, &file, Search::Symbols)
        })
    })
}
