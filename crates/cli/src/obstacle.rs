//! Why Superstream cannot enter a program, and what to do then.

use std::path::{Path, PathBuf};

use crate::inspect::elf::{Elf, Ident, Image};
use crate::inspect::go;
use crate::inspect::needed::Loader;
use crate::inspect::privilege::{self, Caller, Privilege};
use crate::preload;

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Neither an ELF file nor a script.
    Foreign,
    Bits32,
    OtherMachine(String),
    /// No loader, so nothing that would read LD_PRELOAD.
    Static(Option<go::Build>),
    Musl,
    /// Neither glibc's loader nor musl's.
    OtherLoader(String),
    /// Linked to AddressSanitizer's library, by this name, which must come first.
    Sanitizer(String),
    Privileged(Privilege),
    /// A process that was started with more rights than its caller.
    StartedPrivileged,
    /// A launcher on the way keeps the environment from the program.
    DropsEnvironment(String),
}

impl Obstacle {
    /// A short name for the JSON document.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Foreign => "not-elf",
            Self::Bits32 => "32-bit",
            Self::OtherMachine(_) => "other-architecture",
            Self::Static(_) => "static",
            Self::Musl => "musl",
            Self::OtherLoader(_) => "other-loader",
            Self::Sanitizer(_) => "address-sanitizer",
            Self::Privileged(Privilege::SetUser) => "set-user-id",
            Self::Privileged(Privilege::SetGroup) => "set-group-id",
            Self::Privileged(Privilege::Capabilities) => "file-capabilities",
            Self::StartedPrivileged => "started-privileged",
            Self::DropsEnvironment(_) => "drops-environment",
        }
    }

    /// Why, as a sentence.
    pub fn reason(&self) -> String {
        match self {
            Self::Foreign => "It is neither an ELF file nor a script.".to_owned(),
            Self::Bits32 => {
                "It is a 32-bit program, and Superstream's libraries are 64-bit.".to_owned()
            }
            Self::OtherMachine(machine) => {
                format!("It is built for another architecture, {machine}.")
            }
            Self::Static(Some(build)) => format!(
                "It is a static Go executable{}: no loader runs that could bring a library into it.",
                build.in_brackets()
            ),
            Self::Static(None) => "It is a static executable: no loader runs that could bring a \
                                   library into it."
                .to_owned(),
            Self::Musl => "It is built for musl, and Superstream's libraries are for glibc: \
                           preloaded, they would end it at its start."
                .to_owned(),
            Self::OtherLoader(loader) => {
                format!("Its loader is {loader}, not the one of glibc.")
            }
            Self::Sanitizer(library) => format!(
                "It is built with AddressSanitizer, which ends the program at its start where any \
                 other library comes before {library}."
            ),
            Self::Privileged(privilege) => format!(
                "{} and gets more rights than its caller: the loader takes LD_PRELOAD from it, and \
                 Superstream stays off in it.",
                capitalised(privilege.describe())
            ),
            Self::StartedPrivileged => "It was started with more rights than its caller: the \
                                        loader took LD_PRELOAD from it, and Superstream stays off \
                                        in it."
                .to_owned(),
            Self::DropsEnvironment(how) => format!(
                "`{how}` on the way throws away the environment in which Superstream comes."
            ),
        }
    }

    /// What to do, as a sentence.
    pub fn next(&self) -> String {
        match self {
            Self::Foreign => "Give the program itself, or its interpreter.".to_owned(),
            Self::Bits32 | Self::OtherMachine(_) => {
                "Use a build of the program for this machine, or leave Superstream out.".to_owned()
            }
            Self::Static(Some(_)) => {
                "If it uses confluent-kafka-go, build it with `-tags dynamic`. If it only starts \
                 another program, put `superstream run --` before that one."
                    .to_owned()
            }
            Self::Static(None) => {
                "Link it dynamically with librdkafka (Rust: the feature `dynamic-linking` of \
                 rdkafka). If it only starts another program, put `superstream run --` before that \
                 one."
                    .to_owned()
            }
            Self::Musl | Self::OtherLoader(_) => {
                "Use a build of the program for glibc (an image based on Debian, Ubuntu or Red \
                 Hat, say)."
                    .to_owned()
            }
            Self::Sanitizer(library) => {
                format!(
                    "Preload that one first: `LD_PRELOAD={library} superstream run -- COMMAND`."
                )
            }
            Self::Privileged(_) | Self::StartedPrivileged => {
                "Start it without these rights (systemd's AmbientCapabilities=, say), or put \
                 `superstream run --` behind it where it only starts another program, as in \
                 `sudo superstream run -- app`."
                    .to_owned()
            }
            Self::DropsEnvironment(_) => {
                "Put `superstream run --` behind it, directly before the program.".to_owned()
            }
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// What stands in the way of a preload into an executable. `Err`: nothing can be said.
pub fn of_executable(file: &Path, caller: Caller) -> std::io::Result<Vec<Obstacle>> {
    let image = Image::open(file)?;
    let mut obstacles = of_content(&image);
    if obstacles.is_empty() {
        obstacles.extend(sanitizer(&image));
    }
    if let Some((privilege, true)) = privilege::of(file, caller) {
        obstacles.push(Obstacle::Privileged(privilege));
    }
    Ok(obstacles)
}

/// AddressSanitizer, unless its library is preloaded already or told not to mind its place.
fn sanitizer(image: &Image) -> Option<Obstacle> {
    let options = std::env::var_os("ASAN_OPTIONS").unwrap_or_default();
    let options = options.to_string_lossy();
    let is_told = ["0", "false", "no"]
        .iter()
        .any(|no| options.contains(&format!("verify_asan_link_order={no}")));
    let present = std::env::var_os("LD_PRELOAD").unwrap_or_default();
    if is_told || preload::has_sanitizer(&present) {
        return None;
    }
    let needed = Elf::parse(image).ok()?.dynamic?.needed;
    let mut named = needed.into_iter();
    let library = named.find(|name| preload::is_sanitizer(name.as_bytes()))?;
    Some(Obstacle::Sanitizer(library))
}

/// The same from the content alone.
pub fn of_content(image: &Image) -> Vec<Obstacle> {
    let Some(ident) = Ident::of(image) else {
        return vec![Obstacle::Foreign];
    };
    if ident.is_32_bit && ident.machine_name() != "x86-64" && !is_32_bit_kin(ident) {
        return vec![Obstacle::OtherMachine(ident.machine_name())];
    }
    if ident.is_32_bit {
        return vec![Obstacle::Bits32];
    }
    if !ident.is_own() {
        return vec![Obstacle::OtherMachine(ident.machine_name())];
    }
    let Ok(elf) = Elf::parse(image) else {
        return vec![Obstacle::Foreign];
    };
    let loader = elf
        .interpreter
        .as_deref()
        .map(|name| (name, Loader::of(name)));
    match loader {
        Some((_, Loader::Ours | Loader::LikeOurs)) => Vec::new(),
        Some((_, Loader::Musl)) => vec![Obstacle::Musl],
        Some((name, Loader::Other)) => vec![Obstacle::OtherLoader(name.to_owned())],
        None if !elf.is_executable() && !is_musl_library(&elf) => Vec::new(),
        None if !elf.is_executable() => vec![Obstacle::Musl],
        None => vec![Obstacle::Static(go::build(&elf))],
    }
}

/// A 32-bit program that this machine may well run, such as i386 on x86-64.
fn is_32_bit_kin(ident: Ident) -> bool {
    match Ident::OWN_MACHINE {
        object::elf::EM_AARCH64 => ident.machine == object::elf::EM_ARM,
        _ => ident.machine == object::elf::EM_386,
    }
}

fn is_musl_library(elf: &Elf<'_>) -> bool {
    let needed = elf.dynamic.iter().flat_map(|dynamic| &dynamic.needed);
    needed
        .into_iter()
        .any(|name| name.starts_with("libc.musl-") || name == "libc.so")
}

/// The first of a command's executables that something stands in the way of. A static launcher is
/// none: it hands the environment on.
pub fn of_launchers(launchers: &[PathBuf], caller: Caller) -> Option<(PathBuf, Obstacle)> {
    launchers.iter().find_map(|launcher| {
        let obstacles = of_executable(launcher, caller).ok()?;
        let found = obstacles
            .into_iter()
            .find(|obstacle| !matches!(obstacle, Obstacle::Static(_)))?;
        Some((launcher.clone(), found))
    })
}
