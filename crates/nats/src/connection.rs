//! A connection and what is said over it.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::error::Error;
use crate::inbox::Inbox;
use crate::kept::Kept;
use crate::open::open;
use crate::options::{Address, Options};
use crate::protocol::Delivery;
use crate::session::{Look, Progress, Session};
use crate::subject::{check_literal, check_pattern};

/// The status of an answer that the server gives where nobody listens.
const NO_RESPONDERS: u16 = 503;

/// What the server's INFO said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// Empty where the server gives none.
    pub server_name: String,
    /// This connection's number at the server.
    pub client_id: u64,
    /// The longest payload that the server takes, in bytes.
    pub max_payload: usize,
}

/// A message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it was published to.
    pub subject: String,
    /// Which subscription it came for.
    pub subscription: Subscription,
    /// Where an answer goes.
    pub reply: Option<String>,
    /// What it says. Headers are read for their status alone and dropped.
    pub payload: Vec<u8>,
}

/// Names a subscription of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscription(u64);

#[cfg(test)]
impl Subscription {
    pub(crate) fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// One connection to one server. Not shared between threads; dropping it closes the socket and sends
/// nothing, so that a forked child may drop its copy.
pub struct Connection {
    session: Session,
    kept: Kept,
    inbox: Option<Inbox>,
    subscriptions: BTreeSet<u64>,
    last_subscription: u64,
}

impl Connection {
    /// Connects, to `server` or, where it cannot be reached, to one of `others`, all before `deadline`.
    ///
    /// The others are tried in random order. A server that does not answer takes half of the time that
    /// is left while there are others, and so does an address of a name that has several. What the
    /// look-up of a name takes is the system's.
    pub fn open(options: &Options, others: &[Address], deadline: Instant) -> Result<Self, Error> {
        Ok(Self {
            session: open(options, others, deadline)?,
            kept: Kept::new(options.max_kept_bytes),
            inbox: None,
            subscriptions: BTreeSet::new(),
            last_subscription: 0,
        })
    }

    /// Closes the connection for good: the server hears of it even where a forked child has a copy.
    /// Only in the process that has opened it.
    pub fn close(mut self) {
        self.session.end("it was closed".to_owned());
    }

    /// The newest INFO.
    pub fn info(&self) -> &ServerInfo {
        &self.session.info
    }

    /// The other servers of the cluster, as the newest INFO tells (`connect_urls`), with the named
    /// server's scheme; with `tls://`, too, where this connection is encrypted because INFO asked for
    /// it.
    pub fn others(&self) -> &[Address] {
        &self.session.others
    }

    /// Why the connection is closed; `None` while it is not.
    pub fn closed(&self) -> Option<&str> {
        self.session.ended()
    }

    /// Subscribes, as a member of a queue group where one is named.
    pub fn subscribe(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        deadline: Instant,
    ) -> Result<Subscription, Error> {
        check_pattern(subject)?;
        queue.map_or(Ok(()), check_literal)?;
        self.listen()?;
        let number = self.last_subscription + 1;
        let group = queue.map_or(String::new(), |queue| format!("{queue} "));
        let line = format!("SUB {subject} {group}{number}\r\n");
        self.session.write(line.as_bytes(), deadline)?;
        self.last_subscription = number;
        self.subscriptions.insert(number);
        Ok(Subscription(number))
    }

    /// Ends a subscription. Its messages that were not taken yet are gone.
    pub fn unsubscribe(
        &mut self,
        subscription: Subscription,
        deadline: Instant,
    ) -> Result<(), Error> {
        self.listen()?;
        self.subscriptions.remove(&subscription.0);
        self.kept.forget(subscription);
        let line = format!("UNSUB {}\r\n", subscription.0);
        self.session.write(line.as_bytes(), deadline)
    }

