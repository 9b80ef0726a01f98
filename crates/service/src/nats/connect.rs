//! Reaching the NATS server, and telling the log how that goes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerError};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};

use super::Options;
use crate::tally::Tally;

/// What the operator of the NATS server sees.
const NAME: &str = "superstream-service";
/// How long the start of the service waits to learn whether it is let in.
const FIRST_TRY: Duration = Duration::from_secs(2);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(10);
/// A server that says nothing for so long is asked.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// The longest pause between tries. A deployed SDK tries each second, and one that is back before us has
/// no answer to its reconnection: it tells nothing more until the next.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Messages of one subject that may wait to be looked at. They are looked at as they come.
const WAITING: usize = 8_192;

/// Why NATS cannot be used at all.
#[derive(Debug)]
pub enum NatsError {
    /// The URL is none of a NATS server.
    Url(String),
    /// The file of certificates cannot be used.
    Ca(PathBuf, Option<pem::Error>),
    /// The server is there and does not let this service in.
    Refused(String),
    /// The connection was closed.
    Closed,
}

impl fmt::Display for NatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(reason) => write!(f, "the URL of the NATS server {reason}"),
            Self::Ca(file, Some(error)) => write!(f, "{}: {error}", file.display()),
            Self::Ca(file, None) => write!(f, "{}: there is no certificate in it", file.display()),
            Self::Refused(server) => write!(
                f,
                "{server} refuses the user and the password: see --nats-user and \
                 --nats-password-file"
            ),
            Self::Closed => f.write_str("the connection was closed"),
        }
    }
}

impl std::error::Error for NatsError {}

/// Understands `nats://host[:port]` and `tls://host[:port]`. No reason repeats the URL: there may be
/// a password in it.
pub fn address(url: &str) -> Result<ServerAddr, NatsError> {
    let refused = |reason: &str| NatsError::Url(reason.to_owned());
    let address: ServerAddr = url
        .parse()
        .map_err(|_| refused("cannot be read: give nats://host:port or tls://host:port"))?;
    if !matches!(address.scheme(), "nats" | "tls") {
        return Err(refused("must begin with nats:// or tls://"));
    }
    let rest = address.clone().into_inner();
    if !rest.username().is_empty() || rest.password().is_some() {
        return Err(refused(
            "must not hold a user or a password: others can read the list of processes; use \
             --nats-user and --nats-password-file",
        ));
    }
    let is_bare = matches!(rest.path(), "" | "/") && rest.query().is_none();
    if address.host().is_empty() || !is_bare || rest.fragment().is_some() {
        return Err(refused("must be nats://host:port or tls://host:port"));
    }
    Ok(address)
}

/// Connects, or goes on trying for as long as the service runs. Being refused at the start is an
/// error: nothing would become of it but a service that nobody hears.
pub async fn connect(options: &Options, tally: Arc<Tally>) -> Result<Client, NatsError> {
    let address = address(&options.url)?;
    if let Some(file) = &options.ca {
        check_ca(file)?;
    }
    let server = format!("{}:{}", address.host(), address.port());
    let log = Arc::new(Log::new(server.clone(), tally));
    let first = settings(options, log.clone()).connect(address.clone());
    match tokio::time::timeout(FIRST_TRY, first).await {
        Ok(Ok(client)) => return Ok(client),
        Ok(Err(error)) => match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                return Err(NatsError::Refused(server));
            }
            _ => log.is_away(&error),
        },
        Err(_) => log.is_away(&"it does not answer"),
    }
    let settings = settings(options, log).retry_on_initial_connect();
    settings
        .connect(address)
        .await
        .map_err(|_| NatsError::Closed)
}

fn settings(options: &Options, log: Arc<Log>) -> ConnectOptions {
    let settings = ConnectOptions::new()
        .name(NAME)
        .user_and_password(options.user.clone(), options.password.clone())
        .connection_timeout(TRY)
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(WAITING)
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            let log = log.clone();
            async move { log.event(&event) }
        });
    match &options.ca {
        Some(file) => settings.add_root_certificates(file.clone()),
        None => settings,
    }
}

/// 0.1 s at first, and twice as long with each try.
fn pause(tries: usize) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(10);
    match tries {
        0 | 1 => Duration::ZERO,
        _ => LONGEST_PAUSE.min(Duration::from_millis(50) * 2u32.pow(doublings)),
    }
}

fn check_ca(file: &Path) -> Result<(), NatsError> {
    let unusable = |error| NatsError::Ca(file.to_owned(), error);
    let mut certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| unusable(Some(error)))?;
    match certificates.next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(unusable(Some(error))),
        None => Err(unusable(None)),
    }
}

/// Tells of the connection: each trouble once, however often it comes again.
struct Log {
    server: String,
    tally: Arc<Tally>,
    told: Mutex<Option<String>>,
}

impl Log {
    fn new(server: String, tally: Arc<Tally>) -> Self {
        tally.set_nats_up(false);
        Self {
            server,
            tally,
            told: Mutex::default(),
        }
    }

    /// Whether a trouble is another one than was told last.
    fn is_news(&self, trouble: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.as_deref() != Some(trouble);
        if is_news {
            *told = Some(trouble.to_owned());
        }
        is_news
    }

    fn is_away(&self, reason: &dyn fmt::Display) {
        let reason = reason.to_string();
        if self.is_news(&reason) {
            let server = &self.server;
            log::warn!("the NATS server {server} cannot be reached, and is tried again: {reason}");
        }
    }

    fn event(&self, event: &Event) {
        let server = &self.server;
        match event {
            Event::Connected => {
                *self.told.lock().unwrap_or_else(PoisonError::into_inner) = None;
                self.tally.set_nats_up(true);
                log::info!("connected to the NATS server {server}");
            }
            Event::Disconnected => {
                self.tally.set_nats_up(false);
                log::warn!("the connection to the NATS server {server} is lost");
            }
            Event::SlowConsumer(_) => self.tally.nats_dropped(),
            Event::LameDuckMode => log::info!("the NATS server {server} is going to stop"),
            Event::ServerError(ServerError::AuthorizationViolation) => self.is_refused(),
            Event::ServerError(error) => {
                // Such as a permission that is missing.
                if self.is_news(&error.to_string()) {
                    log::error!("the NATS server {server} complains: {error}");
                }
            }
            Event::ClientError(error) => {
                let error = error.to_string();
                match error.contains("authorization violation") || error.contains("authentication")
                {
                    true => self.is_refused(),
                    false => self.is_away(&error),
                }
            }
            Event::Draining | Event::Closed => {}
        }
    }

    fn is_refused(&self) {
        let refused = NatsError::Refused(self.server.clone());
        if self.is_news("refused") {
            log::error!("{refused}; it is tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for url in [
            "nats://localhost",
            "nats://[::1]:4222",
            "tls://a.b:1/",
            "host:4222",
        ] {
            assert!(address(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "http://host",
            "ws://host",
            "nats://me:hunter2@host",
            "nats://hunter2@host",
            "nats://:hunter2@host",
            "nats://host/hunter2",
            "nats://host?hunter2",
            "nats://host#hunter2",
            "nats://ho st/hunter2",
            "nats://a:1,nats://hunter2:2",
        ] {
            let error = address(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }

    #[test]
    fn pauses_grow_to_an_end() {
        assert_eq!(pause(1), Duration::ZERO);
        assert_eq!(pause(2), Duration::from_millis(100));
        assert_eq!(pause(usize::MAX), LONGEST_PAUSE);
    }
}
