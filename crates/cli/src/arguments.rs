//! The command line.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::run;
use crate::top::{Column, Tag};

/// The exit code for a wrong command line, as clap has it.
const USAGE: u8 = 2;

/// Tunes the Kafka clients (librdkafka) of programs that you cannot change.
///
/// `doctor` shows whether that will work on a program, before anything is changed. `run` starts
/// the program with it. `status` shows what it did in a running process, `top` what all clients of
/// a service do and save.
#[derive(Parser)]
#[command(
    name = "superstream",
    version,
    arg_required_else_help = true,
    max_term_width = 96
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
pub enum Task {
    /// Run a command with Superstream
    ///
    /// Sets the environment (LD_PRELOAD and the SUPERSTREAM_ variables given here) and becomes the
    /// command: process id, terminal, signals and exit code are the command's. What cannot work is
    /// refused with the reason. What the command starts gets Superstream too.
    ///
    /// Without --host the variable SUPERSTREAM_HOST decides; where that is not set either, the command
    /// runs on its plain librdkafka.
    #[command(
        override_usage = "superstream run [OPTIONS] -- COMMAND [ARGUMENT]...",
        after_help = RUN_EXAMPLES
    )]
    Run(Run),
    /// Tell whether Superstream will work on a program, why, and what to do next
    ///
    /// Looks at a command that would be run, at a running process, or at a file (an executable, a
    /// script, a module or a library), and tells which librdkafka it uses, how that is bound, which
    /// way in works and why, and what to do next. With a host it also asks the service whether it
    /// answers, whether the token is good, and what it would advise. Nothing of the program is run.
    #[command(override_usage = DOCTOR_USAGE, after_help = DOCTOR_EXAMPLES)]
    Doctor(Doctor),
    /// Show what Superstream did in a running process
    ///
    /// For each Kafka client of the process: what was changed, what was refused and why, what it would
    /// be advised at its next start, what it produced and consumed, what it saved where that was
    /// measured, and whether the service answers. Only the process's own user and root can see it.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Status),
    /// Show the live clients of a service: what they do, and what they save
    ///
    /// Shows what the service was told in the clients' reports, and nothing that was not measured:
    /// rates are those between a client's last two reports, and a saving is told only against an
    /// earlier client that ran without changes. On a terminal the table is shown again and again
    /// until q or Ctrl-C; elsewhere it is printed once.
    #[command(after_help = TOP_EXAMPLES)]
    Top(Top),
}

/// What `superstream run` is given.
#[derive(Args)]
pub struct Run {
    /// The service's address, as in SUPERSTREAM_HOST: https://HOST, nats://HOST, tls://HOST,
    /// veltixs://HOST
    #[arg(long, value_name = "URL")]
    pub host: Option<OsString>,

    /// A file that holds the token for the service
    ///
    /// The command gets the file's name, not the token, and must be able to read it.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// JSON that labels the clients, such as '{"team":"orders"}'
    #[arg(long, value_name = "JSON")]
    pub tags: Option<String>,

    /// Have Superstream write its log to standard error
    #[arg(long)]
    pub debug: bool,

    /// Whether to preload the second library too
    ///
    /// It has hooks on dlsym and dlopen, for programs that fetch librdkafka's functions at run
    /// time (.NET, Java, Ruby, PHP, LuaJIT). `auto` adds it where `superstream doctor` sees the
    /// need in the command itself; what a shell starts needs `always`.
    #[arg(long, value_enum, default_value_t = Hooks::Auto, value_name = "WHEN")]
    pub hooks: Hooks,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// When to preload the library with the hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Hooks {
    Auto,
    Always,
    Never,
}

/// What `superstream doctor` is given.
#[derive(Args)]
#[command(group = ArgGroup::new("subject").required(true).args(["command", "pid", "file"]))]
pub struct Doctor {
    /// Print a JSON document instead of words
    #[arg(long)]
    pub json: bool,

    /// Ask the service at this address; without it, at that of SUPERSTREAM_HOST
    #[arg(long, value_name = "URL")]
    pub host: Option<OsString>,

    /// A file that holds the token for the service
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Look at this running process
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Option<u32>,

    /// Look at this file
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Look at this command, as it would be run
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// What `superstream status` is given.
#[derive(Args)]
pub struct Status {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// The process. Without it: all processes of this user that have Superstream on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Option<u32>,
}

/// What `superstream top` is given.
#[derive(Args)]
pub struct Top {
    /// The service's address, of HTTP; without it, that of SUPERSTREAM_HOST
    #[arg(long, value_name = "URL")]
    pub host: Option<OsString>,

    /// A file that holds the token for the service
    ///
    /// It is read each time, so that a new token needs no restart. Without it, the token of
    /// SUPERSTREAM_TOKEN or of the file that SUPERSTREAM_TOKEN_FILE names is sent.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Only clients with this tag, and with this value where one is given
    ///
    /// Given several times: only clients with all of them.
    #[arg(long = "tag", value_name = "NAME[=VALUE]")]
    pub tags: Vec<Tag>,

    /// Also clients that are gone or silent, without rates
    #[arg(long)]
    pub all: bool,

    /// What to sort by: numbers from the greatest, texts from A to Z
    #[arg(long, value_enum, default_value_t = Column::Wire, value_name = "COLUMN")]
    pub sort: Column,

    /// How often to ask the service
    #[arg(long, default_value_t = 5, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,

    /// Show the clients once
    #[arg(long)]
    pub once: bool,

