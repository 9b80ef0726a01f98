//! The second preload library: bindings that fetch librdkafka's functions by name, or that are
//! kept apart by `RTLD_DEEPBIND`, get advice; everybody else gets what libc would have answered.
//!
//! The engine is the distribution's (Debian: `librdkafka1`; `make setup` installs it).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;
use superstream_tests::fault_service::FaultService;
use superstream_tests::{built, preload, root, run, system_library, tool, unique, with_library_in};

/// The library that these tests are about. `make preload` makes it.
fn hooks() -> PathBuf {
    let file = built().join("preload/libsuperstream-hooks.so");
    assert!(file.exists(), "no {} (see `make preload`)", file.display());
    file
}

fn engine() -> PathBuf {
    system_library("librdkafka.so.1")
}

/// A folder with the programs and libraries of these tests.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = unique(superstream_tests::scratch(), "hooks");
        fs::create_dir_all(folder.join("beside")).unwrap();
        let inner = ["-L.", "-lhooks_inner", "-Wl,-rpath,$ORIGIN/beside"];
        let outer = ["-rdynamic", "-L.", "-lhooks_outer", "-Wl,-rpath-link,."];
        let shared: &[(&str, &str, &[&str])] = &[
            ("libhooks_inner.so", "hooks_inner.c", &[]),
            ("beside/libhooks_leaf.so", "hooks_inner.c", &[]),
            ("libhooks_outer.so", "hooks_outer.c", &inner),
            ("other.so", "hooks_other.c", &[]),
            ("malloc.so", "hooks_malloc.c", &["-fno-builtin"]),
            ("stranger.so", "dlopen_module.c", &[]),
            (
                "module.so",
                "dlopen_module.c",
                &["-DWITH_ENGINE", "-lrdkafka"],
            ),
        ];
        for (output, source, arguments) in shared {
            compile(
                &folder,
                output,
                source,
                &[&["-shared", "-fPIC"], *arguments],
            );
        }
        compile(&folder, "lookups", "hooks_lookups.c", &[&outer]);
        compile(&folder, "binding", "hooks_binding.c", &[&["-pthread"]]);
        compile(&folder, "host", "dlopen_host.c", &[&["-rdynamic"]]);
        folder
    })
}

