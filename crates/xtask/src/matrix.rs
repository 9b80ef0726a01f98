//! `MATRIX.md`: each public function of the engine, what we do with it, and which programs of
//! the tests import it.

use crate::dist::engine_version;
use crate::{Failure, root, run};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs of `examples/c` that stand for ordinary C programs.
const C_PROGRAMS: &[&str] = &["producer", "consumer", "admin", "transactions"];

/// A column: what it is called and which functions it imports.
struct Program {
    name: &'static str,
    imports: BTreeSet<String>,
}

pub fn write(built: &Path) -> Result<(), Failure> {
    fs::write(file(), render(built)?)?;
    Ok(())
}

pub fn check(built: &Path) -> Result<(), Failure> {
    let fresh = render(built)?;
    let committed = fs::read_to_string(file())?;
    if fresh == committed {
        return Ok(());
    }
    let difference = fresh
        .lines()
        .zip(committed.lines())
        .find(|(fresh, committed)| fresh != committed)
        .map_or_else(String::new, |(fresh, committed)| {
            format!("\n- {committed}\n+ {fresh}")
        });
    Err(format!("MATRIX.md is out of date, run `xtask matrix`{difference}").into())
}

fn file() -> PathBuf {
    root().join("MATRIX.md")
}

fn render(built: &Path) -> Result<String, Failure> {
    let engine = built.join("engine");
    let functions = list(&engine.join("functions.txt"))?;
    let intercepted = list(&engine.join("intercepted.txt"))?;
    let exported = symbols(&["--defined-only"], &built.join("libsuperstream.so"))?;
    let version = engine_version(&fs::read_to_string(engine.join("rdkafka.h"))?)?;

    let missing: Vec<_> = functions.difference(&exported).cloned().collect();
    if !missing.is_empty() {
        return Err(format!("not exported: {}", missing.join(", ")).into());
    }
    let programs = programs(built, &engine)?;
    for program in &programs {
        let unknown: Vec<_> = program.imports.difference(&functions).cloned().collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            return Err(format!("{} imports what is not exported: {unknown}", program.name).into());
        }
    }
    Ok(table(&version, &functions, &intercepted, &programs)?)
}

fn table(
    version: &str,
    functions: &BTreeSet<String>,
    intercepted: &BTreeSet<String>,
    programs: &[Program],
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "# Every function of librdkafka {version}\n")?;
    writeln!(
        text,
        "Made by `xtask matrix` and checked by `make test`: do not edit.\n"
    )?;
    writeln!(
        text,
        "All {} public functions are exported. {} are intercepted; a call of any other goes to \
         the engine's own code, with nothing in between.",
        functions.len(),
        intercepted.len()
    )?;
    writeln!(
        text,
        "A column with a program's name marks what that program imports.\n"
    )?;

    write!(text, "| function | drop-in |")?;
    for program in programs {
        write!(text, " {} ({}) |", program.name, program.imports.len())?;
    }
    writeln!(text, "\n|---|---|{}", "---|".repeat(programs.len()))?;
    for function in functions {
        let how = if intercepted.contains(function) {
            "intercepted"
        } else {
            "passed through"
        };
        write!(text, "| `{function}` | {how} |")?;
        for program in programs {
            write!(
                text,
                " {} |",
                if program.imports.contains(function) {
                    "●"
                } else {
                    ""
                }
            )?;
        }
        writeln!(text)?;
    }
    Ok(text)
}

fn programs(built: &Path, engine: &Path) -> Result<Vec<Program>, Failure> {
    let wrapper = run(Command::new("cc").arg("-print-file-name=librdkafka++.so.1"))?;
    // Where tests/examples.rs builds it.
    let rust = built
        .with_file_name("tmp")
        .join("rust-example/release/produce-consume");
    Ok(vec![
        Program {
            name: "C examples",
            imports: c_examples(built, engine)?,
        },
        Program {
            name: "kcat",
            imports: imports(Path::new("/usr/bin/kcat"))?,
        },
        Program {
            name: "librdkafka++",
            imports: imports(Path::new(wrapper.trim()))?,
        },
        Program {
            name: "rust-rdkafka",
            imports: imports(&rust)?,
        },
    ])
}

/// Compiled but not linked: their imports are what they call.
fn c_examples(built: &Path, engine: &Path) -> Result<BTreeSet<String>, Failure> {
    let folder = built.with_file_name("tmp").join("matrix");
    let headers = folder.join("include/librdkafka");
    fs::create_dir_all(&headers)?;
    for header in ["rdkafka.h", "rdkafka_mock.h"] {
        fs::copy(engine.join(header), headers.join(header))?;
    }
    let mut imports = BTreeSet::new();
    for program in C_PROGRAMS {
        let object = folder.join(format!("{program}.o"));
        run(Command::new("cc")
            .arg("-c")
            .arg("-isystem")
            .arg(folder.join("include"))
            .arg(root().join("examples/c").join(format!("{program}.c")))
            .arg("-o")
            .arg(&object))?;
        let output = run(Command::new("nm")
            .args(["--undefined-only", "-P"])
            .arg(&object))?;
        imports.extend(names(&output));
    }
    Ok(imports)
}

fn imports(program: &Path) -> Result<BTreeSet<String>, Failure> {
    if !program.exists() {
        let shown = program.display();
        return Err(format!("{shown} is missing: run `make setup`, then the tests").into());
    }
    symbols(&["--undefined-only"], program)
}

fn symbols(which: &[&str], file: &Path) -> Result<BTreeSet<String>, Failure> {
    Ok(names(&run(Command::new("nm")
        .args(["-D", "-P"])
        .args(which)
        .arg(file))?))
}

/// The engine's functions among what `nm -P` lists.
fn names(listing: &str) -> BTreeSet<String> {
    listing
        .lines()
        .filter_map(|line| line.split([' ', '@']).next())
        .filter(|name| name.starts_with("rd_kafka_"))
        .map(str::to_owned)
        .collect()
}

fn list(file: &Path) -> Result<BTreeSet<String>, Failure> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{}: {error} (build the library first)", file.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}
