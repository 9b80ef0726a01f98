//! How a connection is made: which servers are tried, for how long, and what is said first.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use serde::Serialize;

use crate::error::{Error, told};
use crate::info::Info;
use crate::options::{Address, Options};
use crate::pulse::Pulse;
use crate::random;
use crate::session::{Look, Progress, Session, of_wire};
use crate::wire::Wire;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

/// The first words.
#[derive(Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    echo: bool,
    headers: bool,
    no_responders: bool,
    tls_required: bool,
    lang: &'a str,
    version: &'a str,
    protocol: u8,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
}

/// Tries the named server, and then the others in random order. One that does not answer takes half
/// of the time that is left while there are others.
pub fn open(options: &Options, others: &[Address], deadline: Instant) -> Result<Session, Error> {
    let mut servers: Vec<&Address> = others.iter().collect();
    random::shuffle(&mut servers);
    servers.insert(0, &options.server);
    let mut failure = None;
    for (at, server) in servers.iter().enumerate() {
        let more = at + 1 < servers.len();
        match to_server(options, server, share(deadline, more)) {
            Ok(session) => return Ok(session),
            // The others would say the same.
            Err(error @ Error::Unauthorized(_)) => return Err(error),
            Err(error) => failure = Some(more_telling(failure, error)),
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    Err(failure.unwrap_or(Error::TimedOut))
}

/// Tries each address of a server's name, in the system's order.
fn to_server(options: &Options, server: &Address, deadline: Instant) -> Result<Session, Error> {
    let addresses = addresses(server).map_err(Error::Io)?;
    let mut failure = None;
    for (at, address) in addresses.iter().enumerate() {
        let until = share(deadline, at + 1 < addresses.len());
        match to_address(options, server, address, until) {
            Ok(session) => return Ok(session),
            Err(error @ Error::Unauthorized(_)) => return Err(error),
            Err(error) => failure = Some(more_telling(failure, error)),
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    Err(failure.unwrap_or_else(|| Error::Io(io::ErrorKind::NotFound.into())))
}

fn addresses(server: &Address) -> io::Result<Vec<SocketAddr>> {
    if let Some(ip) = server.ip() {
        return Ok(vec![SocketAddr::new(ip, server.port)]);
    }
    let found = (server.host.as_str(), server.port).to_socket_addrs()?;
    Ok(found.take(MAX_ADDRESSES).collect())
}

/// Until when one may take: half of what is left where there are more.
fn share(deadline: Instant, more: bool) -> Instant {
    let now = Instant::now();
    match more {
        true => now + deadline.saturating_duration_since(now) / 2,
        false => deadline,
    }
}

/// Of several failures the one that somebody could do something about; of such, the first.
fn more_telling(before: Option<Error>, now: Error) -> Error {
    let weight = |error: &Error| match error {
        Error::Io(_) => 0,
        Error::TimedOut => 1,
        _ => 2,
    };
    match before {
        Some(before) if weight(&before) >= weight(&now) => before,
        _ => now,
    }
}

fn to_address(
    options: &Options,
    server: &Address,
    address: &SocketAddr,
    deadline: Instant,
) -> Result<Session, Error> {
    let wire = Wire::connect(address, deadline).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => Error::TimedOut,
        kind => Error::Io(io::Error::new(kind, format!("{address}: {error}"))),
    })?;
    let mut session = Session::new(wire, options, server);
    let mut look = Look::until(deadline);
    let info = loop {
        if let Some(info) = session.latest.take() {
            break info;
        }
        step(&mut session, &mut look)?;
    };
    let offers = |offer: Option<bool>| offer == Some(true);
    let wanted = server.tls || options.server.tls;
    if wanted || offers(info.tls_required) {
        if !offers(info.tls_required) && !offers(info.tls_available) {
            return Err(Error::Tls("the server offers none".to_owned()));
        }
        encrypt(&mut session, options, deadline)?;
    }
    session.greeted = true;
    let hello = hello(options, &info, &mut session)?;
    let ping = session.pulse.ping();
    session.write(&hello, deadline)?;
    let mut look = Look::until(deadline);
    while !session.pulse.is_answered(ping) {
        step(&mut session, &mut look)?;
    }
    session.pulse = Pulse::new(options.ping_every, Instant::now());
    Ok(session)
}

fn step(session: &mut Session, look: &mut Look) -> Result<(), Error> {
    match session.advance(look)? {
        Progress::Late => Err(Error::TimedOut),
        Progress::Other | Progress::Delivery(_) => Ok(()),
    }
}

/// The certificate must be one for the host that the user has named, wherever it is shown: INFO comes
/// before TLS, so anybody on the way could have written the addresses that are learnt from it. A
/// cluster's certificates therefore need the name that clients are given.
fn encrypt(session: &mut Session, options: &Options, deadline: Instant) -> Result<(), Error> {
    let name = ServerName::try_from(options.server.host.clone())
        .map_err(|_| Error::Tls("no certificate can have the host's name".to_owned()))?;
    let password = options.password.as_deref();
    let Some((wire, parser)) = session.wire_and_parser() else {
        return Err(Error::TimedOut);
    };
    // What somebody on the way has put after INFO would be taken for the server's.
    if !parser.is_empty() {
        let reason = "the server says more before TLS than INFO";
        return Err(Error::Tls(reason.to_owned()));
    }
    wire.encrypt(Arc::clone(&options.tls), name, parser, deadline)
        .map_err(|error| of_wire(error, password))?;
    session.encrypted();
    Ok(())
}

/// CONNECT and PING.
fn hello(options: &Options, info: &Info, session: &mut Session) -> Result<Vec<u8>, Error> {
    let headers = info.headers == Some(true);
    let connect = Connect {
        verbose: false,
        pedantic: false,
        echo: true,
        headers,
        no_responders: headers,
        tls_required: session.wire()?.is_encrypted(),
        lang: "rust",
        version: env!("CARGO_PKG_VERSION"),
        protocol: 1,
        name: &options.name,
        user: options.user.as_deref(),
        pass: options.password.as_deref(),
    };
    let json = serde_json::to_string(&connect)
        .map_err(|error| Error::Protocol(told(&error.to_string(), options.password.as_deref())))?;
    Ok(format!("CONNECT {json}\r\nPING\r\n").into_bytes())
}
