//! What two clients have told, field by field, against the list of what may differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::messages::Told;

/// What ours has for a secret.
const MASK: &str = "[masked]";

/// How a field differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Differs {
    SdkOnly(Value),
    OursOnly(Value),
    /// The same, as a text of ours.
    AsText,
    Values(Value, Value),
}

impl fmt::Display for Differs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SdkOnly(value) => write!(formatter, "only the SDK has it: {value}"),
            Self::OursOnly(value) => write!(formatter, "only ours has it: {value}"),
            Self::AsText => write!(formatter, "a text of ours"),
            Self::Values(sdk, ours) => write!(formatter, "{sdk} of the SDK, {ours} of ours"),
        }
    }
}

/// Fields that may differ, all for one reason.
pub struct Listed {
    /// Whose.
    pub of: Of,
    /// What they lie in: a message, or an object inside it. Messages themselves lie in nothing.
    pub within: &'static str,
    pub fields: Fields,
    /// Why.
    pub why: &'static str,
}

/// Which clients something is true of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Producers,
    Consumers,
    Each,
}

/// The fields, and how they differ.
pub enum Fields {
    SdkOnly(&'static [&'static str]),
    OursOnly(&'static [&'static str]),
    /// Whatever is there: text of ours, the same as the SDK's number or truth value.
    AsText,
    /// The SDK's value and ours.
    Values(&'static [(&'static str, &'static str, &'static str)]),
    /// Hidden by ours, with what the SDK says.
    Masked(&'static [(&'static str, &'static str)]),
    /// Both have them, and what they say is not the same twice.
    Vary(&'static [&'static str]),
}

impl Listed {
    fn is_of(&self, of: Of) -> bool {
        self.of == Of::Each || self.of == of
    }

    /// The fields that it names, and how each must differ.
    fn named(&self) -> Vec<(String, Differs)> {
        let at = |field: &str| join(self.within, field);
        let all = |fields: &[&str], how: fn(Value) -> Differs| {
            let each = fields.iter().map(|field| (at(field), how(Value::Null)));
            each.collect::<Vec<_>>()
        };
        match &self.fields {
            Fields::SdkOnly(fields) => all(fields, Differs::SdkOnly),
            Fields::OursOnly(fields) => all(fields, Differs::OursOnly),
            Fields::Values(values) => {
                let each = values.iter();
                each.map(|(field, sdk, ours)| {
                    (at(field), Differs::Values((*sdk).into(), (*ours).into()))
                })
                .collect()
            }
            Fields::Masked(values) => {
                let each = values.iter();
                each.map(|(field, sdk)| (at(field), Differs::Values((*sdk).into(), MASK.into())))
                    .collect()
            }
            Fields::AsText | Fields::Vary(_) => Vec::new(),
        }
    }

    fn covers(&self, at: &str, found: &Differs) -> bool {
        if matches!(self.fields, Fields::AsText) {
            return *found == Differs::AsText && at.starts_with(&join(self.within, ""));
        }
        self.named().iter().any(|(field, listed)| {
            field == at
                && match (listed, found) {
                    (Differs::SdkOnly(_), Differs::SdkOnly(_))
                    | (Differs::OursOnly(_), Differs::OursOnly(_)) => true,
                    (Differs::Values(sdk, ours), Differs::Values(a, b)) => {
                        text(a) == text(sdk) && text(b) == text(ours)
                    }
                    _ => false,
                }
        })
    }
}

/// What is wrong with the list, or with one of the two: differences that it does not have, and
/// others of its own.
pub fn problems(of: Of, sdk: &Told, ours: &Told, listed: &[&Listed]) -> Vec<String> {
    let (mut sdk, mut ours) = (fields(sdk), fields(ours));
    let listed: Vec<_> = listed.iter().filter(|each| each.is_of(of)).collect();
    let mut problems = Vec::new();
    for each in &listed {
        let Fields::Vary(varying) = each.fields else {
            continue;
        };
        for field in varying {
            let at = join(each.within, field);
            let both = (sdk.remove(&at), ours.remove(&at));
            if !matches!(&both, (Some(a), Some(b)) if kind(a) == kind(b)) {
                problems.push(format!(
                    "{at}: listed as varying, not {both:?}; {}",
                    each.why
                ));
            }
        }
    }
    let found = differences(&sdk, &ours);
    for (at, how) in &found {
        if !listed.iter().any(|each| each.covers(at, how)) {
            problems.push(format!("{at}: not listed: {how}"));
        }
    }
    for each in listed {
        let occurs = |at: &str| found.get(at).is_some_and(|how| each.covers(at, how));
        let missing = each.named().into_iter().filter(|(at, _)| !occurs(at));
        let why = each.why;
        problems.extend(missing.map(|(at, how)| format!("{at}: listed and not so: {how}; {why}")));
        let is_any = found.iter().any(|(at, how)| each.covers(at, how));
        if matches!(each.fields, Fields::AsText) && !is_any {
            problems.push(format!("{}: no text of ours; {why}", each.within));
        }
    }
    problems
}

/// What differs, by where it is. An object that one of them has alone is one difference.
fn differences(sdk: &Flat, ours: &Flat) -> BTreeMap<String, Differs> {
    let mut found = BTreeMap::new();
    let all: BTreeSet<_> = sdk.keys().chain(ours.keys()).collect();
    for at in all {
        let is_inside = |(outer, how): (&String, &Differs)| {
            !matches!(how, Differs::Values(..) | Differs::AsText)
                && at.starts_with(&join(outer, ""))
        };
        if found.iter().any(is_inside) {
            continue;
        }
        let how = match (sdk.get(at), ours.get(at)) {
            (Some(sdk), None) => Differs::SdkOnly(sdk.clone()),
            (None, Some(ours)) => Differs::OursOnly(ours.clone()),
            (Some(sdk), Some(ours)) if sdk == ours || sdk.is_object() && ours.is_object() => {
                continue;
            }
            (Some(sdk), Some(ours)) if ours.is_string() && text(sdk) == text(ours) => {
                Differs::AsText
            }
            (Some(sdk), Some(ours)) => Differs::Values(sdk.clone(), ours.clone()),
            (None, None) => continue,
        };
        found.insert(at.clone(), how);
    }
    found
}

/// Fields by where they are: message, and names inside it, between slashes. Objects are there beside
/// what they hold.
type Flat = BTreeMap<String, Value>;

fn fields(told: &Told) -> Flat {
    let mut flat = Flat::new();
    for (subject, payload) in &told.messages {
        flatten(subject, payload, &mut flat);
    }
    flat
}

fn flatten(at: &str, value: &Value, flat: &mut Flat) {
    flat.insert(at.to_owned(), value.clone());
    for (name, inner) in value.as_object().into_iter().flatten() {
        flatten(&join(at, name), inner, flat);
    }
}

fn join(at: &str, name: &str) -> String {
    match at {
        "" => name.to_owned(),
        _ => format!("{at}/{name}"),
    }
}

/// What a value is in words, whether it is a text or not.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}