    /// Publishes, and writes it to the socket before `deadline`. Whether the server has it shows
    /// [`Connection::flush`] alone.
    pub fn publish(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<(), Error> {
        check_literal(subject)?;
        reply.map_or(Ok(()), check_literal)?;
        self.check_size(payload)?;
        self.listen()?;
        self.session
            .write(&message(String::new(), subject, reply, payload), deadline)
    }

    /// Waits until the server has taken all that was sent (PING, PONG). What the server has refused since
    /// the last flush ([`Error::Denied`]) is told here.
    pub fn flush(&mut self, deadline: Instant) -> Result<(), Error> {
        self.session.wire()?;
        let ping = self.session.pulse.ping();
        if let Err(error) = self.session.write(b"PING\r\n", deadline) {
            self.session.pulse.take_back();
            return Err(error);
        }
        let mut look = Look::until(deadline);
        while !self.session.pulse.is_answered(ping) {
            match self.session.advance(&mut look)? {
                Progress::Late => return Err(Error::TimedOut),
                Progress::Other => {}
                Progress::Delivery(delivery) => self.keep(delivery),
            }
        }
        self.session.denials.take_all().map_or(Ok(()), Err)
    }

    /// Asks and waits for the one answer to it. Other messages that come meanwhile are kept.
    pub fn request(
        &mut self,
        subject: &str,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<Vec<u8>, Error> {
        check_literal(subject)?;
        self.check_size(payload)?;
        self.listen()?;
        let (inbox, first) = match &mut self.inbox {
            Some(inbox) => (inbox, String::new()),
            None => {
                let number = self.last_subscription + 1;
                let inbox = Inbox::new(number).map_err(Error::Io)?;
                let first = format!("SUB {} {number}\r\n", inbox.pattern());
                (self.inbox.insert(inbox), first)
            }
        };
        let is_new = !first.is_empty();
        let asked = Asked {
            subject,
            pattern: inbox.pattern(),
            subscription: inbox.subscription,
            reply: inbox.next(),
            denials: self.session.denials.count(),
            is_first: is_new,
        };
        let bytes = message(first, subject, Some(&asked.reply), payload);
        match self.session.write(&bytes, deadline) {
            Ok(()) => self.last_subscription = self.last_subscription.max(asked.subscription),
            Err(error) => {
                if is_new {
                    self.inbox = None;
                }
                return Err(error);
            }
        }
        self.answer(&asked, deadline)
    }

    fn answer(&mut self, asked: &Asked, deadline: Instant) -> Result<Vec<u8>, Error> {
        let mut look = Look::until(deadline);
        loop {
            match self.session.advance(&mut look)? {
                Progress::Late => return Err(Error::TimedOut),
                Progress::Delivery(delivery) if asked.is_answered_by(&delivery) => {
                    return match delivery.status {
                        Some(NO_RESPONDERS) => Err(Error::NoResponders),
                        _ => Ok(delivery.payload),
                    };
                }
                Progress::Delivery(delivery) => self.keep(delivery),
                Progress::Other => {
                    let denials = &mut self.session.denials;
                    if let Some(denied) = denials.take_of(asked.subject, asked.denials) {
                        return Err(denied);
                    }
                    let mut of_inbox = denials.take_of(&asked.pattern, asked.denials);
                    if of_inbox.is_none() && asked.is_first {
                        of_inbox = denials.take_nameless(asked.denials);
                    }
                    if let Some(denied) = of_inbox {
                        // The next request asks again: rights may change.
                        self.inbox = None;
                        return Err(denied);
                    }
                }
            }
        }
    }

    /// The next message of any subscription, kept or new; `None` where none came before `deadline`. PINGs
    /// are answered here. With a deadline that has passed it takes what lies there and waits for nothing;
    /// a flood does not keep it longer than its deadline.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Message>, Error> {
        match self.kept.take() {
            Some(message) => Ok(Some(message)),
            None => self.wait_for(deadline, |_| true),
        }
    }

    /// As [`Connection::next`], of one subscription alone.
    pub fn next_of(
        &mut self,
        subscription: Subscription,
        deadline: Instant,
    ) -> Result<Option<Message>, Error> {
        match self.kept.take_of(subscription) {
            Some(message) => Ok(Some(message)),
            None => self.wait_for(deadline, |message| message.subscription == subscription),
        }
    }

    /// Messages that were dropped because the caller did not take them.
    pub fn dropped(&self) -> u64 {
        self.kept.dropped()
    }

    fn wait_for(
        &mut self,
        deadline: Instant,
        is_it: impl Fn(&Message) -> bool,
    ) -> Result<Option<Message>, Error> {
        let mut look = Look::until(deadline);
        loop {
            match self.session.advance(&mut look)? {
                Progress::Late => return Ok(None),
                Progress::Other => {}
                Progress::Delivery(delivery) => match self.received(delivery) {
                    Some(message) if is_it(&message) => return Ok(Some(message)),
                    Some(message) => self.kept.push(message),
                    None => {}
                },
            }
        }
    }

    /// Takes what lies there, before something is sent: PINGs are answered, and an end is noticed, in
    /// programs that only ever publish.
    fn listen(&mut self) -> Result<(), Error> {
        let mut look = Look::once();
        loop {
            match self.session.advance(&mut look)? {
                Progress::Late => return Ok(()),
                Progress::Other => {}
                Progress::Delivery(delivery) => self.keep(delivery),
            }
        }
    }

    fn keep(&mut self, delivery: Delivery) {
        if let Some(message) = self.received(delivery) {
            self.kept.push(message);
        }
    }

    /// A message for a subscription that there is. Late answers and those of an ended subscription are
    /// for nobody.
    fn received(&self, delivery: Delivery) -> Option<Message> {
        if !self.subscriptions.contains(&delivery.subscription) {
            return None;
        }
        Some(Message {
            subject: delivery.subject,
            subscription: Subscription(delivery.subscription),
            reply: delivery.reply,
            payload: delivery.payload,
        })
    }

    fn check_size(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.session.wire()?;
        let (size, limit) = (payload.len(), self.session.info.max_payload);
        match size > limit {
            true => Err(Error::TooLarge { size, limit }),
            false => Ok(()),
        }
    }
}

/// A request that has gone out.
struct Asked<'a> {
    subject: &'a str,
    /// What the inbox has subscribed to, and its number.
    pattern: String,
    subscription: u64,
    reply: String,
    /// Denials that there were before.
    denials: u64,
    /// The inbox is subscribed to with it.
    is_first: bool,
}

impl Asked<'_> {
    fn is_answered_by(&self, delivery: &Delivery) -> bool {
        delivery.subscription == self.subscription && delivery.subject == self.reply
    }
}

/// `PUB`, after what else is to be said with it.
fn message(first: String, subject: &str, reply: Option<&str>, payload: &[u8]) -> Vec<u8> {
    let reply = reply.map_or(String::new(), |reply| format!("{reply} "));
    let line = format!("{first}PUB {subject} {reply}{}\r\n", payload.len());
    [line.as_bytes(), payload, b"\r\n"].concat()
}
