//! The glibc that the library is linked with: the host's, as old as [`OLDEST`].
//!
//! The linker binds each function to the newest version that it is shown, and the library then
//! needs a glibc that has it. So it is shown libraries without code in glibc's place: the host's
//! symbols, each at the newest version that the oldest glibc has too, and in the file where that
//! one has it. What it lacks keeps the host's version: `glibc.c` defines what is known of these,
//! and `tests/exports.rs` names any other.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Debian 10, Ubuntu 18.10, RHEL 8 and their relatives.
const OLDEST: &[u32] = &[2, 28];

/// The parts of glibc that are linked with.
const LIBRARIES: &[&str] = &[
    "libresolv.so.2",
    "librt.so.1",
    "libpthread.so.0",
    "libm.so.6",
    "libdl.so.2",
    "libc.so.6",
];

/// Functions that came into libc.so.6 with glibc 2.34, by the start of their names (but for
/// underscores), and where they were. Those of libutil and libanl came too; none is called here.
const MOVED: &[(&str, &str)] = &[
    ("pthread_", "libpthread.so.0"),
    ("sem_", "libpthread.so.0"),
    ("call_once", "libpthread.so.0"),
    ("cnd_", "libpthread.so.0"),
    ("mtx_", "libpthread.so.0"),
    ("thrd_", "libpthread.so.0"),
    ("tss_", "libpthread.so.0"),
    ("dl", "libdl.so.2"),
    ("dn_", "libresolv.so.2"),
    ("ns_", "libresolv.so.2"),
    ("res_", "libresolv.so.2"),
    ("aio_", "librt.so.1"),
    ("lio_", "librt.so.1"),
    ("mq_", "librt.so.1"),
    ("shm_", "librt.so.1"),
    ("timer_", "librt.so.1"),
];

/// Functions that are still there, but that new programs are not meant to call; `glibc.c` does.
const RETIRED: &[&str] = &["__res_nsearch"];

/// One version of a symbol of the host's glibc.
struct Symbol {
    version: String,
    /// What a reference that names no version gets.
    default: bool,
    function: bool,
}

/// The symbols of a library by their names, each with the version to link with.
type Symbols = BTreeMap<String, Symbol>;

/// Links with glibc as the oldest supported system has it. `sources` is the folder of this file.
pub fn link(sources: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let folder = out.join("glibc");
    fs::create_dir_all(&folder)?;
    println!("cargo:rustc-link-search=native={}", folder.display());
    // Named by the package itself, they come before the real ones that Rust's std names: the
    // linker takes the first library with a symbol, and the first of each soname.
    let libraries = oldest()?;
    for library in LIBRARIES {
        let symbols = libraries.get(library).ok_or("a library without symbols")?;
        let name = library.split('.').next().unwrap_or(library);
        imitate(library, symbols, &folder.join(format!("{name}_oldest.so")))?;
        let name = name.trim_start_matches("lib");
        println!("cargo:rustc-link-lib=dylib={name}_oldest");
    }
    // For the unit tests, a program that carries the engine too: the host's libmvec refers to
    // newer versions of libm's functions.
    println!("cargo:rustc-link-arg=-Wl,--allow-shlib-undefined");
    // The whole archive: a weak reference, such as std's to gettid, takes nothing out of one.
    cc::Build::new()
        .file(sources.join("glibc.c"))
        .link_lib_modifier("+whole-archive")
        .compile("superstream_glibc");
    Ok(())
}

/// The symbols of each library of the oldest glibc, as far as the host's can tell.
fn oldest() -> Result<BTreeMap<&'static str, Symbols>, Box<dyn Error>> {
    let mut libraries: BTreeMap<_, Symbols> = BTreeMap::new();
    for &library in LIBRARIES {
        for (name, versions) in symbols(library)? {
            let Some(symbol) = choose(&name, versions) else {
                continue;
            };
            let moved = library == "libc.so.6" && !symbol.default;
            let home = if moved { former_home(&name) } else { None };
            libraries
                .entry(home.unwrap_or(library))
                .or_default()
                .insert(name, symbol);
        }
    }
    Ok(libraries)
}

