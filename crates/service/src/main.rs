//! `superstream-service`: the reference service on the command line.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use superstream_service::nats::{self, NO_PASSWORD, USER};
use superstream_service::server::LEAST_REPORT_INTERVAL;
use superstream_service::{Options, StartError, start};
use tokio::signal::unix::{SignalKind, signal};

/// Where the token is looked for when no flag gives it.
const TOKEN_VARIABLE: &str = "SUPERSTREAM_TOKEN";
/// The longest pause between reports that can be asked for.
const MOST_REPORT_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// How often the parent is looked for with `--exit-with-parent`.
const PARENT_INTERVAL: Duration = Duration::from_millis(200);

const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// The reference Superstream service: Kafka clients register here, are given tuning advice, and
/// report what they did with it.
///
/// Exits with 0 when told to stop (SIGINT, SIGTERM), 2 when it was started wrongly and 1 when it
/// failed.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 is any free one. `listening on http://…` on standard output tells
    /// which, once clients are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7777")]
    listen: String,

    /// The token that clients must show. Others on this machine can read it in the list of
    /// processes: --token-file or the variable SUPERSTREAM_TOKEN keep it from them
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,

    /// A file that holds the token that clients must show
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Rules for the advice (TOML); read again when the file changes. Without it, producers are
    /// advised zstd, linger.ms=100 and batch.size=1000000
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,

    /// Keep clients, reports and errors in this SQLite file, instead of in memory
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,

    /// Have every client observe: plan and report, but change nothing
    #[arg(long)]
    observe: bool,

    /// How often clients are to report: seconds, or a number with s, m or h; from 1s to 24h
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = interval)]
    report_interval: Duration,

    /// Serve HTTPS with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Serve clients over this NATS server too: nats://HOST[:PORT] or tls://HOST[:PORT]. Where it is
    /// away, it is tried again and again. Services that share a --db file share the clients
    #[arg(long, value_name = "URL")]
    nats: Option<String>,

    /// The user that the service is to the NATS server
    #[arg(long, value_name = "NAME", default_value = USER, requires = "nats")]
    nats_user: String,

    /// A file that holds the password for the NATS server. Without it, that is the token, or no-auth
    /// where there is none, as clients have it
    #[arg(long, value_name = "FILE", requires = "nats")]
    nats_password_file: Option<PathBuf>,

    /// Trust these certificates (PEM) of the NATS server, instead of the system's
    #[arg(long, value_name = "FILE", requires = "nats")]
    nats_ca: Option<PathBuf>,

    /// Serve clients over Veltix here too; port 0 is any free one. `listening on veltix://…` on standard
    /// output tells which. Encrypted (veltixs://) where there is a certificate
    #[arg(long, value_name = "ADDRESS:PORT")]
    veltix: Option<String>,

    /// Stop when the process that started this one ends, however it ends
    #[arg(long)]
    exit_with_parent: bool,

    /// Tell more on standard error
    #[arg(short, long)]
    verbose: bool,
}

/// `600`, `600s`, `10m` or `1h`.
fn interval(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    // Rust would also take a sign.
    let only_digits = digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| only_digits);
    let seconds = unit
        .zip(number)
        .and_then(|(unit, number)| number.checked_mul(unit));
    let interval = seconds.map(Duration::from_secs);
    interval
        .filter(|interval| (LEAST_REPORT_INTERVAL..=MOST_REPORT_INTERVAL).contains(interval))
        .ok_or_else(|| "give seconds, or a number with s, m or h, from 1s to 24h".to_owned())
}

enum Failure {
    Token(String),
    Start(StartError),
    System(std::io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Token(_) => USAGE,
            Self::Start(error) if error.is_usage() => USAGE,
            Self::Start(_) | Self::System(_) => FAILED,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(reason) => f.write_str(reason),
            Self::Start(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

fn main() -> ExitCode {
    // First of all: whoever is our parent later may not be the one that started us.
    let parent = std::os::unix::process::parent_id();
    let arguments = Arguments::parse();
    let level = if arguments.verbose { "debug" } else { "info" };
    let filter = format!("warn,superstream_service={level}");
    env_logger::Builder::new().parse_filters(&filter).init();
    match run(arguments, parent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to tell where standard error is closed.
            let _ = writeln!(std::io::stderr(), "superstream-service: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: Arguments, parent: u32) -> Result<(), Failure> {
    let token = token(&arguments)?;
    let options = Options {
        nats: nats_options(&arguments, token.as_deref())?,
        token,
        listen: arguments.listen,
        rules: arguments.rules,
        db: arguments.db,
        observe: arguments.observe,
        report_interval: Some(arguments.report_interval),
        tls: arguments.tls_cert.zip(arguments.tls_key),
        veltix: arguments.veltix,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::System)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::System)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::System)?;
        let running = start(options).await.map_err(Failure::Start)?;
        announce(&running.url());
        if let Some(url) = running.veltix_url() {
            announce(&url);
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_ends(parent), if arguments.exit_with_parent => {}
        }
        log::info!("stopping");
        running.stop().await;
        Ok(())
    })
}

/// A line on standard output for each address. A reader that has gone away does not stop the service.
fn announce(url: &str) {
    let mut stdout = std::io::stdout().lock();
    let told = writeln!(stdout, "listening on {url}").and_then(|()| stdout.flush());
    if let Err(error) = told {
        log::warn!("listening on {url}, which could not be told on standard output: {error}");
    }
}

fn token(arguments: &Arguments) -> Result<Option<String>, Failure> {
    let (token, whence) = match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => (token.clone(), "--token".to_owned()),
        (None, Some(file)) => (read_token(file)?, file.display().to_string()),
        (None, None) => match std::env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.is_empty() => (token, TOKEN_VARIABLE.to_owned()),
            Ok(_) | Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => (String::new(), TOKEN_VARIABLE.to_owned()),
        },
    };
    // Anything else could not be sent in a header.
    match !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(Some(token)),
        false => Err(Failure::Token(format!(
            "the token of {whence} must be visible ASCII characters without spaces, at least one"
        ))),
    }
}

fn nats_options(
    arguments: &Arguments,
    token: Option<&str>,
) -> Result<Option<nats::Options>, Failure> {
    let Some(url) = arguments.nats.clone() else {
        return Ok(None);
    };
    let password = match &arguments.nats_password_file {
        Some(file) => read_token(file)?,
        None => token.unwrap_or(NO_PASSWORD).to_owned(),
    };
    Ok(Some(nats::Options {
        url,
        user: arguments.nats_user.clone(),
        password,
        ca: arguments.nats_ca.clone(),
    }))
}

fn read_token(file: &Path) -> Result<String, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(error) => Err(Failure::Token(format!("{}: {error}", file.display()))),
    }
}

/// Returns when the process that started this one has ended. The system's own signal for that
/// would come when the parent's *thread* ends, which is another matter.
async fn parent_ends(parent: u32) {
    let mut ticks = tokio::time::interval(PARENT_INTERVAL);
    while std::os::unix::process::parent_id() == parent {
        ticks.tick().await;
    }
}
