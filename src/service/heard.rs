//! What the service says unasked, and what becomes of it.

use superstream_protocol::{ClientKind, StartClient};

use super::late::set_codec;
use super::queue::Message;
use super::state::{Shared, State};
use super::troubles::Matter;
use super::{Failure, Heard, Transport};
use crate::lock::lock;

/// Looks for it; something for the log.
pub(super) fn look(shared: &Shared, transport: &mut dyn Transport) -> Option<String> {
    let heard = transport.look();
    let mut state = lock(&shared.state);
    let news = match heard {
        Ok(all) if all.is_empty() => return None,
        Ok(all) => {
            for one in all {
                state.has_news |= heed(shared, &mut state, one);
            }
            None
        }
        Err(failure) => {
            state.has_news = true;
            Some(not_reached(&mut state, &failure))
        }
    };
    drop(state);
    shared.news.notify_all();
    news
}

/// Nothing was to be sent, so nothing is lost.
fn not_reached(state: &mut State, failure: &Failure) -> String {
    let words = failure.to_string();
    if let Failure::Refused(reason) = failure {
        state.troubles.refuses(Matter::Messages, reason);
    } else {
        state.not_reached(&words);
    }
    words
}

/// Whether there is something new to publish.
fn heed(shared: &Shared, state: &mut State, heard: Heard) -> bool {
    match heard {
        Heard::Start { client_hash, start } => {
            let all = state.starting.hear(&client_hash, &start);
            let is_news = !all.is_empty();
            for started in all {
                let is_late = started.since.elapsed() >= shared.response_timeout;
                state.registered(&started.client, started.registered, is_late);
            }
            is_news
        }
        // Advice that is another one is news by itself.
        Heard::Codec { client_hash, codec } => {
            state.advises_codec(&client_hash, codec);
            false
        }
        Heard::Unknown { client_hash } => {
            let mut is_news = false;
            for client in state.members.named(&client_hash) {
                // One that is gone for good is not worth a registration.
                if !state.members.said_goodbye(&client) {
                    client.forget_name();
                    state.members.forgotten(&client);
                    state.queue.push(Message::Register(client));
                    is_news = true;
                }
            }
            is_news
        }
        Heard::ReportNow { client_hashes } => {
            state.members.report_now(client_hashes.as_deref());
            false
        }
        Heard::Nonsense { client_hash, error } => {
            if let Some(client) = state.members.named(&client_hash).into_iter().next() {
                state.queue.push(Message::Error(client, error));
            }
            false
        }
        Heard::Reached => {
            state.reached(None);
            true
        }
    }
}

impl State {
    /// Clients of a name that run already are to compress with another codec: the next ones like them
    /// do, where the rules allow it.
    fn advises_codec(&mut self, client_hash: &str, codec: &'static str) {
        for client in self.members.named(client_hash) {
            if client.kind != ClientKind::Producer {
                continue;
            }
            let advice = client.registered_advice().filter(|advice| advice.start);
            // What came with a no is no advice.
            let mut advice = advice.unwrap_or_else(|| StartClient {
                start: true,
                ..StartClient::default()
            });
            set_codec(&mut advice, codec);
            client.advised_since(advice.clone());
            self.late.keep_codec(&client, codec);
            if self.advises(&client, Some(&advice)) {
                let client_id = &client.client_id;
                self.lines.say(|| {
                    format!("{client_id}: compression.type {codec} applies at the next start")
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
