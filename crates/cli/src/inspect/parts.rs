//! The objects that a program consists of, each seen from librdkafka's side, and how they are
//! bound to each other.

use std::path::{Path, PathBuf};

use memchr::memmem;

use super::elf::{Elf, Ident, Image, Symbol, SymbolTable};
use super::engine::{self, Version};

/// The functions that make a client. `superstream_version` tells our own libraries.
const NAMES: [&str; 3] = [
    "rd_kafka_new",
    "rd_kafka_share_consumer_new",
    "superstream_version",
];
/// The names that a program has as text when it fetches functions at run time.
const FETCHED: [&str; 2] = ["librdkafka", "rd_kafka_new"];

/// How an object and librdkafka stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has nothing to do with librdkafka.
    Stranger,
    /// It asks the loader for librdkafka's functions.
    Caller,
    /// It is librdkafka as a library of its own.
    Engine,
    /// It carries librdkafka, and reaches it through the loader, which a preload can use.
    CarriesOpenly,
    /// It carries librdkafka, bound to it for good.
    CarriesSealed,
    /// It has the names as text: it opens librdkafka and fetches the functions.
    Fetches,
    /// Our drop-in.
    DropIn,
    /// Our preload library.
    Superstream,
}

/// One object.
#[derive(Clone, Debug)]
pub struct Part {
    pub file: PathBuf,
    pub role: Role,
    pub soname: Option<String>,
    pub needed: Vec<String>,
    /// `DT_RPATH`: it comes before `LD_LIBRARY_PATH`, so a drop-in there is not seen.
    pub has_rpath: bool,
    pub version: Option<Version>,
    pub features: Option<Vec<String>>,
}

/// How closely to look at an object that has no symbol of librdkafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Symbols alone: a library of the system.
    Symbols,
    /// The whole content, for code and names of librdkafka.
    Content,
}

impl Part {
    /// Looks at a file under the name that it has for the program; `None` for what is no 64-bit
    /// ELF file of this machine, or cannot be read.
    pub fn of_file(at: &Path, name: &Path, search: Search) -> Option<Self> {
        let image = Image::open(at).ok()?;
        if !Ident::of(&image)?.is_own() {
            return None;
        }
        let elf = Elf::parse(&image).ok()?;
        Some(Self::of_elf(&elf, name, search))
    }

    pub fn of_elf(elf: &Elf<'_>, file: &Path, search: Search) -> Self {
        let role = role(elf, file, search);
        let has_engine = matches!(
            role,
            Role::Engine | Role::CarriesOpenly | Role::CarriesSealed | Role::DropIn
        );
        let dynamic = elf.dynamic.as_ref();
        Self {
            file: file.to_owned(),
            role,
            soname: dynamic.and_then(|dynamic| dynamic.soname.clone()),
            needed: dynamic
                .map(|dynamic| dynamic.needed.clone())
                .unwrap_or_default(),
            has_rpath: dynamic.is_some_and(|d| d.rpath.is_some() && d.runpath.is_none()),
            version: has_engine.then(|| engine::version(elf)).flatten(),
            features: has_engine.then(|| engine::features(elf)).flatten(),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.soname.as_deref() == Some(name) || self.file.file_name().is_some_and(|own| own == name)
    }
}

fn role(elf: &Elf<'_>, file: &Path, search: Search) -> Role {
    let [new, share, superstream] = elf.symbols(SymbolTable::Dynamic, NAMES);
    let is_defined = |symbol| matches!(symbol, Some(Symbol::Defined(_)));
    if is_defined(superstream) {
        return match engine::version(elf) {
            Some(_) => Role::DropIn,
            None => Role::Superstream,
        };
    }
    if is_defined(new) {
        if is_library_itself(elf, file) {
            return Role::Engine;
        }
        let symbolic = elf.dynamic.as_ref().is_some_and(|dynamic| dynamic.symbolic);
        // In the main program's own scope nothing comes before the main program.
        let open = !symbolic && !elf.is_executable() && elf.reaches_through_the_loader(NAMES[0]);
        return match open {
            true => Role::CarriesOpenly,
            false => Role::CarriesSealed,
        };
    }
    if new.is_some() || share.is_some() {
        return Role::Caller;
    }
    if search == Search::Symbols || is_this_program(file) {
        return Role::Stranger;
    }
    let [hidden] = elf.symbols(SymbolTable::Full, [NAMES[0]]);
    if is_defined(hidden) || engine::is_inside(elf.content()) {
        return Role::CarriesSealed;
    }
    let has = |name: &str| memmem::find(elf.content(), name.as_bytes()).is_some();
    match FETCHED.into_iter().all(has) {
        true => Role::Fetches,
        false => Role::Stranger,
    }
}

/// This program has the names as text too, to look for them.
fn is_this_program(file: &Path) -> bool {
    let own = std::env::current_exe().and_then(|own| own.canonicalize());
    file.canonicalize()
        .ok()
        .is_some_and(|file| own.is_ok_and(|own| own == file))
}

/// librdkafka under whichever name it was installed, told from a module that carries it.
fn is_library_itself(elf: &Elf<'_>, file: &Path) -> bool {
    let soname = elf
        .dynamic
        .as_ref()
        .and_then(|dynamic| dynamic.soname.clone());
    let name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    [soname, name]
        .iter()
        .flatten()
        .any(|name| name.contains("librdkafka"))
}

/// How a program comes to one librdkafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The loader binds the functions: `by` is linked to the library.
    Dynamically,
    /// It is inside `by`, and reached through the loader all the same.
    InsideOpenly,
    /// It is inside `by`, and nothing can come between.
    Inside,
    /// `by` opens it and fetches the functions at run time.
    Fetched,
}

