//! Advice that came too late for the client that asked. The next one like it may have it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use superstream_protocol::{ClientKind, Configuration, StartClient};

use crate::report::record::Client;

/// It is of use for so long.
const LIFE: Duration = Duration::from_secs(600);
/// Kinds of clients for which it is kept.
const MAX_PROFILES: usize = 256;

/// Clients alike enough to share an advice: their kind, and what [`PROPERTIES`] say of them.
type Profile = (ClientKind, Vec<Option<String>>);

const PROPERTIES: &[&str] = &[
    "client.id",
    "metadata.broker.list",
    "transactional.id",
    "group.id",
];

/// What the name of the codec is in an advice, and the one that librdkafka has for it too.
const CODEC: [&str; 2] = ["compression.type", "compression.codec"];

/// Late advice, by the clients that it is for.
#[derive(Default)]
pub(super) struct LateAdvice {
    whole: BTreeMap<Profile, (StartClient, Instant)>,
    /// Codecs that the service has named since. They hold until it names others.
    codecs: BTreeMap<Profile, (&'static str, Instant)>,
}

impl LateAdvice {
    /// What came too late for an earlier client like this one.
    pub(super) fn of(&self, client: &Client) -> Option<StartClient> {
        let (advice, since) = self.whole.get(&profile(client))?;
        (since.elapsed() < LIFE).then(|| advice.clone())
    }

    /// Keeps an advice for the next client like this one.
    pub(super) fn keep(&mut self, client: &Client, advice: StartClient) {
        let profile = profile(client);
        if self.whole.len() >= MAX_PROFILES {
            self.whole.retain(|_, (_, since)| since.elapsed() < LIFE);
        }
        if self.whole.len() < MAX_PROFILES || self.whole.contains_key(&profile) {
            self.whole.insert(profile, (advice, Instant::now()));
        }
    }

    /// There is a newer word on clients like this one.
    pub(super) fn forget(&mut self, client: &Client) {
        self.whole.remove(&profile(client));
    }

    /// Keeps a codec for the next clients like this one.
    pub(super) fn keep_codec(&mut self, client: &Client, codec: &'static str) {
        let profile = profile(client);
        if self.codecs.len() >= MAX_PROFILES && !self.codecs.contains_key(&profile) {
            let oldest = self.codecs.iter().min_by_key(|(_, (_, since))| *since);
            if let Some(oldest) = oldest.map(|(oldest, _)| oldest.clone()) {
                self.codecs.remove(&oldest);
            }
        }
        self.codecs.insert(profile, (codec, Instant::now()));
    }

    /// Adds the codec to an advice that lets a client start and says nothing of one.
    pub(super) fn complete(&self, client: &Client, advice: &mut StartClient) {
        let Some((codec, _)) = self.codecs.get(&profile(client)) else {
            return;
        };
        let configuration = advice.optimized_configuration.as_ref();
        let is_named = CODEC
            .iter()
            .any(|name| configuration.is_some_and(|all| all.contains_key(*name)));
        if advice.start && !is_named {
            set_codec(advice, codec);
        }
    }
}

/// Names the codec in an advice, in place of another one.
pub(super) fn set_codec(advice: &mut StartClient, codec: &str) {
    let configuration = advice
        .optimized_configuration
        .get_or_insert_with(Configuration::new);
    let [name, alias] = CODEC;
    configuration.remove(alias);
    configuration.insert(name.to_owned(), codec.into());
}

fn profile(client: &Client) -> Profile {
    let config = &client.registration.config;
    let said = |name: &&str| Some(config.get(*name)?.as_str()?.to_owned());
    (client.kind, PROPERTIES.iter().map(said).collect())
}

#[cfg(test)]
mod tests {
    use superstream_protocol::RegisterClient;

    use super::*;

    fn client(id: usize) -> Client {
        let config = [("client.id".to_owned(), id.to_string().into())];
        let registration = RegisterClient {
            config: config.into_iter().collect(),
            ..RegisterClient::default()
        };
        Client::new(registration, ClientKind::Producer, String::new())
    }

    fn codec(late: &LateAdvice, id: usize) -> bool {
        let mut advice = StartClient {
            start: true,
            ..StartClient::default()
        };
        late.complete(&client(id), &mut advice);
        advice.optimized_configuration.is_some()
    }

    /// An application may name every client differently.
    #[test]
    fn of_codecs_the_newest_are_kept() {
        let mut late = LateAdvice::default();
        for id in 0..=MAX_PROFILES {
            late.keep_codec(&client(id), "zstd");
        }
        assert_eq!(late.codecs.len(), MAX_PROFILES);
        assert!(!codec(&late, 0) && codec(&late, 1) && codec(&late, MAX_PROFILES));
        late.keep_codec(&client(1), "lz4");
        assert!(codec(&late, 2), "it has its place already");
    }
}
