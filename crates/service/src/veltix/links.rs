//! Which clients are on which link.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use superstream_veltix::ClientInfo;

/// The clients of one connection, at most.
pub const MAX_CLIENTS: usize = 10_000;
/// The connections that one client is on, at most: those that it left may be half open.
pub const MAX_LINKS: usize = 8;
/// Connections that have not been let in, at most. What they send is held until it is looked at.
pub const MAX_STRANGERS: usize = 256;

/// The connections of this instance of the service, and the clients on them.
#[derive(Default)]
pub struct Links(Mutex<State>);

#[derive(Default)]
struct State {
    links: HashMap<u64, Link>,
    /// The links that a client is on. The last one is the newest: an older one may be half open.
    of_client: HashMap<String, Vec<u64>>,
}

struct Link {
    peer: ClientInfo,
    since: Instant,
    is_let_in: bool,
    /// It was asked for a sign of life because it has not said who it is.
    is_asked: bool,
    clients: HashSet<String>,
}

/// What became of the clients of a connection that has ended.
#[derive(Default)]
pub struct Closed {
    /// They are on no other.
    pub lost: Vec<String>,
    /// They are spoken to over an older one from now on.
    pub fell_back: Vec<String>,
}

impl State {
    /// The newest link of a client.
    fn link(&self, client: &str) -> Option<&Link> {
        self.links.get(self.of_client.get(client)?.last()?)
    }

    /// Takes a client off a link that has ended.
    fn take_off(&mut self, client: String, id: u64, closed: &mut Closed) {
        let Some(links) = self.of_client.get_mut(&client) else {
            return;
        };
        let was_newest = links.last() == Some(&id);
        links.retain(|link| *link != id);
        if links.is_empty() {
            self.of_client.remove(&client);
            closed.lost.push(client);
        } else if was_newest {
            closed.fell_back.push(client);
        }
    }
}

impl Links {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has connected. False where too many have that have not shown that they may.
    pub fn open(&self, peer: &ClientInfo) -> bool {
        let link = Link {
            peer: peer.clone(),
            since: Instant::now(),
            is_let_in: false,
            is_asked: false,
            clients: HashSet::new(),
        };
        let mut state = self.state();
        let strangers = state.links.values().filter(|l| !l.is_let_in).count();
        let has_room = strangers < MAX_STRANGERS;
        if has_room {
            state.links.insert(peer.id(), link);
        }
        has_room
    }

    /// It has shown that it may ask.
    pub fn let_in(&self, peer: &ClientInfo) {
        if let Some(link) = self.state().links.get_mut(&peer.id()) {
            link.is_let_in = true;
        }
    }

    /// Whether it has.
    pub fn is_let_in(&self, peer: &ClientInfo) -> bool {
        let state = self.state();
        state.links.get(&peer.id()).is_some_and(|l| l.is_let_in)
    }

    /// Whether so many more clients may come onto a link.
    pub fn has_room(&self, peer: &ClientInfo, more: usize) -> bool {
        let state = self.state();
        let link = state.links.get(&peer.id());
        link.is_some_and(|link| link.clients.len().saturating_add(more) <= MAX_CLIENTS)
    }

    /// The same of these; some may be on it already, or be named twice.
    pub fn has_room_for(&self, peer: &ClientInfo, clients: &[String]) -> bool {
        let state = self.state();
        let Some(link) = state.links.get(&peer.id()) else {
            return false;
        };
        let more = clients.iter().filter(|c| !link.clients.contains(*c));
        let more = more.collect::<HashSet<_>>().len();
        link.clients.len().saturating_add(more) <= MAX_CLIENTS
    }

    /// Puts a client onto a link. Where it is on too many, it leaves the oldest.
    pub fn put(&self, peer: &ClientInfo, client: &str) {
        let (mut state, id) = (self.state(), peer.id());
        let State { links, of_client } = &mut *state;
        let Some(link) = links.get_mut(&id) else {
            return;
        };
        link.clients.insert(client.to_owned());
        let on = of_client.entry(client.to_owned()).or_default();
        on.retain(|link| *link != id);
        on.push(id);
        if on.len() > MAX_LINKS
            && let Some(oldest) = links.get_mut(&on.remove(0))
        {
            oldest.clients.remove(client);
        }
    }

    /// A client said goodbye.
    pub fn forget(&self, client: &str) {
        let mut state = self.state();
        for id in state.of_client.remove(client).unwrap_or_default() {
            if let Some(link) = state.links.get_mut(&id) {
                link.clients.remove(client);
            }
        }
    }

    /// A connection has ended.
    pub fn close(&self, peer: &ClientInfo) -> Closed {
        let (mut state, id) = (self.state(), peer.id());
        let mut closed = Closed::default();
        let link = state.links.remove(&id);
        for client in link.into_iter().flat_map(|link| link.clients) {
            state.take_off(client, id, &mut closed);
        }
        closed
    }

    /// Tells how many connections are let in. Nobody changes that meanwhile, so that of several that
    /// tell it the last one is right.
    pub fn count(&self, tell: impl FnOnce(usize)) {
        let state = self.state();
        tell(state.links.values().filter(|l| l.is_let_in).count());
    }

    /// Connections that were made before that and have not been let in, each once.
    pub fn strangers(&self, before: Instant) -> Vec<ClientInfo> {
        let mut state = self.state();
        let strangers = state.links.values_mut();
        let strangers = strangers.filter(|l| !l.is_let_in && !l.is_asked && l.since <= before);
        let asked = strangers.map(|link| {
            link.is_asked = true;
            link.peer.clone()
        });
        asked.collect()
    }

    /// The newest connection of a client.
    pub fn of(&self, client: &str) -> Option<ClientInfo> {
        self.state().link(client).map(|link| link.peer.clone())
    }

    /// The connections that clients are on.
    pub fn peers(&self) -> Vec<ClientInfo> {
        let state = self.state();
        let links = state.links.values().filter(|l| !l.clients.is_empty());
        links.map(|link| link.peer.clone()).collect()
    }

    /// The clients that are on a link.
    pub fn clients(&self) -> Vec<String> {
        self.state().of_client.keys().cloned().collect()
    }

    /// The newest connections of clients, each with those of them that it has.
    pub fn of_all(&self, clients: &[String]) -> Vec<(ClientInfo, Vec<String>)> {
        let state = self.state();
        let mut found: HashMap<u64, (ClientInfo, Vec<String>)> = HashMap::new();
        for client in clients {
            if let Some(link) = state.link(client) {
                let peer = &link.peer;
                let entry = found.entry(peer.id());
                let (_, names) = entry.or_insert_with(|| (peer.clone(), Vec::new()));
                names.push(client.clone());
            }
        }
        found.into_values().collect()
    }
}