/// All versions of each symbol of one of the host's libraries.
fn symbols(library: &str) -> Result<BTreeMap<String, Vec<Symbol>>, Box<dyn Error>> {
    let mut compiler = cc::Build::new().get_compiler().to_command();
    let file = output(compiler.arg(format!("-print-file-name={library}")))?;
    let table = output(
        Command::new("nm")
            .args(["-D", "--defined-only", "--with-symbol-versions"])
            .arg(file.trim()),
    )?;
    let mut symbols: BTreeMap<String, Vec<Symbol>> = BTreeMap::new();
    for line in table.lines() {
        let mut fields = line.split_whitespace().skip(1);
        let (Some(kind), Some(symbol)) = (fields.next(), fields.next()) else {
            continue;
        };
        let Some((name, version)) = symbol.split_once('@') else {
            continue;
        };
        symbols.entry(name.to_owned()).or_default().push(Symbol {
            version: version.trim_start_matches('@').to_owned(),
            default: version.starts_with('@'),
            function: matches!(kind, "T" | "W" | "i"),
        });
    }
    if symbols.is_empty() {
        return Err(format!("no symbols found in {library} ({})", file.trim()).into());
    }
    Ok(symbols)
}

/// The newest version that the oldest glibc has, or else the host's own.
fn choose(name: &str, mut versions: Vec<Symbol>) -> Option<Symbol> {
    versions.retain(|symbol| number(&symbol.version).is_some());
    // What has no default is out of use, as it was in the oldest glibc unless we know better.
    if !RETIRED.contains(&name) && !versions.iter().any(|symbol| symbol.default) {
        return None;
    }
    let (old, new): (Vec<_>, Vec<_>) = versions
        .into_iter()
        .partition(|symbol| number(&symbol.version).as_deref() <= Some(OLDEST));
    let newest = old.into_iter().max_by_key(|symbol| number(&symbol.version));
    let host = new.into_iter().find(|symbol| symbol.default);
    // How a program starts is between its own start files and the glibc that they came with.
    if name == "__libc_start_main" {
        return host.or(newest);
    }
    newest.or(host)
}

/// Of `GLIBC_2.2.5`, the numbers. glibc's private symbols have none.
fn number(version: &str) -> Option<Vec<u32>> {
    let numbers = version.strip_prefix("GLIBC_")?.split('.');
    numbers.map(|number| number.parse().ok()).collect()
}

fn former_home(name: &str) -> Option<&'static str> {
    let name = name.trim_start_matches('_');
    let moved = MOVED.iter().find(|(start, _)| name.starts_with(start));
    moved.map(|(_, home)| *home)
}

/// Makes a library without code that has these symbols.
fn imitate(soname: &str, symbols: &Symbols, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut assembly = String::new();
    let mut versions: BTreeMap<&str, String> = BTreeMap::new();
    for (name, symbol) in symbols {
        let kind = if symbol.function {
            "function"
        } else {
            "object"
        };
        assembly.push_str(&format!(".globl {name}\n.type {name}, %{kind}\n{name}:\n"));
        let names = versions.entry(&symbol.version).or_default();
        names.push_str(&format!("    {name};\n"));
    }
    assembly.push_str(".section .note.GNU-stack, \"\", %progbits\n");
    let script: String = versions
        .iter()
        .map(|(version, names)| format!("{version} {{\n{names}}};\n"))
        .collect();

    let source = to.with_extension("s");
    let map = to.with_extension("map");
    fs::write(&source, assembly)?;
    fs::write(&map, script)?;
    let mut compiler = cc::Build::new().get_compiler().to_command();
    output(
        compiler
            .args(["-shared", "-nostdlib"])
            .arg(format!("-Wl,-soname,{soname}"))
            .arg(format!("-Wl,--version-script={}", map.display()))
            .arg(&source)
            .arg("-o")
            .arg(to),
    )?;
    Ok(())
}

fn output(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed with {}: {complaint}", output.status).into())
}
