//! Step 2 of a client's life: what is read of its configuration, how it introduces itself to the
//! service, and how the answer becomes a plan.

use std::collections::BTreeMap;

use superstream_protocol::{Change, ClientKind, Mode, Refusal, RegisterClient, StartClient};

use crate::debug;
use crate::engine::applied::{self, Applied};
use crate::engine::conf::Conf;
use crate::report::record::Client;
use crate::report::{identity, language, masking};
use crate::service::session::Asked;
use crate::settings::Settings;
use crate::tuning::{self, Effective, Situation};

/// What a process says of itself in each registration.
pub fn introduction(settings: &Settings, kind: ClientKind) -> RegisterClient {
    let addresses = identity::host_addresses();
    let first = addresses.first().filter(|address| address.is_ipv4());
    RegisterClient {
        language: language::of_process().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        tags: settings.tags.clone(),
        client_ip: first.map(ToString::to_string).unwrap_or_default(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        client_host: identity::host_name(),
        kind: Some(kind),
        pid: Some(std::process::id()),
        ..RegisterClient::default()
    }
}

/// How a client introduces itself.
pub fn registration(settings: &Settings, kind: ClientKind, conf: &Conf<'_>) -> RegisterClient {
    let get = |name| Some(masking::shown(name, &conf.get(name)?).to_owned());
    let software_name = get("client.software.name");
    let said = software_name.as_deref().unwrap_or_default();
    RegisterClient {
        language: language::of_client(said, language::of_process()),
        client_software_name: software_name,
        // The engine's own version, where nobody set one (`rd_kafka_new`, rdkafka.c).
        client_software_version: get("client.software.version")
            .or_else(|| Some(conf.engine().version_text())),
        config: masking::mask(&conf.dump()),
        engine_file: Some(conf.engine().file()).filter(|file| !file.is_empty()),
        engine_version: Some(conf.engine().version_text()),
        registration_id: Some(identity::registration_id()),
        ..introduction(settings, kind)
    }
}

/// Turns what asking gave into changes, and records why. `unfinished` is the tuning rules' word.
pub fn plan(
    settings: &Settings,
    client: &Client,
    conf: &Conf<'_>,
    asked: Asked,
    unfinished: bool,
) -> Vec<Change> {
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
            unfinished,
        },
        &configuration,
    );
    let (changes, mut refusals) = (plan.changes, plan.refusals);
    // A consumer would warn of a producer's property that counts as set.
    let (changes, traced) = changes.into_iter().partition::<Vec<_>, _>(|change| {
        !unfinished || applied::leaves_no_trace(conf.engine(), &change.key)
    });
    refusals.extend(traced.iter().map(|change| {
        refusal(
            change,
            "librdkafka does not let it be set without a trace".to_owned(),
        )
    }));
    for refusal in &refusals {
        debug!("{} is left alone: {}", refusal.key, refusal.reason);
    }
    client.update(|outcome| {
        outcome.advice = advice;
        outcome.note = start.error.unwrap_or_else(|| note.to_owned());
        outcome.mode = mode;
        outcome.refusals = refusals;
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
fn effective(conf: &Conf<'_>) -> Effective {
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

/// Applies a plan, and records what did not take.
pub fn apply(client: &Client, conf: &Conf<'_>, changes: &[Change], applied: &mut Applied) {
    for (change, reason) in applied.set_all(conf, changes) {
        debug!("{} is not applied: {reason}", change.key);
        not_applied(client, change, reason);
    }
}

/// Moves a change to the refusals.
pub fn not_applied(client: &Client, change: &Change, reason: String) {
    client.update(|outcome| {
        outcome.changes.retain(|made| made.key != change.key);
        outcome.refusals.push(refusal(change, reason));
    });
}

fn refusal(change: &Change, reason: String) -> Refusal {
    Refusal {
        key: change.key.clone(),
        asked: change.new.clone(),
        reason,
    }
}
