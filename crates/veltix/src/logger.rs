//! Lines like those of the Python library, for programs that have no logger of their own.
//!
//! The crate itself speaks through [`log`], so that any logger serves.
//!
//! ```no_run
//! use superstream_veltix::logger::{Logger, LoggerConfig};
//!
//! # fn main() -> std::io::Result<()> {
//! let logger = Logger::install(&LoggerConfig {
//!     file: Some("veltix.log".into()),
//!     ..LoggerConfig::default()
//! })?;
//! log::info!("it goes to the terminal and to the file");
//! logger.set_level(log::LevelFilter::Debug);
//! # Ok(())
//! # }
//! ```

use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// What is written, and where to. It can be changed at any time, by a new
/// [`Logger::install`].
#[derive(Clone, Debug)]
pub struct LoggerConfig {
    /// The least that is written.
    pub level: LevelFilter,
    /// Lines on standard output, in colours where that is a terminal.
    pub stdout: bool,
    /// Lines without colours in this file.
    pub file: Option<PathBuf>,
    /// A file that is longer becomes `.1`, the one of before `.2`, and so on.
    pub max_bytes: usize,
    /// How many of those are kept.
    pub backups: usize,
}

impl Default for LoggerConfig {
    fn default() -> Self {
        Self {
            level: LevelFilter::Info,
            stdout: true,
            file: None,
            max_bytes: 10 * 1024 * 1024,
            backups: 5,
        }
    }
}

/// Writes log lines: `[HH:MM:SS.mmm] LEVEL [file:line] message`, in UTC. Each is written before the
/// call that says it comes back. What the file does not take, because it cannot be written or rotated,
/// goes to standard error; where a rotation leaves no file that can be opened, lines are missing from
/// it until the next.
pub struct Logger {
    state: Mutex<State>,
    counts: [AtomicU64; 5],
}

struct State {
    level: LevelFilter,
    enabled: bool,
    colours: bool,
    stdout: bool,
    file: Option<FileRotate<AppendCount>>,
}

impl Logger {
    /// Makes it the process's logger, or changes it where it is. An error where the process has
    /// another, or the file's folder cannot be used.
    pub fn install(config: &LoggerConfig) -> io::Result<&'static Self> {
        static LOGGER: Logger = Logger {
            state: Mutex::new(State {
                level: LevelFilter::Off,
                enabled: false,
                colours: false,
                stdout: false,
                file: None,
            }),
            counts: [const { AtomicU64::new(0) }; 5],
        };
        static INSTALLED: Mutex<bool> = Mutex::new(false);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if !*installed {
            log::set_logger(&LOGGER).map_err(io::Error::other)?;
            *installed = true;
        }
        LOGGER.configure(config)?;
        Ok(&LOGGER)
    }

    fn configure(&self, config: &LoggerConfig) -> io::Result<()> {
        let file = match &config.file {
            Some(path) => {
                // The crate for rotation would panic where it cannot be opened.
                std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)?;
                Some(FileRotate::new(
                    path,
                    AppendCount::new(config.backups),
                    ContentLimit::BytesSurpassed(config.max_bytes.max(1)),
                    Compression::None,
                    None,
                ))
            }
            None => None,
        };
        self.change(|state| {
            *state = State {
                level: config.level,
                enabled: true,
                colours: io::stdout().is_terminal(),
                stdout: config.stdout,
                file,
            };
        });
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        log::set_max_level(match state.enabled {
            true => state.level,
            false => LevelFilter::Off,
        });
    }

    /// Changes the least that is written.
    pub fn set_level(&self, level: LevelFilter) {
        self.change(|state| state.level = level);
    }

    /// Writes again, after [`Logger::disable`].
    pub fn enable(&self) {
        self.change(|state| state.enabled = true);
    }

    /// Writes nothing more, until [`Logger::enable`] or another [`Logger::install`].
    pub fn disable(&self) {
        self.change(|state| state.enabled = false);
    }

    /// How many lines of a level were written.
    pub fn count(&self, level: Level) -> u64 {
        self.counts[level as usize - 1].load(Ordering::Relaxed)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        self.counts[record.level() as usize - 1].fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut state.file {
            let text = line(record, false);
            // The crate for rotation panics where somebody else has moved its files.
            let written = catch_unwind(AssertUnwindSafe(|| file.write_all(text.as_bytes())));
            if !matches!(written, Ok(Ok(()))) {
                // A log that cannot be written has nobody else to tell.
                let _ = io::stderr().lock().write_all(text.as_bytes());
            }
        }
        if state.stdout {
            let text = line(record, state.colours);
            let _ = io::stdout().lock().write_all(text.as_bytes());
        }
    }

    fn flush(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut state.file {
            let _ = file.flush();
        }
        let _ = io::stdout().flush();
    }
}

