//! What all calls share: events come, some are answered at once, and a connection ends once.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::connection::ServerInfo;
use crate::denials::Denials;
use crate::error::{Error, told};
use crate::info::Info;
use crate::options::{Address, Options};
use crate::protocol::{Delivery, Event, Parser};
use crate::pulse::{Beat, Pulse};
use crate::wire::{Came, Wire, Written};

/// What servers take that do not say it.
const DEFAULT_MAX_PAYLOAD: usize = 1024 * 1024;
/// Of a cluster's servers so many are remembered.
const MAX_OTHERS: usize = 64;
/// Where a write has failed, so many looks find out whether the server has said why.
const LAST_LOOKS: usize = 64;

/// A connection that speaks NATS, and does not know yet what for.
pub struct Session {
    /// None once the connection has ended.
    wire: Option<Wire>,
    parser: Parser,
    pub info: ServerInfo,
    /// What INFO said last that only the beginning needs.
    pub latest: Option<Info>,
    pub others: Vec<Address>,
    pub denials: Denials,
    pub pulse: Pulse,
    ended: Option<Ended>,
    /// Whether anything may be said yet: before INFO and TLS nothing goes out.
    pub greeted: bool,
    named: Address,
    /// Where the named server is, if this is a connection to it.
    named_at: Option<SocketAddr>,
    password: Option<String>,
}

struct Ended {
    reason: String,
    unauthorized: bool,
}

/// What a look at the server has brought.
pub enum Progress {
    Delivery(Delivery),
    /// Something that needs no more care, or nothing yet.
    Other,
    /// The deadline has passed.
    Late,
}

/// How long to look. One look is always had, at what lies there already.
pub struct Look {
    deadline: Instant,
    had: bool,
}

impl Look {
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            had: false,
        }
    }

    /// At what lies there.
    pub fn once() -> Self {
        Self::until(Instant::now())
    }
}

impl Session {
    /// Over a socket to `server`, before the first word.
    pub fn new(wire: Wire, options: &Options, server: &Address) -> Self {
        Self {
            named_at: wire.peer().filter(|_| *server == options.server),
            greeted: false,
            wire: Some(wire),
            parser: Parser::new(),
            info: ServerInfo {
                max_payload: DEFAULT_MAX_PAYLOAD,
                ..ServerInfo::default()
            },
            latest: None,
            others: Vec::new(),
            denials: Denials::default(),
            // Until it is up, its deadline is all the patience there is.
            pulse: Pulse::new(Duration::MAX, Instant::now()),
            ended: None,
            named: options.server.clone(),
            password: options.password.clone(),
        }
    }

    pub fn ended(&self) -> Option<&str> {
        self.ended.as_ref().map(|ended| ended.reason.as_str())
    }

    /// The wire; the reason of the end where there is none any more.
    pub fn wire(&mut self) -> Result<&mut Wire, Error> {
        match (&mut self.wire, &self.ended) {
            (Some(wire), None) => Ok(wire),
            (_, ended) => Err(ended.as_ref().map_or(Error::TimedOut, Ended::error)),
        }
    }

    /// The wire, and the parser of what comes over it, before anything encrypted came.
    pub fn wire_and_parser(&mut self) -> Option<(&mut Wire, &mut Parser)> {
        Some((self.wire.as_mut()?, &mut self.parser))
    }

