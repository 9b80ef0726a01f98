//! The drop-in as the loader sees it.

use std::collections::BTreeSet;
use std::fs;
use superstream_tests::{Library, built, compile, run, tool, with_library_in};

/// What Debian 12's librdkafka says of itself.
const DEBIAN: &str = "gzip,snappy,ssl,sasl,regex,lz4,sasl_gssapi,sasl_plain,sasl_scram,plugins,\
                      zstd,sasl_oauthbearer,http,oidc";

/// Libraries that each glibc system has.
const SYSTEM: &[&str] = &[
    "libc.so.6",
    "libm.so.6",
    "libresolv.so.2",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
];

/// The oldest glibc that it runs with, as in `embed/glibc.rs`.
const OLDEST_GLIBC: &[u32] = &[2, 28];

/// The part of `readelf -d` that the tests ask about.
fn dynamic(library: Library) -> String {
    run(tool("readelf")
        .arg("-dW")
        .arg(library.folder().join("librdkafka.so.1")))
}

fn exports(library: Library) -> BTreeSet<String> {
    let file = library.folder().join("librdkafka.so.1");
    run(tool("nm")
        .args(["-D", "--defined-only", "--format=posix"])
        .arg(file))
    .lines()
    .map(|line| line.split(' ').next().unwrap().to_owned())
    .collect()
}

fn declared() -> BTreeSet<String> {
    let list = fs::read_to_string(built().join("engine/functions.txt")).unwrap();
    list.lines().map(str::to_owned).collect()
}

#[test]
fn every_public_function_is_exported_and_nothing_else() {
    let (ours, own): (BTreeSet<_>, BTreeSet<_>) = exports(Library::DropIn)
        .into_iter()
        .partition(|name| !name.starts_with("superstream_"));
    let declared = declared();
    assert_eq!(
        ours.difference(&declared).collect::<Vec<_>>(),
        [""; 0],
        "exported, not public"
    );
    assert_eq!(
        declared.difference(&ours).collect::<Vec<_>>(),
        [""; 0],
        "public, not exported"
    );
    let inner: Vec<_> = own
        .iter()
        .filter(|name| name.starts_with("superstream_engine"))
        .collect();
    assert_eq!(inner, [""; 0], "names of the embedding leak out");
}

#[test]
fn the_stock_engine_exports_the_same() {
    assert_eq!(exports(Library::Stock), declared());
}

#[test]
fn the_soname_is_that_of_librdkafka() {
    for library in [Library::DropIn, Library::Stock] {
        assert!(
            dynamic(library).contains("Library soname: [librdkafka.so.1]"),
            "{library:?}"
        );
    }
}

#[test]
fn it_needs_only_what_each_glibc_system_has() {
    for library in [Library::DropIn, Library::Stock] {
        let table = dynamic(library);
        let needed = table
            .lines()
            .filter(|line| line.contains("(NEEDED)"))
            .filter_map(|line| line.split_once('[')?.1.strip_suffix(']'));
        for name in needed {
            let known = SYSTEM.contains(&name) || name.starts_with("ld-linux");
            assert!(known, "{library:?} needs {name}");
        }
        assert!(
            !table.contains("RPATH") && !table.contains("RUNPATH"),
            "{table}"
        );
    }
}

/// What the linker would take of the host's glibc may be newer: `embed/glibc.rs` keeps it out.
#[test]
fn it_runs_with_an_old_glibc() {
    for library in [Library::DropIn, Library::Stock] {
        let file = library.folder().join("librdkafka.so.1");
        let symbols = run(tool("nm").args(["-D", "--undefined-only"]).arg(&file));
        let versions = run(tool("readelf").arg("-VW").arg(&file));
        let newer: Vec<_> = symbols
            .lines()
            .chain(versions.lines().filter(|line| line.contains("Name: ")))
            .filter(|line| {
                glibc_version(line).is_some_and(|version| {
                    version.is_none_or(|version| version.as_slice() > OLDEST_GLIBC)
                })
            })
            .collect();
        assert_eq!(newer, [""; 0], "{library:?} needs a newer glibc");

        // Up to glibc 2.33, libc.so.6 has neither pthread_create nor dlopen.
        let table = dynamic(library);
        for part in ["libpthread.so.0", "libdl.so.2"] {
            assert!(
                table.contains(&format!("Shared library: [{part}]")),
                "{library:?} lacks {part}\n{table}"
            );
        }
    }
}

/// The version of glibc in a line of `nm` or `readelf`; none in it where it is no number.
fn glibc_version(line: &str) -> Option<Option<Vec<u32>>> {
    let (_, version) = line.split_once("GLIBC_")?;
    let version = version.split_whitespace().next()?;
    Some(version.split('.').map(|part| part.parse().ok()).collect())
}

/// Its threads run its code: it cannot be unloaded.
#[test]
fn it_stays_loaded_binds_at_once_and_to_itself() {
    for library in [Library::DropIn, Library::Stock] {
        let table = dynamic(library);
        for flag in ["NODELETE", "NOW", "SYMBOLIC"] {
            assert!(table.contains(flag), "{library:?} lacks {flag}\n{table}");
        }
    }
}

#[test]
fn it_has_the_features_of_the_distribution_and_the_version_of_the_engine() {
    let about = compile("tests/c/about.c");
    let ours = run(&mut with_library_in(&Library::DropIn.folder(), &about));
    let stock = run(&mut with_library_in(&Library::Stock.folder(), &about));
    assert_eq!(ours, stock);

    let features = ours
        .lines()
        .find_map(|line| line.strip_prefix("builtin.features: "))
        .unwrap();
    let features: Vec<_> = features.split(',').collect();
    for wanted in DEBIAN.split(',') {
        assert!(
            features.contains(&wanted),
            "{wanted} is missing in {features:?}"
        );
    }
}
