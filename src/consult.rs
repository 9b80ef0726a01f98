//! Step 2 of a client's life: what is read of its configuration, how it introduces itself to the
//! service, and how the answer becomes a plan.

use std::collections::BTreeMap;

use superstream_protocol::{Change, ClientKind, Mode, Refusal, RegisterClient, StartClient};

use crate::debug;
use crate::engine::Engine;
use crate::engine::conf::Conf;
use crate::report::record::Client;
use crate::report::{identity, masking};
use crate::service::session::Asked;
use crate::settings::Settings;
use crate::tuning::{self, Effective, Situation};

/// How a client introduces itself.
pub fn registration(
    settings: &Settings,
    engine: &Engine,
    kind: ClientKind,
    conf: &Conf<'_>,
) -> RegisterClient {
    RegisterClient {
        language: "c".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: masking::mask(&conf.dump()),
        tags: settings.tags.clone(),
        client_ip: identity::host_address(),
        client_host: identity::host_name(),
        kind: Some(kind),
        pid: Some(std::process::id()),
        engine_version: Some(engine.version_text()),
        registration_id: Some(identity::registration_id()),
        ..RegisterClient::default()
    }
}

/// Turns what asking gave into changes, and records why.
pub fn plan(settings: &Settings, client: &Client, conf: &Conf<'_>, asked: Asked) -> Vec<Change> {
    let (advice, note) = match asked {
        Asked::Answered(advice) => (Some(advice), "the service answered in time"),
        Asked::Late(advice) => (
            Some(advice),
            "an answer that came too late for an earlier client of this kind",
        ),
        Asked::Nothing(reason) => {
            debug!(
                "{} starts with its own configuration: {reason}",
                client.client_id
            );
            client.update(|outcome| outcome.note = reason);
            return Vec::new();
        }
    };
    let start = advice.clone().unwrap_or_default();
    let mode = if settings.observe {
        Mode::Observe
    } else {
        start.mode
    };
    let configuration = match &start {
        StartClient {
            start: true,
            optimized_configuration: Some(configuration),
            ..
        } => configuration.clone(),
        _ => Default::default(),
    };
    let effective = effective(conf);
    let plan = tuning::plan(
        &Situation {
            kind: client.kind,
            effective: &effective,
            latency_sensitive: settings.latency_sensitive,
        },
        &configuration,
    );
    for refusal in &plan.refusals {
        debug!("{} is left alone: {}", refusal.key, refusal.reason);
    }
    let changes = plan.changes;
    client.update(|outcome| {
        outcome.advice = advice;
        outcome.note = start.error.unwrap_or_else(|| note.to_owned());
        outcome.mode = mode;
        outcome.refusals = plan.refusals;
        outcome.changes = changes.clone();
    });
    match mode {
        Mode::Active => changes,
        Mode::Observe => {
            debug!(
                "observe mode: {} changes are planned and none is made",
                changes.len()
            );
            Vec::new()
        }
    }
}

/// What the tuning rules need to know of a configuration.
pub fn effective(conf: &Conf<'_>) -> Effective {
    let read = |names: &[&str], get: &dyn Fn(&str) -> Option<String>| {
        names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), get(name)?)))
            .collect::<BTreeMap<_, _>>()
    };
    Effective {
        global: read(tuning::GLOBAL_TO_READ, &|name| conf.get(name)),
        topic: match conf.default_topic_conf() {
            Some(topic) => Some(read(tuning::TOPIC_TO_READ, &|name| topic.get(name))),
            None if hides_topic_conf(conf) => {
                let only_a_topics = |name: &str| !tuning::GLOBAL_TO_READ.contains(&name);
                let get = |name: &str| only_a_topics(name).then(|| conf.get(name)).flatten();
                Some(read(tuning::TOPIC_TO_READ, &get))
            }
            None => None,
        },
    }
}

/// Whether there is a default topic configuration that the engine does not give. Its properties
/// are told among the client's then, except those that both have.
fn hides_topic_conf(conf: &Conf<'_>) -> bool {
    let engine_gives_it = conf.engine().conf_default_topic_conf.is_some();
    !engine_gives_it && conf.get("message.timeout.ms").is_some()
}

/// Moves a change to the refusals.
pub fn not_applied(
    changes: &mut Vec<Change>,
    refusals: &mut Vec<Refusal>,
    change: &Change,
    reason: String,
) {
    changes.retain(|made| made.key != change.key);
    refusals.push(Refusal {
        key: change.key.clone(),
        asked: change.new.clone(),
        reason,
    });
}
