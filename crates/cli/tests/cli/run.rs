//! `superstream run`: the command is itself, in an environment with Superstream.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use crate::support::{Said, Stage, compile, text};

const RUN: &[&str] = &["run", "--host", "http://h"];

/// The environment that a command gets.
fn environment(command: &mut Command) -> BTreeMap<String, String> {
    let said = Said::by(command);
    assert_eq!(said.code, Some(0), "{said:?}");
    let pairs = said.out.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn exit_code_and_process_are_the_commands() {
    let stage = Stage::new();
    let said = stage.output(&[RUN, &["--", "sh", "-c", "exit 42"]].concat());
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (Some(42), "", "")
    );

    let mut command = stage.superstream(&[RUN, &["sh", "-c", "echo $$; kill -TERM $$"]].concat());
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        id.to_string()
    );
    assert_eq!(output.status.signal(), Some(libc::SIGTERM));
}

#[test]
fn the_command_keeps_its_name_and_arguments() {
    let stage = Stage::new();
    let said = stage.output(&["run", "sh", "-c", "echo \"$#:$*\"", "sh", "--", "-x", ""]);
    assert_eq!(said.out, "3:-- -x \n");

    let engine = stage.engine("librdkafka.so.1", &[]);
    stage.caller("bin/app", &engine, &[]);
    let mut command = stage.superstream(&["run", "app"]);
    command.env("PATH", stage.path("bin"));
    assert_eq!(Said::by(&mut command).out, "app\n");
}

#[test]
fn the_library_is_in_the_command_and_in_its_children() {
    let stage = Stage::new();
    let look = "grep -c libsuperstream.so /proc/self/maps >&2; exec cat /proc/self/maps";
    let said = stage.output(&[RUN, &["sh", "-c", look]].concat());
    assert!(said.out.contains(&stage.library()), "{said:?}");
    assert_ne!(said.err, "0\n");
}

#[test]
fn what_others_preload_stays() {
    let stage = Stage::new();
    let mine = stage.path("mine.so");
    compile("plain.c", &mine, &["-shared", "-fPIC"]);
    let (library, mine) = (stage.library(), text(&mine));
    for (present, expected) in [
        (String::new(), library.clone()),
        (mine.clone(), format!("{library}:{mine}")),
        (format!("{mine} {mine}"), format!("{library}:{mine}:{mine}")),
        (format!("{mine}:{library}"), format!("{library}:{mine}")),
    ] {
        let mut command = stage.superstream(&[RUN, &["env"]].concat());
        command.env("LD_PRELOAD", present);
        assert_eq!(environment(&mut command)["LD_PRELOAD"], expected);
    }
    // One within the other is one.
    let program = text(&stage.path("bin/superstream"));
    let mut command = stage.superstream(&[RUN, &[&program, "run", "env"]].concat());
    assert_eq!(environment(&mut command)["LD_PRELOAD"], library);
}

#[test]
fn only_what_is_given_is_set() {
    let stage = Stage::new();
    let ours = |environment: BTreeMap<String, String>| -> Vec<String> {
        let names = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with("SUPERSTREAM_"));
        names
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    };
    let nothing = environment(&mut stage.superstream(&["run", "env"]));
    assert_eq!(nothing["LD_PRELOAD"], stage.library());
    assert_eq!(ours(nothing), Vec::<String>::new());

    let mut command = stage.superstream(&[
        "run",
        "--host",
        "http://h",
        "--tags",
        "{\"a\":1}",
        "--debug",
        "env",
    ]);
    command.env("SUPERSTREAM_MODE", "observe");
    assert_eq!(
        ours(environment(&mut command)),
        [
            "SUPERSTREAM_DEBUG=true",
            "SUPERSTREAM_HOST=http://h",
            "SUPERSTREAM_MODE=observe",
            "SUPERSTREAM_TAGS={\"a\":1}",
        ]
    );
}

#[test]
fn the_token_stays_in_its_file() {
    let stage = Stage::new();
    let file = stage.write("token", "very-secret\n");
    let look = "tr '\\0' '\\n' < /proc/$$/environ; tr '\\0' '\\n' < /proc/$$/cmdline";
    let arguments = [RUN, &["--token-file", "token", "sh", "-c", look]].concat();
    let mut command = stage.superstream(&arguments);
    command.env("SUPERSTREAM_TOKEN", "an-older-secret");
    let said = Said::by(&mut command);
    let expected = format!("SUPERSTREAM_TOKEN_FILE={}\n", file.display());
    assert!(said.out.contains(&expected), "{said:?}");
    assert!(!said.out.contains("secret"), "{said:?}");
}

