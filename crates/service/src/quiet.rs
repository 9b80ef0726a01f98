//! Clients that say nothing while they run, as the deployed SDKs: what they leave out is worked out
//! here. Pure.

use superstream_protocol::{
    Change, ClientConfigUpdate, ClientKind, Configuration, Mode, Refusal, RegisterClient,
    StartClient,
};

use crate::rules::plain_text;

/// Why something differs from what the application configured.
const ADVISED: &str = "the service's advice";
/// Why advice is not in force.
const OTHERWISE: &str = "the client runs with another value";

/// Of which kind a client most likely is that registers without a word on it. It takes only what is
/// for its kind, so a wrong guess costs it advice and does no harm.
pub fn likely_kind(registration: &RegisterClient) -> ClientKind {
    match registration.config.contains_key("group.id") {
        true => ClientKind::Consumer,
        false => ClientKind::Producer,
    }
}

/// The connection to NATS that a client names, where it tells it from others: `server:number`, and
/// the server has a name.
pub fn connection_id(named: Option<&str>) -> Option<&str> {
    let named = named?;
    let (server, number) = named.rsplit_once(':')?;
    let is_usable = !server.is_empty() && server != "None" && number.parse::<u64>().is_ok();
    is_usable.then_some(named)
}

/// What a client does that knows no modes: it takes whatever advice it gets.
pub fn start(answer: &StartClient) -> StartClient {
    StartClient {
        optimized_configuration: answer
            .optimized_configuration
            .clone()
            .filter(|advice| answer.mode == Mode::Active && !advice.is_empty()),
        ..answer.clone()
    }
}

/// Fills in what a client took of its advice: it tells its whole configuration and nothing else.
pub fn explain(update: &mut ClientConfigUpdate, registered: &Configuration, answer: &StartClient) {
    update.mode = answer.mode;
    if answer.mode != Mode::Active {
        return;
    }
    for (key, asked) in answer.optimized_configuration.iter().flatten() {
        let Some(effective) = update.config.get(key).map(plain_text) else {
            continue;
        };
        let (asked, old) = (plain_text(asked), registered.get(key).map(plain_text));
        if effective != asked {
            update.refusals.push(Refusal {
                key: key.clone(),
                asked,
                reason: OTHERWISE.to_owned(),
            });
        } else if old.as_ref() != Some(&asked) {
            update.changes.push(Change {
                key: key.clone(),
                old,
                new: effective,
                reason: ADVISED.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn configuration(value: Value) -> Configuration {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_connection_is_named_by_a_server_and_a_number() {
        for (named, is_usable) in [
            ("NAT1:7", true),
            ("a:b:7", true),
            ("None:7", false),
            (":7", false),
            ("NAT1:", false),
            ("NAT1", false),
            ("", false),
        ] {
            assert_eq!(connection_id(Some(named)).is_some(), is_usable, "{named}");
        }
        assert_eq!(connection_id(None), None);
    }

    #[test]
    fn who_observes_is_given_nothing_to_take() {
        let advice = configuration(json!({"linger.ms": 5}));
        let mut answer = StartClient {
            start: true,
            optimized_configuration: Some(advice.clone()),
            ..StartClient::default()
        };
        assert_eq!(start(&answer).optimized_configuration, Some(advice));
        answer.mode = Mode::Observe;
        assert_eq!(start(&answer).optimized_configuration, None);
        assert!(start(&answer).start);
    }

    #[test]
    fn what_was_taken_is_told_by_the_configuration() {
        let answer = StartClient {
            start: true,
            optimized_configuration: Some(configuration(json!({
                "linger.ms": 100, "batch.size": 7, "compression.type": "zstd", "acks": 1,
                "fetch.min.bytes": 1,
            }))),
            ..StartClient::default()
        };
        let registered = configuration(json!({"linger.ms": 5, "batch.size": "7"}));
        let mut update = ClientConfigUpdate {
            config: configuration(json!({
                "linger.ms": "100", "batch.size": 7, "compression.type": "zstd", "acks": -1,
            })),
            ..ClientConfigUpdate::default()
        };
        explain(&mut update, &registered, &answer);
        let changes: Vec<_> = update
            .changes
            .iter()
            .map(|c| (&*c.key, c.old.as_deref()))
            .collect();
        assert_eq!(
            changes,
            [("compression.type", None), ("linger.ms", Some("5"))]
        );
        let refusals: Vec<_> = update.refusals.iter().map(|r| &*r.key).collect();
        assert_eq!(refusals, ["acks"]);
    }
}
