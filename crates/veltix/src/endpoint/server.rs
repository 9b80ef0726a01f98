//! The server that an application uses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::client_info::ClientInfo;
use super::config::ServerConfig;
use super::server_core::ServerCore;
use super::shared::{Command, listen};
use super::{Endpoint, lock};
use crate::address::Address;
use crate::error::{CloseReason, Error};
use crate::frames::Wire;
use crate::message::{MessageType, Request, RequestId, Response};
use crate::session::now_ms;

/// A server. Callbacks run in order for each client, and never hold up what arrives.
///
/// They get the client that they are about, and can send to it; one that needs the server itself
/// should hold a [`Weak`](std::sync::Weak), or neither will ever be dropped.
///
/// ```
/// use superstream_veltix::{MessageType, Request, Server, ServerConfig};
///
/// const GREETING: MessageType = MessageType::of(200);
/// const QUESTION: MessageType = MessageType::of(201);
///
/// # fn main() -> Result<(), superstream_veltix::Error> {
/// let server = Server::new(ServerConfig::new("127.0.0.1", 0))?;
/// server.on_connect(|client| {
///     client.tags().add("new");
///     if let Err(error) = client.send(&Request::new(GREETING, "welcome")) {
///         eprintln!("{client:?}: {error}");
///     }
/// });
/// server.route(QUESTION, |client, question| {
///     let answer = Request::reply_to(&question, QUESTION, "yes");
///     if let Err(error) = client.send(&answer) {
///         eprintln!("{client:?}: {error}");
///     }
/// });
/// server.on_disconnect(|client, reason| println!("{client:?} is gone: {reason}"));
/// server.start()?;
/// println!("listening on {:?}", server.local_addr());
///
/// let told = server.broadcast(&Request::new(GREETING, "to all"), &[]);
/// println!("to {} clients; {} could not be told", told.sent, told.failed.len());
/// assert!(server.close_all(), "something was not written in time");
/// # Ok(())
/// # }
/// ```
pub struct Server {
    core: Arc<ServerCore>,
    _endpoint: Endpoint,
}

/// What became of a broadcast.
#[derive(Debug, Default)]
pub struct Broadcast {
    /// The clients that it is on its way to.
    pub sent: usize,
    /// The others, each with what was wrong.
    pub failed: Vec<(ClientInfo, Error)>,
}

impl Server {
    /// A server on the process's [`Endpoint::shared`]. It listens once it is started.
    pub fn new(config: ServerConfig) -> Result<Self, Error> {
        Ok(Self::on(&Endpoint::shared()?, config))
    }

    /// A server on an endpoint.
    pub fn on(endpoint: &Endpoint, config: ServerConfig) -> Self {
        Self {
            core: ServerCore::new(config, endpoint.inner()),
            _endpoint: endpoint.clone(),
        }
    }

    /// Takes messages that no route takes.
    pub fn on_recv(&self, handler: impl Fn(&ClientInfo, Response) + Send + Sync + 'static) {
        self.core.handlers.set_recv(Arc::new(handler));
    }

    /// Is told of clients that have greeted, before any of their messages.
    pub fn on_connect(&self, handler: impl Fn(&ClientInfo) + Send + Sync + 'static) {
        self.core.handlers.set_connect(Arc::new(handler));
    }

    /// Is told of clients that are gone, and why, after all of their messages, and once what was sent to
    /// them is written or cannot be: [`ClientInfo::unsent_bytes`].
    pub fn on_disconnect(
        &self,
        handler: impl Fn(&ClientInfo, &CloseReason) + Send + Sync + 'static,
    ) {
        self.core.handlers.set_disconnect(Arc::new(handler));
    }

    /// Takes messages of one type, before [`Server::on_recv`]. `false` where the type has a route
    /// already, which stays.
    pub fn route(
        &self,
        message_type: MessageType,
        handler: impl Fn(&ClientInfo, Response) + Send + Sync + 'static,
    ) -> bool {
        self.core.handlers.route(message_type, Arc::new(handler))
    }

    /// Takes a route away. Whether there was one.
    pub fn unroute(&self, message_type: MessageType) -> bool {
        self.core.handlers.unroute(message_type)
    }