fn line(record: &Record<'_>, colours: bool) -> String {
    let (name, colour) = match record.level() {
        Level::Error => ("ERROR", "\x1b[31m"),
        Level::Warn => ("WARN ", "\x1b[33m"),
        Level::Info => ("INFO ", "\x1b[32m"),
        Level::Debug => ("DEBUG", "\x1b[36m"),
        Level::Trace => ("TRACE", "\x1b[90m"),
    };
    let (colour, end) = if colours {
        (colour, "\x1b[0m")
    } else {
        ("", "")
    };
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!(
        "[{:02}:{:02}:{:02}.{millis:03}] {colour}{name}{end} [{}:{}] {}\n",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        record.file().unwrap_or("?"),
        record.line().unwrap_or(0),
        record.args()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process of its own has a logger of its own: others may set theirs here.
    fn in_a_process(test: &str) -> std::process::Output {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("logger::tests::{test}")])
            .args(["--ignored", "--nocapture"])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{said}{errors}");
        assert!(said.contains("1 passed"), "{said}");
        output
    }

    #[test]
    fn colours_are_for_terminals_and_files_rotate_and_settings_change() {
        in_a_process("as_it_is_set");
    }

    #[test]
    #[ignore = "run by the test of it"]
    fn as_it_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("veltix.log");
        let config = LoggerConfig {
            stdout: false,
            file: Some(path.clone()),
            max_bytes: 2000,
            backups: 2,
            ..LoggerConfig::default()
        };
        let logger = Logger::install(&config).unwrap();
        for number in 0..100 {
            log::info!("line {number}");
        }
        log::debug!("not written");
        assert_eq!(logger.count(Level::Info), 100);
        assert_eq!(logger.count(Level::Debug), 0);
        let newest = std::fs::read_to_string(&path).unwrap();
        assert!(newest.ends_with("line 99\n"), "{newest}");
        assert!(newest.contains("INFO  [") && !newest.contains('\x1b'));
        assert!(folder.path().join("veltix.log.1").exists());
        assert!(folder.path().join("veltix.log.2").exists());
        assert!(!folder.path().join("veltix.log.3").exists());

        // Not the first settings for ever, as in Python.
        Logger::install(&LoggerConfig {
            level: LevelFilter::Debug,
            ..config
        })
        .unwrap();
        log::debug!("written now");
        let newest = std::fs::read_to_string(&path).unwrap();
        assert!(newest.contains("DEBUG") && newest.ends_with("written now\n"));

        logger.disable();
        logger.set_level(LevelFilter::Warn);
        log::error!("not written");
        logger.enable();
        log::info!("not written");
        log::warn!("written again");
        let newest = std::fs::read_to_string(&path).unwrap();
        assert!(newest.ends_with("written again\n") && !newest.contains("not written"));
    }

    /// Run alone, by the test below: it is the process's logger, and writes to standard error.
    #[test]
    #[ignore = "run by the test of it"]
    fn to_standard_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("veltix.log");
        let mut config = LoggerConfig {
            stdout: false,
            file: Some("/dev/full".into()),
            max_bytes: 1,
            ..LoggerConfig::default()
        };
        Logger::install(&config).unwrap();
        log::info!("the disk is full");
        config.file = Some(path.clone());
        Logger::install(&config).unwrap();
        log::info!("the file has room");
        std::fs::write(path.with_extension("log.1"), "of somebody else").unwrap();
        log::info!("it cannot be rotated");
        std::fs::remove_file(path.with_extension("log.1")).unwrap();
        log::info!("it can be rotated");
    }

    #[test]
    fn what_the_file_does_not_take_is_not_lost() {
        let output = in_a_process("to_standard_error");
        let text = String::from_utf8_lossy(&output.stderr);
        for (line, is_lost) in [
            ("the disk is full", true),
            ("the file has room", false),
            ("it cannot be rotated", true),
            ("it can be rotated", false),
        ] {
            assert_eq!(text.contains(&format!("] {line}\n")), is_lost, "{text}");
        }
    }

    #[test]
    fn a_line_has_colours_where_they_are_asked_for() {
        let record = Record::builder()
            .level(Level::Warn)
            .file(Some("file.rs"))
            .line(Some(7))
            .args(format_args!("slow"))
            .build();
        assert!(line(&record, true).contains("\x1b[33mWARN \x1b[0m [file.rs:7] slow\n"));
        assert!(line(&record, false).contains("] WARN  [file.rs:7] slow\n"));
    }
}
