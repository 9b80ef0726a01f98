//! The protocol as it comes from a server, without a socket: bytes in, events out.
//!
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>. Nothing that comes is trusted:
//! lines and payloads are bounded, whatever the server says of itself.

use std::ops::Range;
use std::str::FromStr;

use crate::info::Info;

/// INFO with all addresses of a large cluster is the longest line.
const MAX_LINE: usize = 64 * 1024;
/// Headers count as payload, but servers of one cluster may differ a little.
const MAX_HEADERS: usize = 64 * 1024;
/// No server makes us hold more than this.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;
/// A buffer that a long message has left is given back.
const KEPT_CAPACITY: usize = 64 * 1024;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Info(Box<Info>),
    Message(Delivery),
    Ping,
    Pong,
    Ok,
    /// The text of `-ERR`, without its quotes.
    Err(String),
}

/// A message, with or without headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub subject: String,
    pub subscription: u64,
    pub reply: Option<String>,
    /// What the headers begin with, where it is a number: 503 where nobody listens.
    pub status: Option<u16>,
    pub payload: Vec<u8>,
}

/// Why what came is no NATS. It quotes nothing of it.
pub type Malformed = &'static str;

/// Puts events together from pieces of any length.
pub struct Parser {
    buffer: Vec<u8>,
    /// What lies before has been understood.
    begin: usize,
    /// No line end lies between `begin` and here.
    searched: usize,
    max_message: usize,
    /// The line of a message whose payload has not come yet.
    head: Option<Head>,
}

struct Head {
    subject: String,
    subscription: u64,
    reply: Option<String>,
    headers: usize,
    total: usize,
}

impl Parser {
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            begin: 0,
            searched: 0,
            max_message: MAX_HEADERS,
            head: None,
        }
    }

    /// Takes bytes from the server.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.begin > 0 {
            self.buffer.drain(..self.begin);
            self.searched -= self.begin;
            self.begin = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_CAPACITY {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether all that came has been understood.
    pub fn is_empty(&self) -> bool {
        self.begin == self.buffer.len() && self.head.is_none()
    }

    /// The next event; `None` where more bytes are needed. After an error there are no more.
    pub fn next(&mut self) -> Result<Option<Event>, Malformed> {
        let head = match self.head.take() {
            Some(head) => head,
            None => {
                let Some(line) = self.line()? else {
                    return Ok(None);
                };
                match self.understand(line)? {
                    Line::Event(event) => return Ok(Some(event)),
                    Line::Head(head) => head,
                }
            }
        };
        self.delivery(head).map(|event| event.map(Event::Message))
    }

    /// Takes a line, where a whole one lies there. Where it lies is told.
    fn line(&mut self) -> Result<Option<Range<usize>>, Malformed> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let end = found.map_or(self.buffer.len(), |at| self.searched + at);
        if end - self.begin > MAX_LINE {
            return Err("a line has no end");
        }
        if found.is_none() {
            self.searched = end;
            return Ok(None);
        }
        let line = self.begin..end;
        self.begin = end + 1;
        self.searched = self.begin;
        Ok(Some(line))
    }

    fn understand(&mut self, line: Range<usize>) -> Result<Line, Malformed> {
        let line = self.buffer[line].trim_ascii_end();
        let word_end = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let (word, rest) = line.split_at(word_end.unwrap_or(line.len()));
        let rest = rest.trim_ascii_start();
        let event = match word.to_ascii_uppercase().as_slice() {
            b"MSG" => return Head::parse(rest, false, self.max_message).map(Line::Head),
            b"HMSG" => return Head::parse(rest, true, self.max_message).map(Line::Head),
            b"PING" => Event::Ping,
            b"PONG" => Event::Pong,
            b"+OK" => Event::Ok,
            b"-ERR" => {
                let text = String::from_utf8_lossy(rest);
                Event::Err(text.trim_matches('\'').to_owned())
            }
            b"INFO" => {
                let info = Info::parse(rest).ok_or("INFO is not understood")?;
                // Messages that were longer by an older INFO may be under way.
                let limit = info
                    .max_payload
                    .and_then(|bytes| usize::try_from(bytes).ok())
                    .unwrap_or(MAX_MESSAGE)
                    .saturating_add(MAX_HEADERS);
                self.max_message = self.max_message.max(limit.min(MAX_MESSAGE));
                Event::Info(Box::new(info))
            }
            _ => return Err("a line begins with no word of the protocol"),
        };
        Ok(Line::Event(event))
    }

    /// The message of a head, where all of it lies there. Otherwise the head is kept.
    fn delivery(&mut self, head: Head) -> Result<Option<Delivery>, Malformed> {
        let bytes = &self.buffer[self.begin..];
        let Some((body, rest)) = bytes.split_at_checked(head.total) else {
            self.head = Some(head);
            return Ok(None);
        };
        match rest {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => {
                self.head = Some(head);
                return Ok(None);
            }
            _ => return Err("a payload is longer than was said"),
        }
        let (headers, payload) = body.split_at(head.headers);
        let delivery = Delivery {
            subject: head.subject,
            subscription: head.subscription,
            reply: head.reply,
            status: status(headers),
            payload: payload.to_vec(),
        };
        self.begin += head.total + 2;
        self.searched = self.begin;
        Ok(Some(delivery))
    }
}

enum Line {
    Event(Event),
    Head(Head),
}

impl Head {
    /// `<subject> <subscription> [reply] [bytes of headers] <bytes of all>`
    fn parse(text: &[u8], with_headers: bool, max_message: usize) -> Result<Self, Malformed> {
        const BAD: Malformed = "a message's line is not understood";
        let text = String::from_utf8_lossy(text);
        let mut words = text.split_ascii_whitespace();
        let (Some(subject), Some(subscription)) = (words.next(), words.next()) else {
            return Err(BAD);
        };
        let mut last = || words.next_back().and_then(number).ok_or(BAD);
        let total: usize = last()?;
        let headers = if with_headers { last()? } else { 0 };
        let reply = words.next().map(str::to_owned);
        if words.next().is_some() || headers > total {
            return Err(BAD);
        }
        if total > max_message {
            return Err("a message is longer than the server says, or than 8 MiB");
        }
        Ok(Self {
            subject: subject.to_owned(),
            subscription: number(subscription).ok_or(BAD)?,
            reply,
            headers,
            total,
        })
    }
}

/// A number as the protocol writes it: digits alone.
fn number<N: FromStr>(word: &str) -> Option<N> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits)
}

/// `NATS/1.0 503 No Responders`: the number.
fn status(headers: &[u8]) -> Option<u16> {
    let rest = headers.strip_prefix(b"NATS/1.0")?;
    let line = rest.split(|byte| *byte == b'\r').next()?;
    let digits = line.trim_ascii().get(..3)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
