//! Programs that start another one in their place, and are of no interest themselves.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The command within a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Peeled {
    pub command: Vec<OsString>,
    pub environment: Vec<(OsString, OsString)>,
    /// How the launcher keeps our environment from the command.
    pub drops_environment: Option<String>,
}

/// A launcher's options: those that take a value of their own, and those that take none. What is
/// not here ends the search: then nothing is known.
struct Launcher {
    name: &'static str,
    with_value: &'static [&'static str],
    without: &'static [&'static str],
    /// Words before the command: `timeout`'s duration, `gosu`'s user.
    words: usize,
}

const LAUNCHERS: &[Launcher] = &[
    Launcher {
        name: "nice",
        with_value: &["-n", "--adjustment"],
        without: &[],
        words: 0,
    },
    Launcher {
        name: "nohup",
        with_value: &[],
        without: &[],
        words: 0,
    },
    Launcher {
        name: "setsid",
        with_value: &[],
        without: &["-c", "-f", "-w", "--ctty", "--fork", "--wait"],
        words: 0,
    },
    Launcher {
        name: "timeout",
        with_value: &["-k", "-s", "--kill-after", "--signal"],
        without: &["-v", "--foreground", "--preserve-status", "--verbose"],
        words: 1,
    },
    Launcher {
        name: "stdbuf",
        with_value: &["-i", "-o", "-e", "--input", "--output", "--error"],
        without: &[],
        words: 0,
    },
    Launcher {
        name: "ionice",
        with_value: &["-c", "-n", "--class", "--classdata"],
        without: &["-t", "--ignore"],
        words: 0,
    },
    Launcher {
        name: "tini",
        with_value: &["-p", "-e"],
        without: &["-s", "-w", "-g", "-v", "-vv", "-vvv"],
        words: 0,
    },
    Launcher {
        name: "dumb-init",
        with_value: &["-r", "--rewrite"],
        without: &["-c", "-v", "--single-child", "--verbose"],
        words: 0,
    },
    Launcher {
        name: "gosu",
        with_value: &[],
        without: &[],
        words: 1,
    },
    Launcher {
        name: "su-exec",
        with_value: &[],
        without: &[],
        words: 1,
    },
    Launcher {
        name: "taskset",
        with_value: &[],
        without: &["-a", "-c", "-ac", "--all-tasks", "--cpu-list"],
        words: 1,
    },
    Launcher {
        name: "chrt",
        with_value: &[],
        without: &["-b", "-f", "-i", "-o", "-r", "-R", "-v"],
        words: 1,
    },
    Launcher {
        name: match cfg!(target_arch = "aarch64") {
            true => "ld-linux-aarch64.so.1",
            false => "ld-linux-x86-64.so.2",
        },
        with_value: &[
            "--library-path",
            "--preload",
            "--argv0",
            "--audit",
            "--inhibit-rpath",
        ],
        without: &["--inhibit-cache"],
        words: 0,
    },
];

/// Takes a launcher off a command; `None` where there is none, or it is not understood.
pub fn peel(executable: &Path, arguments: &[OsString]) -> Option<Peeled> {
    let name = executable.file_name()?;
    if name == "env" {
        return peel_env(arguments.get(1..)?);
    }
    let launcher = LAUNCHERS.iter().find(|launcher| name == launcher.name)?;
    let mut rest = arguments.get(1..)?;
    while let Some((option, behind)) = rest.split_first() {
        let text = option.to_str()?;
        if text == "--" {
            rest = behind;
            break;
        }
        if !text.starts_with('-') {
            break;
        }
        rest = if launcher.with_value.contains(&text) {
            behind.get(1..)?
        } else if launcher.without.contains(&text) || has_its_value(launcher, text) {
            behind
        } else {
            return None;
        };
    }
    let command = rest.get(launcher.words..)?.to_vec();
    (!command.is_empty()).then(|| Peeled {
        command,
        ..Peeled::default()
    })
}

/// `--signal=KILL`, `-n5`, or `nice`'s old `-5`.
fn has_its_value(launcher: &Launcher, text: &str) -> bool {
    let number = text.trim_start_matches('-');
    let is_old = launcher.name == "nice" && number.bytes().all(|byte| byte.is_ascii_digit());
    is_old
        || launcher
            .with_value
            .iter()
            .any(|option| match option.starts_with("--") {
                true => text
                    .split_once('=')
                    .is_some_and(|(name, _)| name == *option),
                false => text.len() > 2 && text.starts_with(option),
            })
}