fn compile(folder: &Path, output: &str, source: &str, arguments: &[&[&str]]) {
    run(tool("cc")
        .args(["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
        // Who calls dlsym is to be the function that is written to call it.
        .arg("-fno-optimize-sibling-calls")
        .args(["-Wl,--no-as-needed", "-Wl,--enable-new-dtags", "-o", output])
        .arg(root().join("tests/c").join(source))
        .args(arguments.concat())
        .arg("-ldl")
        .current_dir(folder));
}

/// One of the programs, with these libraries preloaded.
fn program(name: &str, libraries: &[&Path]) -> Command {
    let folder = programs();
    let mut command = with_library_in(folder, folder.join(name));
    if !libraries.is_empty() {
        let files: Vec<_> = libraries
            .iter()
            .map(|file| file.to_str().unwrap())
            .collect();
        command.env("LD_PRELOAD", files.join(":"));
    }
    command
}

/// The same with Superstream on.
fn advised(service: &FaultService, name: &str, libraries: &[&Path]) -> Command {
    let mut command = program(name, libraries);
    command
        .env("SUPERSTREAM_HOST", service.url())
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    command
}

fn service() -> FaultService {
    FaultService::advising(json!({"linger.ms": 50}))
}

/// What the binding says of a producer without advice, but for the engine's version.
const STOCK: &str = "linger.ms 5, produced 0, flushed 0";
/// With advice.
const ADVISED: &str = "linger.ms 50, produced 0, flushed 0";

/// The lines of the binding without the engine's version.
fn producers(command: &mut Command) -> Vec<String> {
    let said = run(command);
    let rest = |line: &str| line.split_once(": ").map_or(line, |line| line.1).to_owned();
    said.lines().map(rest).collect()
}

#[test]
fn a_binding_that_fetches_functions_by_name_is_reached() {
    let service = service();
    let (library, hooks) = (preload(), hooks());
    for (libraries, expected) in [
        (vec![], STOCK),
        (vec![&*library], STOCK),
        (vec![&*hooks], STOCK),
        (vec![&*library, &*hooks], ADVISED),
        (vec![&*hooks, &*library], ADVISED),
    ] {
        let mut command = advised(&service, "binding", &libraries);
        assert_eq!(
            producers(command.arg(engine())),
            [expected],
            "with {libraries:?}"
        );
    }
    let registered = service.requests().iter().filter(|r| r.registers()).count();
    assert_eq!(registered, 2, "one client each time that it was reached");
}

#[test]
fn without_a_host_it_is_left_alone() {
    let (library, hooks) = (preload(), hooks());
    let mut off = program("binding", &[&library, &hooks]);
    assert_eq!(producers(off.arg(engine())), [STOCK]);
    let mut empty = program("binding", &[&library, &hooks]);
    empty.arg(engine()).env("SUPERSTREAM_HOST", "");
    assert_eq!(producers(&mut empty), [STOCK]);
    let service = service();
    let mut disabled = advised(&service, "binding", &[&library, &hooks]);
    disabled.arg(engine()).env("SUPERSTREAM_DISABLED", "True");
    assert_eq!(producers(&mut disabled), [STOCK]);
    assert_eq!(service.connections(), 0);
}

#[test]
fn parent_and_child_are_reached() {
    let service = service();
    let mut command = advised(&service, "binding", &[&preload(), &hooks()]);
    command.arg(engine()).arg("fork");
    assert_eq!(producers(&mut command), [ADVISED; 3]);
}

#[test]
fn many_threads_look_functions_up_at_once() {
    let service = service();
    let mut command = advised(&service, "binding", &[&preload(), &hooks()]);
    command.arg(engine()).args(["threads", "16"]);
    assert_eq!(producers(&mut command), [ADVISED; 16]);
}

/// What the program finds in all the ways that there are.
fn account(libraries: &[&Path], host: &str) -> Vec<String> {
    let mut command = program("lookups", libraries);
    command.arg(engine()).env("SUPERSTREAM_HOST", host);
    run(&mut command).lines().map(str::to_owned).collect()
}

/// Nobody listens there, and nobody is asked: no client is created.
const HOST: &str = "http://127.0.0.1:1";

/// Every handle, `RTLD_NEXT`, `RTLD_DEFAULT`, the caller's RUNPATH, error texts, errno.
#[test]
fn lookups_by_others_are_answered_as_by_libc() {
    let (library, hooks) = (preload(), hooks());
    let stock = account(&[], "");
    let beside = "beside outer, by name: libhooks_leaf.so, error none, then none";
    assert!(stock.iter().any(|line| line == beside), "{stock:#?}");
    let next = "next of outer: libhooks_inner.so, error none, then none";
    assert!(stock.iter().any(|line| line == next), "{stock:#?}");

    assert_eq!(account(&[&hooks], ""), stock);
    assert_eq!(
        account(&[&hooks], HOST),
        stock,
        "the main library is missing"
    );
    // The main library itself is in the global scope, hooks or not.
    let with_library = account(&[&library], "");
    assert_eq!(account(&[&library, &hooks], ""), with_library);
}

/// With Superstream on, the engine's own functions of the intercepted names are the only ones
/// that are answered otherwise; one that the engine lacks stays missing, with libc's own error.
#[test]
fn only_the_intercepted_functions_are_answered_otherwise() {
    let (library, hooks) = (preload(), hooks());
    let before = account(&[&library], HOST);
    let after = account(&[&library, &hooks], HOST);
    assert_eq!(before.len(), after.len());
    let changed: Vec<_> = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .map(|(before, after)| (before.as_str(), after.contains("librdkafka.so")))
        .collect();
    let was = |what: &str| format!("{what}: librdkafka.so.1, error none, then none");
    let expected = [
        was("engine"),
        was("engine"),
        was("after an error"),
        was("after another"),
    ];
    assert_eq!(
        changed,
        expected
            .iter()
            .map(|line| (line.as_str(), false))
            .collect::<Vec<_>>()
    );
    for line in after.iter().filter(|line| line.starts_with("after an")) {
        assert!(line.ends_with("error none, then none"), "{line}");
    }
}

/// The modules of a program that opens them with `RTLD_DEEPBIND`.
fn modules(command: &mut Command, names: &[&str]) -> Vec<String> {
    command.args(names.iter().map(|name| programs().join(name)));
    run(command).lines().map(str::to_owned).collect()
}

const DEEP: &str = "binds to itself, linger.ms 5";
const DEEP_STRANGER: &str = "binds to itself, linger.ms of no engine";
const REACHED: &str = "binds to the host, linger.ms 50";

#[test]
fn a_deeply_bound_module_is_reached_where_it_uses_librdkafka() {
    let service = service();
    let (library, hooks) = (preload(), hooks());
    let files = ["stranger.so", "module.so"];
    for libraries in [vec![], vec![&*library], vec![&*hooks]] {
        let mut command = advised(&service, "host", &libraries);
        let said = modules(&mut command, &files);
        assert_eq!(said, [DEEP_STRANGER, DEEP], "with {libraries:?}");
    }
    let said = modules(&mut program("host", &[&library, &hooks]), &files);
    assert_eq!(said, [DEEP_STRANGER, DEEP], "without a host");
    let mut disabled = advised(&service, "host", &[&library, &hooks]);
    disabled.env("SUPERSTREAM_DISABLED", "true");
    let said = modules(&mut disabled, &files);
    assert_eq!(said, [DEEP_STRANGER, DEEP], "disabled");
    assert_eq!(service.connections(), 0);

    let said = modules(&mut advised(&service, "host", &[&library, &hooks]), &files);
    assert_eq!(said, [DEEP_STRANGER, REACHED]);
}

/// Without the flag the module would find the engine that everybody has, and not its own.
#[test]
fn a_deeply_bound_module_beside_a_global_engine_keeps_its_own() {
    let service = service();
    let mut command = advised(&service, "host", &[&preload(), &hooks()]);
    command.arg("-g").arg(engine());
    assert_eq!(modules(&mut command, &["module.so"]), [DEEP]);
    assert_eq!(service.connections(), 0);
}

/// Another library that takes the same functions still sees every call. Where it comes first and
/// goes to libc directly, as most do, ours sees none: that is as without us.
#[test]
fn another_library_with_such_hooks_stays_in_the_chain() {
    let service = service();
    let (library, hooks, other) = (preload(), hooks(), programs().join("other.so"));
    for (libraries, expected) in [
        (vec![&*other], STOCK),
        (vec![&*library, &*hooks, &*other], ADVISED),
        (vec![&*other, &*library, &*hooks], STOCK),
    ] {
        let mut command = advised(&service, "binding", &libraries);
        let said = producers(command.arg(engine()));
        let other = "the other library saw dlsym dlopen";
        assert_eq!(said, [expected, other], "with {libraries:?}");
    }
    let mut command = advised(&service, "host", &[&library, &hooks, &other]);
    let said = modules(&mut command, &["module.so"]);
    assert_eq!(said[0], REACHED);
    assert!(
        said[1].starts_with("the other library saw dlsym"),
        "{said:?}"
    );
}

/// Its first calls come before anything else runs, some of them from within a lookup.
#[test]
fn a_malloc_that_is_found_by_dlsym_works() {
    let service = service();
    let (library, hooks, malloc) = (preload(), hooks(), programs().join("malloc.so"));
    for libraries in [
        [&*library, &*hooks, &*malloc],
        [&*malloc, &*library, &*hooks],
    ] {
        let mut command = advised(&service, "binding", &libraries);
        assert_eq!(producers(command.arg(engine())), [ADVISED], "{libraries:?}");
    }
}

/// It meets every process that it is preloaded into.
#[test]
fn the_library_asks_for_little_and_does_nothing_by_itself() {
    let hooks = hooks();
    let listed = run(tool("nm")
        .args(["-D", "--defined-only", "--format=posix"])
        .arg(&hooks));
    let names: Vec<_> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, ["dlopen", "dlsym"]);

    let table = run(tool("readelf").arg("-dW").arg(&hooks));
    assert!(table.contains("Library soname: [libsuperstream-hooks.so]"));
    for line in table.lines().filter(|line| line.contains("(NEEDED)")) {
        let known = ["[libc.so.6]", "[libdl.so.2]"];
        assert!(known.iter().any(|name| line.contains(name)), "{line}");
    }
    for flag in ["NODELETE", "NOW", "SYMBOLIC"] {
        assert!(table.contains(flag), "{flag} is missing\n{table}");
    }
    for unwanted in ["STATIC_TLS", "INIT", "FINI", "RPATH", "RUNPATH", "TEXTREL"] {
        assert!(!table.contains(unwanted), "{unwanted}\n{table}");
    }

    let versions = run(tool("readelf").arg("-VW").arg(&hooks));
    for version in versions.split("GLIBC_").skip(1) {
        let minor = version.strip_prefix("2.").unwrap();
        let end = minor.find(|character: char| !character.is_ascii_digit());
        let minor: u32 = minor[..end.unwrap_or(minor.len())].parse().unwrap();
        assert!(minor <= 17, "it needs GLIBC_2.{minor}");
    }

    let stripped = unique(superstream_tests::scratch(), "stripped.so");
    run(tool("strip").arg("-o").arg(&stripped).arg(&hooks));
    assert!(fs::metadata(&stripped).unwrap().len() < 500 * 1024);
}
