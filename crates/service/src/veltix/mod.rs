//! The service over Veltix: a process keeps one connection for all of its clients, and the service
//! speaks first where it has something to say. What is asked goes to the same [`Directory`] as over
//! HTTP. `docs/link.md` has the conversation.
//!
//! | module | what it holds |
//! |---|---|
//! | `links` | which clients are on which connection |
//! | `talk` | one message: what is asked of the directory, and the answer |
//! | `push` | what the service says unasked |

mod links;
mod push;
mod talk;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use superstream_veltix::session::Options as Limits;
use superstream_veltix::{
    ClientInfo, CloseReason, Endpoint, EndpointConfig, Error, Server, ServerConfig,
};
use tokio::task::JoinHandle;
use tokio_rustls::rustls;

pub use links::Links;
pub use push::ask_clients_to_report;

use crate::body::MAX_REPORTS_BODY;
use crate::directory::Directory;

/// Connections at once; more wait in the system's queue.
pub const MAX_CONNECTIONS: usize = 4_096;
/// How long a peer may take to say who it is.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked for those that did not, and the log is told of lost links.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Beyond the longest body, so that one which is little longer is told so.
const FRAME_ROOM: usize = 64 * 1024;
/// The longest frame of a peer that has not said who it is. Its first word has a few hundred bytes.
const STRANGER_FRAME: usize = 64 * 1024;
/// Callbacks at once. The store does one thing at a time.
const WORKERS: usize = 8;
/// How long what a peer has sent already may take to arrive before its connection is closed.
const ARRIVAL: Duration = Duration::from_secs(2);
/// How long what was taken may be worked on then.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What every callback needs.
struct Post {
    directory: Arc<Directory>,
    links: Arc<Links>,
    token: Option<Arc<str>>,
    /// Held while clients come onto a link or are lost with one, here and in the store: a process may
    /// be back on a new link before the end of the old one is worked on.
    moving: Mutex<()>,
    is_stopping: AtomicBool,
}

/// The service over Veltix, as it runs.
pub struct Veltix {
    address: SocketAddr,
    is_encrypted: bool,
    post: Arc<Post>,
    server: Server,
    endpoint: Endpoint,
    helpers: Vec<JoinHandle<()>>,
}

/// Starts it. When this returns, it listens.
pub fn start(
    address: &str,
    tls: Option<rustls::ServerConfig>,
    directory: Arc<Directory>,
    links: Arc<Links>,
    token: Option<Arc<str>>,
) -> Result<Veltix, Error> {
    let (host, port) = host_and_port(address)?;
    let is_encrypted = tls.is_some();
    let mut config = ServerConfig::new(host, port);
    config.max_connection = MAX_CONNECTIONS;
    config.max_untrusted_message_size = Some(STRANGER_FRAME);
    config.session = Limits {
        max_message_size: MAX_REPORTS_BODY + FRAME_ROOM,
        ..Limits::default()
    };
    if let Some(tls) = tls {
        config = config.with_tls(Arc::new(tls));
    }
    directory.tally().serve_links();
    let post = Arc::new(Post {
        directory,
        links,
        token,
        moving: Mutex::default(),
        is_stopping: AtomicBool::new(false),
    });
    let endpoint = Endpoint::new(&EndpointConfig {
        max_workers: WORKERS,
    })?;
    let server = Server::on(&endpoint, config);
    // The directory is asked in the callbacks themselves: their threads may wait for the disk, and each
    // connection's messages are worked on in order. While they are behind, its socket is not read.
    let of = post.clone();
    server.on_connect(move |peer| of.open(peer));
    let of = post.clone();
    server.on_recv(move |peer, message| of.work_on(peer, &message));
    let of = post.clone();
    server.on_disconnect(move |peer, reason| of.close(peer, reason));
    let helpers = vec![
        tokio::spawn(post.clone().carry(post.directory.updated())),
        tokio::spawn(post.clone().follow(post.directory.rules_changed())),
        tokio::spawn(post.clone().look()),
    ];
    let started = server.start();
    let local = started.and_then(|()| server.local_addr().ok_or(Error::NotConnected));
    let address = match local {
        Ok(address) => address,
        Err(error) => {
            helpers.iter().for_each(JoinHandle::abort);
            return Err(error);
        }
    };
    Ok(Veltix {
        address,
        is_encrypted,
        post,
        server,
        endpoint,
        helpers,
    })
}

/// `host:port`, where the host may be an IPv6 address in brackets.
fn host_and_port(address: &str) -> Result<(&str, u16), Error> {
    let (host, port) = address
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or_else(|| Error::BadAddress("is not ADDRESS:PORT".to_owned()))?;
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    Ok((inner.unwrap_or(host), port))
}

