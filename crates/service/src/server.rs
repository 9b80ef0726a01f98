//! Starting and stopping: sockets, TLS, and limits that keep slow or many peers from harm.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::directory::Directory;
use crate::mask::Masker;
use crate::nats::{Nats, NatsError};
use crate::rules::{Rules, RulesError};
use crate::store::{Store, StoreError};
use crate::tls::{self, TlsError};
use crate::veltix::{self, Links, Veltix};
use crate::{api, nats, reload};

/// Connections that are served at once; more wait in the system's queue.
pub const MAX_CONNECTIONS: u32 = 512;
/// How long a peer may take over the headers of its next request, an idle connection included.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a peer may take over the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may live. A peer that asks and never reads the answers would keep it.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How long requests under way may go on when the service stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often clients are to report where nothing else is asked for.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(600);
/// The least of what can be asked for.
pub const LEAST_REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How often clients that are long gone are forgotten.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);
/// The pause after the system refused a connection, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a service is started with.
#[derive(Clone, Default)]
pub struct Options {
    /// `address:port`; port 0 is any free one. Empty is `127.0.0.1:0`.
    pub listen: String,
    /// The token that clients must show. Without one, all are served.
    pub token: Option<String>,
    /// The rules file; without one, the built-in advice is given.
    pub rules: Option<PathBuf>,
    /// The database file; without one, memory.
    pub db: Option<PathBuf>,
    /// Have every client observe, whatever the rules say.
    pub observe: bool,
    /// How often clients are to report; without it, [`REPORT_INTERVAL`].
    pub report_interval: Option<Duration>,
    /// Files of the certificate chain and its key; with them, HTTPS is served instead of HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The NATS server to serve clients over too.
    pub nats: Option<nats::Options>,
    /// `address:port` to serve clients over Veltix at too; port 0 is any free one.
    pub veltix: Option<String>,
}

/// Why a service did not start.
#[derive(Debug)]
pub enum StartError {
    /// The rules file cannot be used.
    Rules(String),
    /// The certificate or its key cannot be used.
    Tls(TlsError),
    /// The database cannot be used.
    Store(PathBuf, StoreError),
    /// The address cannot be listened on.
    Listen(String, std::io::Error),
    /// NATS cannot be used.
    Nats(NatsError),
    /// Veltix cannot be served at this address.
    Veltix(String, superstream_veltix::Error),
    /// The system gives no threads.
    Runtime(std::io::Error),
}

impl StartError {
    /// Whether the caller asked for something that cannot be, rather than the system failing.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Rules(_) | Self::Tls(_) | Self::Nats(_))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(reason) => write!(f, "the rules cannot be used: {reason}"),
            Self::Tls(error) => write!(f, "TLS cannot be served: {error}"),
            Self::Store(file, error) => {
                write!(f, "the database {} cannot be used: {error}", file.display())
            }
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Nats(error) => write!(f, "NATS cannot be used: {error}"),
            Self::Veltix(address, error) => {
                write!(f, "cannot serve Veltix at {address}: {error}")
            }
            Self::Runtime(error) => write!(f, "the system gives no threads: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<RulesError> for StartError {
    fn from(error: RulesError) -> Self {
        Self::Rules(error.to_string())
    }
}

/// A service that runs.
pub struct Running {
    address: SocketAddr,
    tls: bool,
    directory: Arc<Directory>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    helpers: Vec<JoinHandle<()>>,
    nats: Option<Nats>,
    veltix: Option<Veltix>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as clients are told.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Where it listens for links, as clients are told.
    pub fn veltix_url(&self) -> Option<String> {
        self.veltix.as_ref().map(Veltix::url)
    }

    /// What it knows of its clients.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Stops it; requests under way are answered first, for a while.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.directory.stop();
        for helper in &self.helpers {
            helper.abort();
        }
        let nats_stops = async {
            if let Some(nats) = self.nats {
                nats.stop().await;
            }
        };
        let links_stop = async {
            if let Some(veltix) = self.veltix {
                veltix.stop().await;
            }
        };
        let (accepting, (), ()) = tokio::join!(self.accepting, nats_stops, links_stop);
        if accepting.is_err() {
            log::error!("the service stopped by itself before it was told to");
        }
    }
}

