//! What came unasked, until it is looked at: of what repeats the newest, so that it has a bound however
//! much comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use superstream_protocol::Registered;
use superstream_protocol::link::{REGISTER, REPORT_NOW, ReportNow, UPDATE};
use superstream_veltix::Response;

use super::names::{MAX_NAMES, Names};
use crate::log::Lines;
use crate::service::Heard;
use crate::service::answer::{self, usable_hash};
use crate::service::updates::{self, Update};
use crate::settings::Token;

/// Codecs that a look brings: each of them takes a while where there are many clients.
const MAX_CODECS: usize = 64;
/// A wish for reports may name as many clients as there may be, by names of the longest.
const MAX_ASKED_BYTES: usize = MAX_NAMES * 136;
/// Registrations that nobody waited for any more: beyond, the service keeps those clients.
const MAX_ORPHANS: usize = 64;
/// What is not understood is told this often.
const NONSENSE_EVERY: Duration = Duration::from_secs(60);

/// All of it.
#[derive(Default)]
pub(super) struct Inbox {
    /// The newest codec of each client.
    codecs: BTreeMap<String, &'static str>,
    /// Who is to report; `Some(None)` is all.
    asked: Option<Option<BTreeSet<String>>>,
    /// An update that was none: whose, and why.
    nonsense: Option<(String, String)>,
    nonsense_at: Option<Instant>,
    /// Names that the service has given too late: nobody may go by them.
    orphans: BTreeSet<String>,
    /// What a flood has the log say is no flood.
    pub(super) lines: Lines,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        let has_updates = !self.codecs.is_empty() || self.nonsense.is_some();
        !has_updates && self.asked.is_none() && self.orphans.is_empty()
    }

    /// It has come.
    pub(super) fn push(&mut self, message: &Response, token: Option<&Token>) {
        let understood = match message.message_type.code() {
            UPDATE => self.update(&message.content, token),
            REPORT_NOW => self.report_now(&message.content, token),
            REGISTER => self.registered(&message.content, token),
            // It is for newer clients, or another answer that came too late.
            _ => Ok(()),
        };
        if let Err(line) = understood {
            self.lines.say(|| line);
        }
    }

    /// The error is for the log.
    fn update(&mut self, content: &[u8], token: Option<&Token>) -> Result<(), String> {
        let envelope = updates::envelope(content, token)?;
        let Some(client_hash) = envelope["client_hash"].as_str() else {
            return Ok(());
        };
        match updates::understand(&envelope, token) {
            Ok(Update::Codec(codec)) => {
                let is_kept = self.codecs.contains_key(client_hash);
                if is_kept || self.codecs.len() < MAX_NAMES && usable_hash(client_hash).is_ok() {
                    self.codecs.insert(client_hash.to_owned(), codec);
                }
                Ok(())
            }
            Ok(Update::NotSupported(kind)) => Err(format!(
                "{kind} is not supported: payloads stay as they are"
            )),
            Ok(Update::Nothing) => Ok(()),
            Err(error) => {
                if usable_hash(client_hash).is_ok() {
                    self.nonsense
                        .get_or_insert((client_hash.to_owned(), error.clone()));
                }
                Err(error)
            }
        }
    }

    fn report_now(&mut self, content: &[u8], token: Option<&Token>) -> Result<(), String> {
        // Not by way of a document, which may take a hundred times as much.
        let asked: Option<ReportNow> = answer::bounded(content, MAX_ASKED_BYTES)
            .ok()
            .and_then(|()| serde_json::from_slice(content).ok());
        let Some(asked) = asked else {
            return Err("what the service asks for is not understood".to_owned());
        };
        let Some(names) = asked.client_hashes else {
            self.asked = Some(None);
            return Ok(());
        };
        if let Some(all) = self.asked.get_or_insert(Some(BTreeSet::new())) {
            let shows = |name: &str| token.is_some_and(|token| token.masked(name) != name);
            let is_usable = |name: &String| usable_hash(name).is_ok() && !shows(name);
            let usable = names.into_iter().filter(is_usable);
            all.extend(usable.take(MAX_NAMES.saturating_sub(all.len())));
        }
        Ok(())
    }

    /// What is refused, or was only asked, has no name.
    fn registered(&mut self, content: &[u8], token: Option<&Token>) -> Result<(), String> {
        let document = answer::accepted(content, token, answer::longest(0));
        if let Ok(registered) = document.and_then(answer::message::<Registered>)
            && usable_hash(&registered.client_hash).is_ok()
            && self.orphans.len() < MAX_ORPHANS
        {
            self.orphans.insert(registered.client_hash);
        }
        Ok(())
    }

    /// A name that the service has given too late.
    pub(super) fn take_orphan(&mut self) -> Option<String> {
        self.orphans.pop_first()
    }

    /// The service does not take them back.
    pub(super) fn give_orphans_up(&mut self) {
        self.orphans.clear();
    }

    /// What is for clients, a bounded part of it.
    pub(super) fn take(&mut self, names: &Names) -> Vec<Heard> {
        let mut heard = Vec::new();
        if let Some((client_hash, error)) = self.nonsense.take()
            && names.has(&client_hash)
            && self
                .nonsense_at
                .is_none_or(|at| at.elapsed() >= NONSENSE_EVERY)
        {
            self.nonsense_at = Some(Instant::now());
            heard.push(Heard::Nonsense { client_hash, error });
        }
        for _ in 0..MAX_CODECS {
            let Some((client_hash, codec)) = self.codecs.pop_first() else {
                break;
            };
            if names.has(&client_hash) {
                heard.push(Heard::Codec { client_hash, codec });
            }
        }
        heard
    }

    /// Who is to report.
    pub(super) fn take_asked(&mut self) -> Option<Heard> {
        let asked = self.asked.take()?;
        Some(Heard::ReportNow {
            client_hashes: asked.map(|names| names.into_iter().collect()),
        })
    }
}