fn peel_env(mut rest: &[OsString]) -> Option<Peeled> {
    let mut peeled = Peeled::default();
    let split;
    while let Some((word, behind)) = rest.split_first() {
        let text = word.to_str();
        match text {
            Some("-i" | "-" | "--ignore-environment") => {
                peeled.drops_environment = Some(format!("env {}", text.unwrap_or_default()));
                rest = behind;
            }
            Some("-u" | "--unset") => {
                peeled.unset(behind.first()?);
                rest = behind.get(1..)?;
            }
            Some("-C" | "--chdir") => rest = behind.get(1..)?,
            Some("--") => rest = behind,
            Some(text) if text.starts_with("--unset=") => {
                peeled.unset(OsStr::new(text.split_once('=')?.1));
                rest = behind;
            }
            Some(text) if text.starts_with("-S") => {
                // Quotes and escapes are rare here, and then nothing is known.
                let words = text.strip_prefix("-S")?;
                if words.contains(['\'', '"', '\\', '$', '#']) {
                    return None;
                }
                let words = words.split_whitespace().map(OsString::from);
                split = words.chain(behind.iter().cloned()).collect::<Vec<_>>();
                let inner = peel_env(&split)?;
                peeled.environment.extend(inner.environment);
                peeled.drops_environment = peeled.drops_environment.or(inner.drops_environment);
                peeled.command = inner.command;
                return Some(peeled);
            }
            Some(text) if text.starts_with('-') => return None,
            _ => match assignment(word) {
                Some((name, value)) => {
                    if name == "LD_PRELOAD" {
                        peeled.drops_environment = Some("env LD_PRELOAD=…".to_owned());
                    }
                    peeled.environment.push((name, value));
                    rest = behind;
                }
                None => break,
            },
        }
    }
    peeled.command = rest.to_vec();
    (!peeled.command.is_empty()).then_some(peeled)
}

impl Peeled {
    fn unset(&mut self, name: &OsStr) {
        if name == "LD_PRELOAD" {
            self.drops_environment = Some("env -u LD_PRELOAD".to_owned());
        }
    }
}

fn assignment(word: &OsStr) -> Option<(OsString, OsString)> {
    let bytes = word.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let part = |bytes| OsStr::from_bytes(bytes).to_owned();
    Some((part(&bytes[..at]), part(&bytes[at + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peeled(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let executable = Path::new("/usr/bin").join(&words[0]);
        let peeled = peel(&executable, &words)?;
        let words: Vec<&str> = peeled
            .command
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect();
        Some(words.join(" "))
    }

    #[test]
    fn the_command_within_is_found() {
        for line in [
            "env app -x",
            "env A=1 B=2 app -x",
            "env -u A -C / -- A=1 app -x",
            "nice app -x",
            "nice -n 5 app -x",
            "nice -5 app -x",
            "nice --adjustment=5 app -x",
            "nohup app -x",
            "setsid -w app -x",
            "timeout 5 app -x",
            "timeout -k 1 -sKILL --foreground 5s app -x",
            "stdbuf -oL -e 0 app -x",
            "ionice -c3 app -x",
            "tini -g -- app -x",
            "dumb-init --single-child -r 15:3 -- app -x",
            "gosu nobody app -x",
            "su-exec 65534:65534 app -x",
            "taskset -c 0-1 app -x",
            "chrt -f 50 app -x",
        ] {
            assert_eq!(peeled(line).as_deref(), Some("app -x"), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        for line in [
            "env",
            "env A=1",
            "nice --what app",
            "timeout 5",
            "app -x",
            "env -S'a' b",
        ] {
            assert_eq!(peeled(line), None, "{line}");
        }
    }

    #[test]
    fn a_first_line_with_several_words_is_split() {
        let words = ["env", "-S python3 -u", "/s"].map(OsString::from);
        let peeled = peel(Path::new("/usr/bin/env"), &words).unwrap();
        assert_eq!(peeled.command, ["python3", "-u", "/s"]);
    }

    #[test]
    fn a_launcher_that_would_lose_our_environment_is_named() {
        for (line, dropped) in [
            ("env -i app", true),
            ("env - app", true),
            ("env -u LD_PRELOAD app", true),
            ("env LD_PRELOAD=x app", true),
            ("env --unset=LD_PRELOAD app", true),
            ("env PATH=/x app", false),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let peeled = peel(Path::new("/usr/bin/env"), &words).unwrap();
            assert_eq!(peeled.drops_environment.is_some(), dropped, "{line}");
        }
    }
}