    /// Takes an event, or waits until there may be one.
    pub fn advance(&mut self, look: &mut Look) -> Result<Progress, Error> {
        self.wire()?;
        match self.parser.next() {
            Ok(Some(event)) => return self.take(event),
            Ok(None) => {}
            Err(malformed) => {
                self.end(malformed.to_owned());
                return Err(Error::Protocol(malformed.to_owned()));
            }
        }
        // However much comes, nobody is kept beyond the deadline.
        if look.had && Instant::now() >= look.deadline {
            return Ok(Progress::Late);
        }
        look.had = true;
        let Some((wire, parser)) = self.wire_and_parser() else {
            return Ok(Progress::Late);
        };
        match wire.read(parser) {
            Ok(Came::Bytes) => self.pulse.heard(Instant::now()),
            Ok(Came::Nothing) => return self.wait(look.deadline),
            Ok(Came::End) => {
                let text = "the server closed the connection";
                return Err(self.broke(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            Err(error) => return Err(self.broke(error)),
        }
        Ok(Progress::Other)
    }

    fn wait(&mut self, deadline: Instant) -> Result<Progress, Error> {
        let now = Instant::now();
        match self.pulse.check(now) {
            Beat::Fine => {}
            Beat::Ask => {
                self.pulse.ping();
                self.answer(b"PING\r\n")?;
            }
            Beat::Gone => {
                self.end("stale: the server answers no PING".to_owned());
                self.wire()?;
            }
        }
        if now >= deadline {
            return Ok(Progress::Late);
        }
        let until = self
            .pulse
            .next()
            .map_or(deadline, |next| next.min(deadline));
        match self.wire()?.wait_readable(until) {
            Ok(_) => Ok(Progress::Other),
            Err(error) => Err(self.broke(error)),
        }
    }

    fn take(&mut self, event: Event) -> Result<Progress, Error> {
        match event {
            Event::Message(delivery) => return Ok(Progress::Delivery(delivery)),
            Event::Info(info) => self.learn(*info),
            Event::Ping if !self.greeted => {}
            Event::Ping => self.answer(b"PONG\r\n")?,
            Event::Pong => self.pulse.pong(),
            Event::Ok => {}
            Event::Err(text) => {
                let told = told(&text, self.password.as_deref());
                if !Denials::is_one(&text) {
                    return Err(self.refused(&text, told));
                }
                self.denials.push(&text, told);
            }
        }
        Ok(Progress::Other)
    }

    /// What the server closes the connection for.
    fn refused(&mut self, text: &str, told: String) -> Error {
        let text = text.to_ascii_lowercase();
        let is_about_us = |words: &str| text.contains(words);
        let ended = Ended {
            reason: told,
            unauthorized: [
                "authorization violation",
                "invalid checksum",
                "authentication expired",
                "authentication revoked",
            ]
            .into_iter()
            .any(is_about_us),
        };
        let error = ended.error();
        self.shut_down();
        self.ended = Some(ended);
        error
    }

    /// Says something that nobody waits for. Where the socket is broken, reading on tells more: what the
    /// server said last, and then the end.
    fn answer(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.wire()?.leave(bytes) {
            return Ok(());
        }
        self.end("the server does not read what it is sent".to_owned());
        self.wire().map(drop)
    }

    /// Sends something whole, or ends the connection.
    pub fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), Error> {
        match self.wire()?.write(bytes, deadline) {
            Ok(Written::Whole) => Ok(()),
            Ok(Written::Not) => Err(Error::TimedOut),
            Ok(Written::Half) => {
                self.end("a message was sent by half only, in the time there was".to_owned());
                Err(Error::TimedOut)
            }
            Err(error) => Err(self.why_broken(error)),
        }
    }

    /// A write has failed: the server may have said why before it closed the connection.
    fn why_broken(&mut self, error: io::Error) -> Error {
        for _ in 0..LAST_LOOKS {
            while let Ok(Some(event)) = self.parser.next() {
                let Event::Err(text) = event else { continue };
                if !Denials::is_one(&text) {
                    let told = told(&text, self.password.as_deref());
                    return self.refused(&text, told);
                }
            }
            let Some((wire, parser)) = self.wire_and_parser() else {
                break;
            };
            if !matches!(wire.read(parser), Ok(Came::Bytes)) {
                break;
            }
        }
        self.broke(error)
    }

    fn broke(&mut self, error: io::Error) -> Error {
        let error = of_wire(error, self.password.as_deref());
        self.end(error.to_string());
        error
    }

    /// Closes the connection, for a reason that is told from now on. The first is the true one.
    pub fn end(&mut self, reason: String) {
        self.shut_down();
        self.ended.get_or_insert(Ended {
            reason,
            unauthorized: false,
        });
    }

    /// A forked child may have a copy of the socket, and keep it.
    fn shut_down(&mut self) {
        if let Some(wire) = self.wire.take() {
            wire.shut_down();
        }
    }

    /// INFO may come at any time, and then leave out what has not changed.
    fn learn(&mut self, info: Info) {
        if let Some(name) = &info.server_name {
            self.info.server_name = told(name, self.password.as_deref());
        }
        if let Some(id) = info.client_id {
            self.info.client_id = id;
        }
        let max_payload = info
            .max_payload
            .and_then(|bytes| usize::try_from(bytes).ok());
        if let Some(bytes) = max_payload {
            self.info.max_payload = bytes;
        }
        if let Some(urls) = &info.connect_urls {
            self.others = self.others_of(urls);
        }
        self.latest = Some(info);
    }

    /// All but the named server. Over an encrypted connection it is learnt that others are spoken to
    /// so as well.
    fn others_of(&self, urls: &[String]) -> Vec<Address> {
        let encrypted = self.wire.as_ref().is_some_and(Wire::is_encrypted);
        let mut others: Vec<Address> = Vec::new();
        for url in urls.iter().take(MAX_OTHERS) {
            let Ok(mut other) = Address::parse(url) else {
                continue;
            };
            other.tls = self.named.tls || encrypted;
            let at = other.ip().map(|ip| SocketAddr::new(ip, other.port));
            let is_named = (&other.host, other.port) == (&self.named.host, self.named.port)
                || at.is_some() && at == self.named_at;
            if !is_named && !others.contains(&other) {
                others.push(other);
            }
        }
        others
    }

    /// The connection is encrypted now: so will be those to the others.
    pub fn encrypted(&mut self) {
        self.others.iter_mut().for_each(|other| other.tls = true);
    }
}

impl Ended {
    fn error(&self) -> Error {
        match self.unauthorized {
            true => Error::Unauthorized(self.reason.clone()),
            false => Error::Closed(self.reason.clone()),
        }
    }
}

/// What the wire says, in our words. What a certificate holds was written by somebody.
pub fn of_wire(error: io::Error, password: Option<&str>) -> Error {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => Error::Tls(told(&tls.to_string(), password)),
        None if error.kind() == io::ErrorKind::TimedOut => Error::TimedOut,
        None => Error::Io(error),
    }
}