/// One librdkafka in use.
#[derive(Clone, Debug)]
pub struct Use {
    /// The object that holds it; `None` where it is not known which.
    pub engine: Option<Part>,
    pub bound: Bound,
    /// The object that calls it.
    pub by: Part,
}

/// The uses of librdkafka among the objects of a program, in the loader's order.
pub fn uses(parts: &[Part]) -> Vec<Use> {
    let mut uses: Vec<Use> = Vec::new();
    for part in parts {
        let (engine, bound) = match part.role {
            Role::Caller => (provider(part, parts), Bound::Dynamically),
            Role::CarriesOpenly => (Some(part), Bound::InsideOpenly),
            Role::CarriesSealed => (Some(part), Bound::Inside),
            Role::Fetches => (provider(part, parts), Bound::Fetched),
            Role::Stranger | Role::Engine | Role::DropIn | Role::Superstream => continue,
        };
        // librdkafka++ beside a program that also calls librdkafka itself is one use, not two.
        let is_known = |known: &&Use| {
            let known = known.engine.as_ref().map(|engine| &engine.file);
            known.is_some() && known == engine.map(|engine| &engine.file)
        };
        if uses.iter().find(is_known).is_none() {
            uses.push(Use {
                engine: engine.cloned(),
                bound,
                by: part.clone(),
            });
        }
    }
    uses
}

/// The engine that a caller is bound to: the one that it names or else the first.
fn provider<'parts>(caller: &Part, parts: &'parts [Part]) -> Option<&'parts Part> {
    let engines = || {
        parts
            .iter()
            .filter(|part| matches!(part.role, Role::Engine | Role::DropIn))
    };
    engines()
        .find(|engine| caller.needed.iter().any(|name| engine.is_named(name)))
        .or_else(|| engines().next())
        .or_else(|| parts.iter().find(|part| part.role == Role::CarriesOpenly))
}

/// Engines that are there although no object is bound to them: their functions were fetched.
pub fn engines_without_caller<'parts>(parts: &'parts [Part], uses: &[Use]) -> Vec<&'parts Part> {
    let is_used = |engine: &Part| {
        let mut files = uses.iter().filter_map(|used| used.engine.as_ref());
        files.any(|used| used.file == engine.file)
    };
    parts
        .iter()
        .filter(|part| matches!(part.role, Role::Engine | Role::DropIn) && !is_used(part))
        .collect()
}