/// Starts a service. When this returns, it listens.
pub async fn start(options: Options) -> Result<Running, StartError> {
    let (rules, text) = match &options.rules {
        Some(file) => {
            let (rules, text) = reload::load(file).map_err(StartError::Rules)?;
            (rules, Some(text))
        }
        None => (Rules::built_in()?, None),
    };
    let tls = match &options.tls {
        Some((chain, key)) => Some(tls::acceptor(chain, key).map_err(StartError::Tls)?),
        None => None,
    };
    let interval = options.report_interval.unwrap_or(REPORT_INTERVAL);
    let interval = interval.max(LEAST_REPORT_INTERVAL);
    let store = match &options.db {
        Some(file) => {
            Store::open(file, interval).map_err(|e| StartError::Store(file.clone(), e))?
        }
        None => Store::in_memory(interval).map_err(|e| StartError::Store("in memory".into(), e))?,
    };
    let listen = if options.listen.is_empty() {
        "127.0.0.1:0"
    } else {
        &options.listen
    };
    let refused = |error| StartError::Listen(listen.to_owned(), error);
    let listener = TcpListener::bind(listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;

    let is_in_memory = options.db.is_none();
    let nats = options.nats.as_ref();
    let secrets = options.token.iter().chain(nats.map(|nats| &nats.password));
    let masker = Masker::new(secrets.map(String::as_str));
    let directory = Arc::new(Directory::new(store, rules, masker, options.observe));
    let token: Option<Arc<str>> = options.token.map(Arc::from);
    let nats = match options.nats {
        Some(nats) => {
            if is_in_memory {
                log::warn!(
                    "clients are kept in memory (no --db): the deployed SDKs do not register again \
                     when this service is started again, and other instances do not know them"
                );
            }
            let started = nats::start(&nats, directory.clone()).await;
            Some(started.map_err(StartError::Nats)?)
        }
        None => None,
    };
    let links = Arc::new(Links::default());
    let veltix = match options.veltix {
        Some(address) => {
            let tls = match &options.tls {
                Some((chain, key)) => Some(tls::config(chain, key).map_err(StartError::Tls)?),
                None => None,
            };
            let (directory, links) = (directory.clone(), links.clone());
            let started = veltix::start(&address, tls, directory, links, token.clone());
            Some(started.map_err(|error| StartError::Veltix(address, error))?)
        }
        None => None,
    };
    if token.is_none() {
        let links = veltix
            .as_ref()
            .map(|veltix| format!(" or {}", veltix.url()));
        let links = links.unwrap_or_default();
        log::warn!("no token is set: everyone who reaches {address}{links} is served");
    }
    let mut helpers = vec![tokio::spawn(prune(directory.clone()))];
    if let (Some(file), Some(text)) = (options.rules, text) {
        helpers.push(tokio::spawn(
            reload::Watch::new(file, text, directory.clone()).run(),
        ));
    }
    let (stop, stopped) = watch::channel(false);
    let running_tls = tls.is_some();
    let router = api::router(directory.clone(), links, token);
    let accepting = tokio::spawn(accept(listener, router, tls, stopped));
    Ok(Running {
        address,
        tls: running_tls,
        directory,
        stop,
        accepting,
        helpers,
        nats,
        veltix,
    })
}

async fn prune(directory: Arc<Directory>) {
    let mut ticks = tokio::time::interval(PRUNE_INTERVAL);
    loop {
        ticks.tick().await;
        let directory = directory.clone();
        match tokio::task::spawn_blocking(move || directory.prune()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => log::info!("{count} clients were long gone and are forgotten"),
            Ok(Err(error)) => log::error!("clients that are long gone stay: {error}"),
            Err(error) => log::error!("clients that are long gone stay: {error}"),
        }
    }
}

async fn accept(listener: TcpListener, router: Router, tls: Option<TlsAcceptor>, stopped: Stopped) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let connections_stop = stopped.clone();
    let mut stop = pin!(told(stopped));
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            () = &mut stop => break,
            (place, accepted) = next => match accepted {
                Ok((stream, _)) => (place, stream),
                Err(error) => {
                    log::error!("a connection could not be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let (router, tls, stopped) = (router.clone(), tls.clone(), connections_stop.clone());
        tokio::spawn(async move {
            serve(stream, router, tls, stopped).await;
            drop(place);
        });
    }
    drop(listener);
    // Who has all the places knows that nobody is served any more.
    let all_places = places.acquire_many(MAX_CONNECTIONS);
    if tokio::time::timeout(STOP_TIMEOUT, all_places)
        .await
        .is_err()
    {
        log::warn!("some requests were not finished when the service stopped");
    }
}

type Stopped = watch::Receiver<bool>;

/// Returns when the service is to stop.
async fn told(mut stopped: Stopped) {
    // An error means that nobody is left to say it: the same.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

async fn serve(stream: TcpStream, router: Router, tls: Option<TlsAcceptor>, stopped: Stopped) {
    // Answers are small and whole: nothing is won by holding them back.
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("a connection is gone: {error}");
    }
    match tls {
        None => talk(stream, router, stopped).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => talk(stream, router, stopped).await,
            Ok(Err(error)) => log::debug!("a TLS handshake failed: {error}"),
            Err(_) => log::debug!("a TLS handshake took too long"),
        },
    }
}

async fn talk<S>(stream: S, router: Router, stopped: Stopped)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = tokio::time::timeout(MAX_AGE, told(stopped)) => {
            // The request under way, if any, is the last.
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(api::REQUEST_TIMEOUT, connection).await {
                Ok(ended) => ended,
                Err(_) => return log::debug!("a connection was cut: its peer does not read"),
            }
        }
    };
    if let Err(error) = ended {
        log::debug!("a connection ended early: {error}");
    }
}