#[test]
fn signals_are_as_the_parent_left_them() {
    let stage = Stage::new();
    let signals = |setup: fn() -> io::Result<()>, arguments: &[&str]| {
        let mut command = match arguments {
            [] => stage.tool("grep"),
            run => stage.superstream(run),
        };
        if !arguments.is_empty() {
            command.arg("grep");
        }
        command.args(["^S.*\\(Pnd\\|Blk\\|Ign\\)", "/proc/self/status"]);
        // SAFETY: the closure calls only functions that may be called after a fork.
        unsafe { command.pre_exec(setup) };
        Said::by(&mut command).out
    };
    let nothing: fn() -> io::Result<()> = || Ok(());
    let nohup: fn() -> io::Result<()> = || {
        // SAFETY: signal and sigprocmask may be called after a fork; the set is a value of ours.
        unsafe {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGUSR1);
            // As a supervisor does, that reads it from a descriptor.
            libc::sigaddset(&raw mut set, libc::SIGCHLD);
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        }
        Ok(())
    };
    for setup in [nothing, nohup] {
        let plain = signals(setup, &[]);
        assert!(plain.contains("SigIgn"), "{plain}");
        assert_eq!(signals(setup, RUN), plain);
    }
    assert_ne!(signals(nohup, RUN), signals(nothing, RUN));
}

#[test]
fn descriptors_are_as_the_parent_left_them() {
    let stage = Stage::new();
    let look = "exec 3</dev/null; exec \"$@\" ls /proc/self/fd";
    let mut plain = stage.tool("sh");
    plain.args(["-c", look, "sh"]);
    let mut run = stage.tool("sh");
    run.args(["-c", look, "sh"])
        .arg(stage.path("bin/superstream"))
        .args(RUN);
    let plain = Said::by(&mut plain);
    assert!(plain.out.contains('3'), "{plain:?}");
    assert_eq!(Said::by(&mut run).out, plain.out);
}

#[test]
fn the_terminal_is_the_commands() {
    let stage = Stage::new();
    let program = text(&stage.path("bin/superstream"));
    let line =
        format!("{program} run --host http://h sh -c 'test -t 0 && test -t 1 && tty && exit 5'");
    let mut command = stage.tool("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    let said = Said::by(&mut command);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(said.out.contains("/dev/"), "{said:?}");
}

#[test]
fn hooks_come_where_functions_are_fetched() {
    let stage = Stage::new();
    stage.engine("librdkafka.so.1", &[]);
    let fetcher = stage.path("fetcher");
    compile("fetcher.c", &fetcher, &["-ldl"]);
    // A link is enough: a runtime is known by its name.
    symlink("/usr/bin/env", stage.path("ruby")).unwrap();
    let both = format!("{}:{}", stage.library(), stage.hooks());

    let preloaded = |arguments: &[&str]| {
        let mut command = stage.superstream(&["run"]);
        command.args(arguments).env("LD_LIBRARY_PATH", ".");
        let said = Said::by(&mut command);
        assert_eq!(said.code, Some(0), "{said:?}");
        let line = said
            .out
            .lines()
            .find(|line| line.contains("libsuperstream.so"))
            .unwrap();
        line.trim_start_matches("LD_PRELOAD=").to_owned()
    };
    assert_eq!(preloaded(&["./fetcher"]), both);
    assert_eq!(preloaded(&["./ruby"]), both);
    assert_eq!(preloaded(&["nice", "-n", "1", "./fetcher"]), both);
    assert_eq!(
        preloaded(&["--hooks", "never", "./fetcher"]),
        stage.library()
    );
    assert_eq!(preloaded(&["env"]), stage.library());
    assert_eq!(preloaded(&["--hooks", "always", "env"]), both);

    fs::remove_file(stage.hooks()).unwrap();
    stage
        .output(&["run", "./fetcher"])
        .complains(125, &["libsuperstream-hooks.so", "missing"]);
    assert_eq!(stage.output(&["run", "env"]).code, Some(0));
}

#[test]
fn a_program_with_the_drop_in_gets_no_second_superstream() {
    let stage = Stage::new();
    let drop_in = stage.engine("librdkafka.so.1", &["-DDROP_IN"]);
    let app = stage.caller("app", &drop_in, &[]);
    let mut command = stage.superstream(&["run", &text(&app)]);
    command.env("LD_DEBUG", "files");
    let said = Said::by(&mut command);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("librdkafka.so.1"), "{said:?}");
    assert!(!said.err.contains("libsuperstream"), "{said:?}");
}

#[test]
fn an_installation_has_its_libraries_in_lib() {
    let stage = Stage::without_libraries();
    fs::create_dir(stage.path("lib")).unwrap();
    let library = stage.path("lib/libsuperstream.so.0");
    compile("superstream.c", &library, &["-shared", "-fPIC"]);
    let found = environment(&mut stage.superstream(&["run", "env"]));
    assert_eq!(found["LD_PRELOAD"], text(&library));
    // Through a link, as in /usr/local/bin.
    symlink("bin/superstream", stage.path("elsewhere")).unwrap();
    let found = environment(stage.tool(stage.path("elsewhere")).args(["run", "env"]));
    assert_eq!(found["LD_PRELOAD"], text(&library));
}