    /// Listens from now on. What the system refuses is told here.
    pub fn start(&self) -> Result<(), Error> {
        let config = &self.core.config;
        // The system takes its time for a name, and others ask where it listens meanwhile.
        let candidates = Address::new(config.host.as_str(), config.port).resolve()?;
        let mut state = lock(&self.core.state);
        if state.listening.is_some() {
            return Err(Error::WrongState("the server was started before"));
        }
        let mut last = Error::BadAddress("has a host without addresses".to_owned());
        for candidate in candidates {
            match listen(candidate) {
                Ok(listener) => {
                    let token = self.core.shared.token();
                    let addr = listener.local_addr()?;
                    let core = Arc::clone(&self.core);
                    // Under the lock: should the endpoint end now, it takes back what is set here.
                    let command = Command::Listen(core, listener, token);
                    if !self.core.shared.begin(command) {
                        return Err(Error::WrongState("the endpoint has ended"));
                    }
                    state.listening = Some((addr, token));
                    state.begins(token);
                    return Ok(());
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    /// Where it listens; `None` while it does not.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        lock(&self.core.state).listening.map(|(addr, _)| addr)
    }

    /// The clients that have greeted and are not gone.
    pub fn clients(&self) -> Vec<ClientInfo> {
        self.core.clients()
    }

    /// Those with a tag.
    pub fn clients_by_tag(&self, name: &str) -> Vec<ClientInfo> {
        let mut clients = self.clients();
        clients.retain(|client| client.tags().has(name));
        clients
    }

    /// Sends to one client: [`ClientInfo::send`].
    pub fn send(&self, client: &ClientInfo, request: &Request) -> Result<RequestId, Error> {
        client.send(request)
    }

    /// Asks one client: [`ClientInfo::send_and_wait`].
    pub fn send_and_wait(
        &self,
        client: &ClientInfo,
        request: &Request,
        timeout: Duration,
    ) -> Result<Response, Error> {
        client.send_and_wait(request, timeout)
    }

    /// The time of a round trip: [`ClientInfo::ping`].
    pub fn ping_client(&self, client: &ClientInfo, timeout: Duration) -> Result<Duration, Error> {
        client.ping(timeout)
    }

    /// Sends to all clients but some. One that is slow holds up no other.
    pub fn broadcast(&self, request: &Request, except: &[ClientInfo]) -> Broadcast {
        self.broadcast_to(&self.clients(), request, except)
    }

    /// Sends to some clients, without those excepted.
    pub fn broadcast_to(
        &self,
        clients: &[ClientInfo],
        request: &Request,
        except: &[ClientInfo],
    ) -> Broadcast {
        let mut result = Broadcast::default();
        // The frame of each wire, made once. All have one id, as in Python.
        let mut frames: [Option<Vec<u8>>; 2] = [None, None];
        for client in clients {
            if except.contains(client) {
                continue;
            }
            let sent = if request.message_type.is_reserved() {
                Err(Error::Reserved(request.message_type))
            } else {
                let wire = client.wire();
                let id = request.id.unwrap_or(match wire {
                    Wire::V1 => RequestId(now_ms() as u32),
                    // Beyond what a peer numbers its own requests with.
                    Wire::V2 => RequestId(wire.max_id()),
                });
                let frame = frames[usize::from(wire == Wire::V2)].get_or_insert_with(|| {
                    let mut frame = Vec::new();
                    let content = &request.content;
                    wire.encode(request.message_type, id, now_ms(), content, &mut frame);
                    frame
                });
                client.link().send_encoded(frame, wire, id)
            };
            match sent {
                Ok(()) => result.sent += 1,
                Err(error) => result.failed.push((client.clone(), error)),
            }
        }
        result
    }

    /// Ends all connections, after what was sent, and listens no more. Whether all was written in
    /// time, to those too whose connections were on their way out already. Callbacks that run go on.
    /// It can be started again.
    pub fn close_all(&self) -> bool {
        let mut state = lock(&self.core.state);
        if let Some((_, token)) = state.listening.take() {
            // An endpoint that ends closes it by itself.
            self.core.shared.begin(Command::CloseServer(token));
        }
        self.core.wait_for_close(state)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((_, token)) = lock(&self.core.state).listening.take() {
            self.core.shared.command(Command::CloseServer(token));
        }
    }
}
