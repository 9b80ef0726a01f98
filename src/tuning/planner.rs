//! Goes through an advice with the rules.

use serde_json::Value;
use superstream_protocol::{Change, ClientKind, Configuration, Refusal};

use super::properties::{self, Rule};
use super::state::{Set, State};
use super::{Plan, Situation, compression, value};

/// Refusals that a plan lists. One more sums up the rest: an advice may have millions of keys.
const MAX_REFUSALS: usize = 64;

/// Characters of a refused key that a report shows. The engine's longest name has 50.
const LONGEST_KEY: usize = 64;

/// The key of the refusal that sums up those that are not listed.
const THE_REST: &str = "(the rest)";

/// A rule, and what the advice has for it.
struct Item<'a> {
    rule: &'static Rule,
    key: &'a str,
    asked: &'a Value,
}

/// See [`super::plan`].
pub(super) fn plan(situation: &Situation, advice: &Configuration) -> Plan {
    let mut state = State::new(situation);
    let mut changes = Vec::new();
    let mut pending = items(situation, advice);
    let mut refusals = Vec::new();

    // What one key is refused for, another key of the same advice may put right. So the refused
    // ones are asked again until nothing changes. Each round takes at least one of them away.
    loop {
        let changes_before = changes.len();
        refusals.clear();
        let mut refused = Vec::new();
        for item in pending {
            match decide(&state, &item) {
                Ok(None) => {}
                Ok(Some(set)) => changes.push(apply(&mut state, item.rule.key, set)),
                Err(reason) => {
                    refusals.push(refusal(item.key, value::shown(item.asked), reason));
                    refused.push(item);
                }
            }
        }
        pending = refused;
        if changes.len() == changes_before {
            break;
        }
    }

    let level_advised = advice.contains_key(compression::LEVEL)
        && !pending
            .iter()
            .any(|item| item.rule.key == compression::LEVEL);
    if !level_advised && let Some(set) = compression::level_reset(&state) {
        changes.push(apply(&mut state, compression::LEVEL, set));
    }
    refuse_others(situation, advice, &mut refusals);
    Plan { changes, refusals }
}

/// What the advice has for this kind of client, in the order of the rules. The canonical name goes
/// before the alias.
fn items<'a>(situation: &Situation, advice: &'a Configuration) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    let rules = properties::rules(situation.kind).iter();
    for rule in rules.filter(|rule| is_decided(situation, rule.key)) {
        let names = [Some(rule.key), properties::alias(rule.key)];
        let named = names
            .into_iter()
            .flatten()
            .find_map(|name| advice.get_key_value(name));
        if let Some((key, asked)) = named {
            items.push(Item { rule, key, asked });
        }
    }
    items
}

/// The rule's answer. A transactional producer is given a codec and linger, nothing else: its
/// timeouts hang together (`rd_kafka_conf_finalize`, rdkafka_conf.c), and a transaction that fails
/// is the application's whole unit of work.
fn decide(state: &State, item: &Item) -> Result<Option<Set>, String> {
    let decision = (item.rule.decide)(state, item.asked)?;
    if decision.is_some() && !item.rule.in_transactions && state.is_transactional() {
        return Err("a transactional producer is given linger.ms and compression.type only".into());
    }
    Ok(decision)
}

fn apply(state: &mut State, key: &str, set: Set) -> Change {
    Change {
        key: key.to_owned(),
        old: state.set(key, &set.new),
        new: set.new,
        reason: set.reason,
    }
}

/// Whether a rule for this kind of client is asked now.
fn is_decided(situation: &Situation, key: &str) -> bool {
    !situation.unfinished || properties::WHILE_UNFINISHED.contains(&key)
}

/// Refuses every key that no rule was asked about.
fn refuse_others(situation: &Situation, advice: &Configuration, refusals: &mut Vec<Refusal>) {
    let kind = situation.kind;
    let mut not_listed: u64 = 0;
    for (key, asked) in advice {
        let canonical = properties::canonical(key);
        let home = properties::kind_of(canonical);
        let reason = match home {
            Some(home) if home == kind && !is_decided(situation, canonical) => {
                "the client is not known yet: codec, batch and queue alone can be set".into()
            }
            Some(home) if home == kind => {
                if canonical == key || !advice.contains_key(canonical) {
                    continue;
                }
                format!("it is another name of {canonical}, which the advice has too")
            }
            _ if kind == ClientKind::Admin => "an admin client is not tuned".into(),
            Some(home) => format!(
                "it is for a {}, and this client is a {}",
                home.as_str(),
                kind.as_str()
            ),
            None => properties::why_never(canonical).into(),
        };
        if refusals.len() >= MAX_REFUSALS {
            not_listed += 1;
            continue;
        }
        let shown = match home {
            Some(_) => value::shown(asked),
            None => value::NOT_SHOWN.into(),
        };
        refusals.push(refusal(key, shown, reason));
    }
    if not_listed > 0 {
        let reason = format!("{not_listed} more keys of the advice were refused");
        refusals.push(refusal(THE_REST, value::NOT_SHOWN.into(), reason));
    }
}

fn refusal(key: &str, asked: String, reason: String) -> Refusal {
    Refusal {
        key: printable(key),
        asked,
        reason,
    }
}

/// A key for a report and a log: short, and without what a terminal would obey.
fn printable(key: &str) -> String {
    let plain = |character: char| match character {
        ' '..='~' => character,
        _ => '?',
    };
    key.chars().take(LONGEST_KEY).map(plain).collect()
}