    /// Print a JSON document on a line of its own each time, instead of a table
    #[arg(long)]
    pub json: bool,
}

const DOCTOR_USAGE: &str = "\
superstream doctor [OPTIONS] -- COMMAND [ARGUMENT]...
       superstream doctor [OPTIONS] --pid N
       superstream doctor [OPTIONS] FILE";

const RUN_EXAMPLES: &str = "\
Examples:
  superstream run --host https://superstream.example.com --token-file token -- \\
      kcat -P -b broker:9092 -t orders
  superstream run --tags '{\"team\":\"orders\"}' -- python3 app.py
  superstream run --hooks always -- sh -c 'exec bundle exec karafka server'

In a systemd unit (drop-in), a Dockerfile or a crontab it stands before the command:
  ExecStart=
  ExecStart=/opt/superstream/bin/superstream run -- /usr/bin/app --its-own options
  ENTRYPOINT [\"/opt/superstream/bin/superstream\", \"run\", \"--\", \"app\"]

Exit codes: the command's own; 125 where it was refused or the command line is wrong, 126 where
the command cannot be executed, 127 where it is not found.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  superstream doctor -- kcat -P -b broker:9092 -t orders
  superstream doctor --host https://superstream.example.com --token-file token -- python3 app.py
  superstream doctor --pid 4711
  superstream doctor --json /usr/bin/app | jq -r .way_in.way

The JSON document has these members; more may come: `subject` (`kind`, `name`, `executable`),
`obstacles`, `librdkafka` (a list of `file`, `version`, `features`, `bound`, `by`, `binding`),
`way_in` (`way`: preload, preload-with-hooks, drop-in, none or unknown; `works`, `reasons`,
`others`), `service` (null where no host is given), `next`.

Exit codes: 0 a way in works (and the service, if asked, answers and takes the token), 1 not,
2 the command line is wrong.";

const STATUS_EXAMPLES: &str = "\
Examples:
  superstream status
  superstream status --pid 4711
  superstream status --json --pid 4711 | jq '.clients[].changes'

Exit codes: 0 there is something to show, 1 there is not (with the reason), 2 the command line is
wrong.";

const TOP_EXAMPLES: &str = "\
Examples:
  superstream top --host https://superstream.example.com --token-file token
  superstream top --tag team=orders --tag tier=1 --sort saved
  superstream top --once | less -S
  superstream top --json --once | jq '.clients[] | [.client_id, .figures.saved.bytes_ratio]'

A client is live that has not said goodbye and was heard of in the last three report intervals;
--all shows the others as gone or silent.
MB are 1,000,000 bytes. PAYLOAD is keys and values, WIRE is whole requests, retries included; of
a consumer, what it consumed and fetched. WIRE RATIO is wire for each byte of payload, SAVED is
that ratio against the baseline's. `unchanged` clients run without changes: others may be compared
with them, and the service says of each what is missing for that (`no_baseline_because`). `-` is
not measured, or not measured yet.

A JSON document has these members; more may come: `at_ms` (by the service's clock), `host`,
`error` (null, or why the service could not be asked; the others are null then), `totals` (as in
/v1/totals of the service), `clients` (as in its /v1/clients), `report_interval_ms` (how often
they are to report), `is_cut` (there are more clients than were looked at).

Exit codes: 0 shown, 1 the service does not answer or refuses (with the reason), 2 the command
line or a variable is wrong.";

/// Understands the command line. Help, and what is wrong, is printed; the error is the exit code.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Task, u8> {
    understand(arguments.collect()).map_err(|(error, code)| {
        // Nobody is left to be told that printing failed.
        let _ = error.print();
        let _ = std::io::stdout().flush();
        code
    })
}

fn understand(arguments: Vec<OsString>) -> Result<Task, (clap::Error, u8)> {
    let is_run = arguments.get(1).is_some_and(|task| task == "run");
    Arguments::try_parse_from(arguments)
        .map(|arguments| arguments.task)
        .map_err(|error| {
            let code = match (error.use_stderr(), is_run) {
                (false, _) => 0,
                // As env and docker do: 2 may be the command's own.
                (true, true) => run::REFUSED,
                (true, false) => USAGE,
            };
            (error, code)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, u8> {
        understand(line.split(' ').map(OsString::from).collect()).map_err(|(_, code)| code)
    }

    #[test]
    fn a_command_keeps_its_own_options() {
        for line in [
            "superstream run --debug -- app --debug -x --",
            "superstream run --debug app --debug -x --",
        ] {
            let Ok(Task::Run(run)) = parsed(line) else {
                panic!("{line}");
            };
            assert!(run.debug);
            assert_eq!(run.command, ["app", "--debug", "-x", "--"]);
        }
    }

    #[test]
    fn doctor_looks_at_one_thing() {
        assert_eq!(parsed("superstream doctor").err(), Some(USAGE));
        assert_eq!(parsed("superstream doctor --pid 1 f").err(), Some(USAGE));
        assert_eq!(parsed("superstream doctor --pid 0").err(), Some(USAGE));
        let Ok(Task::Doctor(doctor)) = parsed("superstream doctor --json -- kcat --pid 3") else {
            panic!("not understood");
        };
        assert_eq!(doctor.command, ["kcat", "--pid", "3"]);
        assert!(doctor.json && doctor.pid.is_none() && doctor.file.is_none());
    }

    #[test]
    fn a_wrong_run_is_not_taken_for_the_commands_failure() {
        assert_eq!(parsed("superstream run").err(), Some(run::REFUSED));
        assert_eq!(parsed("superstream run --host").err(), Some(run::REFUSED));
        assert_eq!(parsed("superstream run --help").err(), Some(0));
        assert_eq!(parsed("superstream nothing").err(), Some(USAGE));
    }
}