impl Veltix {
    /// Where it listens, as clients are told.
    pub fn url(&self) -> String {
        let scheme = match self.is_encrypted {
            true => "veltixs",
            false => "veltix",
        };
        format!("{scheme}://{}", self.address)
    }

    /// Answers what has been asked, closes all links, and ends. The clients on them are not lost: they
    /// go on elsewhere.
    pub async fn stop(self) {
        self.post.is_stopping.store(true, Ordering::SeqCst);
        let stopped = tokio::task::spawn_blocking(move || {
            self.answer_what_came();
            let is_written = self.server.close_all();
            let is_finished = self.endpoint.shutdown(STOP_TIMEOUT);
            self.helpers.iter().for_each(JoinHandle::abort);
            is_written && is_finished
        });
        if !stopped.await.unwrap_or(false) {
            log::warn!("some messages were not finished when the service stopped");
        }
    }

    /// What answers a ping comes after all that was sent before, and is worked on after it.
    fn answer_what_came(&self) {
        let (working, finished) = mpsc::channel::<()>();
        for peer in self.server.clients() {
            let (then, working) = (peer.clone(), working.clone());
            let asked = peer.ping_async(ARRIVAL, move |_| {
                then.close();
                drop(working);
            });
            if asked.is_err() {
                peer.close();
            }
        }
        drop(working);
        // Ends when nobody works any more.
        let _ = finished.recv_timeout(STOP_TIMEOUT);
    }
}

impl Post {
    fn open(&self, peer: &ClientInfo) {
        if self.is_stopping.load(Ordering::SeqCst) {
            return peer.close();
        }
        if !self.links.open(peer) {
            log::debug!(
                "{} is closed: too many have not said who they are",
                peer.addr()
            );
            peer.close();
        }
    }

    /// The clients of a link that ended are gone at once, unless they said goodbye before.
    fn close(&self, peer: &ClientInfo, reason: &CloseReason) {
        let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = self.links.close(peer);
        let is_stopping = self.is_stopping.load(Ordering::SeqCst);
        if !is_stopping {
            self.lose(peer, reason, &closed.lost);
        }
        // Who sees that it is no more sees what became of its clients.
        self.count_links();
        drop(moving);
        // What was said over it is lost with it.
        for client in closed.fell_back.iter().filter(|_| !is_stopping) {
            self.tell_what_waits(client, 0);
        }
    }

    fn count_links(&self) {
        self.links
            .count(|links| self.directory.tally().set_links(links));
    }

    fn lose(&self, peer: &ClientInfo, reason: &CloseReason, clients: &[String]) {
        if clients.is_empty() {
            return log::debug!("the link from {} ended: {reason}", peer.addr());
        }
        match self.directory.lose(clients) {
            Ok(lost) => {
                self.directory.tally().link_lost(lost);
                log::debug!(
                    "the link from {} ended ({reason}), and {lost} clients with it that did not \
                     say goodbye; their tags: {}",
                    peer.addr(),
                    talk::tags_of(peer)
                );
            }
            Err(error) => log::error!("clients of a link that ended are shown on: {error}"),
        }
    }

    /// Closes a connection, unless it is let in by what it has sent: callbacks may be behind, and what
    /// comes of a ping is worked on after that.
    fn ask_stranger(self: Arc<Self>, peer: &ClientInfo) {
        let of = peer.clone();
        let asked = peer.ping_async(ARRIVAL, move |_| {
            if !self.links.is_let_in(&of) {
                log::debug!("{} did not say who it is", of.addr());
                of.close();
            }
        });
        if asked.is_err() {
            peer.close();
        }
    }

    /// Closes the connections of those that do not say who they are, and sums up what was lost.
    async fn look(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        let mut told = (0, 0);
        loop {
            ticks.tick().await;
            if let Some(before) = Instant::now().checked_sub(STRANGER_TIMEOUT) {
                for peer in self.links.strangers(before) {
                    self.clone().ask_stranger(&peer);
                }
            }
            let lost = self.directory.tally().links_lost();
            if lost != told {
                let (links, clients) = (lost.0 - told.0, lost.1 - told.1);
                log::info!("{links} links ended, and {clients} clients without a goodbye");
                told = lost;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (address, host, port) in [
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("localhost:7778", "localhost", 7778),
            ("[::1]:65535", "::1", 65_535),
        ] {
            assert_eq!(host_and_port(address).unwrap(), (host, port));
        }
        for address in ["", "7778", ":7778", "h:", "h:65536", "h:-1"] {
            assert!(host_and_port(address).is_err(), "{address}");
        }
    }
}
