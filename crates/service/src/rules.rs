//! The rules: which client is given which advice. Pure; `rules.example.toml` shows the format.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Number, Value};
use superstream_protocol::{ClientKind, Configuration, Mode, RegisterClient, StartClient};

use crate::glob;

/// The rules of a service that was given none.
const BUILT_IN: &str = r#"
[[rule]]
kind = "producer"
[rule.configuration]
"compression.type" = "zstd"
"linger.ms" = 100
"batch.size" = 1000000
"#;

/// Said to a client where a rule withholds advice and has no words of its own.
const WITHHELD: &str = "a rule of the service withholds advice from this client";

/// Where a registered configuration may name the topics that the client will use.
const TOPIC_KEYS: [&str; 4] = ["topic", "topics", "topics.list", "superstream.topics.list"];

/// `linger.ms` and its alias.
const LINGER: [&str; 2] = ["linger.ms", "queue.buffering.max.ms"];

/// What is wrong with a rules file, with the line where it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError(String);

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RulesError {}

/// What the rules look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traits {
    /// Producer, consumer or admin.
    pub kind: Option<ClientKind>,
    /// `client.id`, or empty.
    pub client_id: String,
    /// The language of the SDK.
    pub language: String,
    /// The tags; `None` where they are not a JSON object.
    pub tags: Option<BTreeMap<String, String>>,
    /// Topics that the client is known to use.
    pub topics: Vec<String>,
    /// Its last run sent its records one by one, as an application does that waits for each
    /// delivery. Lingering would slow that one down to a few records a second, and batch nothing.
    pub is_one_by_one: bool,
}

/// What earlier runs of an application showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Topics that they used.
    pub topics: Vec<String>,
    /// See [`Traits::is_one_by_one`].
    pub is_one_by_one: bool,
}

impl Traits {
    /// What a registration tells about a client.
    pub fn of(registration: &RegisterClient) -> Self {
        Self {
            kind: registration.kind,
            client_id: client_id(&registration.config),
            language: registration.language.clone(),
            tags: tags(&registration.tags),
            topics: topics(&registration.config),
            is_one_by_one: false,
        }
    }

    /// Adds what earlier runs showed.
    pub fn remember(&mut self, past: Past) {
        self.topics.extend(past.topics);
        self.is_one_by_one = past.is_one_by_one;
    }
}

/// `client.id` of a configuration, or empty.
pub fn client_id(config: &Configuration) -> String {
    config.get("client.id").map(plain_text).unwrap_or_default()
}

/// Tags as text by name; `None` where they are not a JSON object.
pub fn tags(text: &str) -> Option<BTreeMap<String, String>> {
    let object: Map<String, Value> = serde_json::from_str(text).ok()?;
    Some(
        object
            .iter()
            .map(|(name, value)| (name.clone(), plain_text(value)))
            .collect(),
    )
}

fn topics(config: &Configuration) -> Vec<String> {
    let mut topics = Vec::new();
    for value in TOPIC_KEYS.iter().filter_map(|key| config.get(*key)) {
        match value {
            Value::String(list) => topics.extend(list.split(',').map(|t| t.trim().to_owned())),
            Value::Array(list) => topics.extend(list.iter().map(plain_text)),
            _ => {}
        }
    }
    topics.retain(|topic| !topic.is_empty());
    topics
}

/// A value as text, as it would stand in a file of properties.
pub fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// All rules of a service.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    mode: Mode,
    rules: Vec<Rule>,
}

impl Rules {
    /// Reads the text of a rules file.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let file: File = toml::from_str(text).map_err(|error| RulesError(error.to_string()))?;
        let mut rules = Vec::new();
        for entry in file.rules {
            let line = 1 + text[..entry.span().start.min(text.len())]
                .matches('\n')
                .count();
            let rule = Rule::new(entry.into_inner());
            rules
                .push(rule.map_err(|reason| RulesError(format!("rule at line {line}: {reason}")))?);
        }
        Ok(Self {
            mode: file.mode.into(),
            rules,
        })
    }

    /// The advice of a service without a rules file.
    pub fn built_in() -> Result<Self, RulesError> {
        Self::parse(BUILT_IN)
    }

    /// How many rules there are.
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// The mode where no rule says otherwise.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The advice for a client: all rules that match, in order; what a later one says wins.
    pub fn decide(&self, client: &Traits) -> StartClient {
        let mut mode = self.mode;
        let mut withheld = None;
        let mut advice = Configuration::new();
        for rule in self.rules.iter().filter(|rule| rule.matches(client)) {
            mode = rule.mode.unwrap_or(mode);
            match &rule.effect {
                Effect::Advise(configuration) => advice.extend(configuration.clone()),
                Effect::Start(configuration) => {
                    withheld = None;
                    advice.extend(configuration.clone());
                }
                Effect::Withhold(error) => withheld = Some(error.clone()),
            }
        }
        if client.is_one_by_one {
            advice.retain(|key, _| !LINGER.contains(&key.as_str()));
        }
        let start = withheld.is_none();
        let optimized_configuration = start.then_some(advice);
        StartClient {
            start,
            optimized_configuration,
            error: withheld,
            mode,
        }
    }
}

#[derive(Clone, Debug)]
struct Rule {
    kind: Option<ClientKind>,
    client_id: Option<String>,
    topic: Option<String>,
    language: Option<String>,
    tags: BTreeMap<String, String>,
    mode: Option<Mode>,
    effect: Effect,
}

#[derive(Clone, Debug)]
enum Effect {
    /// Add to the advice.
    Advise(Configuration),
    /// The same, and take back what an earlier rule withheld.
    Start(Configuration),
    /// Give no advice, for this reason.
    Withhold(String),
}

impl Rule {
    fn new(entry: Entry) -> Result<Self, String> {
        let idle = entry.configuration.0.is_empty() && entry.mode.is_none();
        let effect = match (entry.start, entry.error) {
            (None, None) if idle => {
                return Err("it has no effect: give it `configuration`, `mode` or `start`".into());
            }
            (None, None) => Effect::Advise(entry.configuration.0),
            (Some(true), None) => Effect::Start(entry.configuration.0),
            (Some(false), _) if !entry.configuration.0.is_empty() => {
                return Err("`start = false` gives no advice: take `configuration` out".into());
            }
            (Some(false), error) => Effect::Withhold(error.unwrap_or_else(|| WITHHELD.into())),
            (_, Some(_)) => {
                return Err("`error` says why there is no advice: it needs `start = false`".into());
            }
        };
        Ok(Self {
            kind: entry.kind,
            client_id: entry.client_id,
            topic: entry.topic,
            language: entry.language,
            tags: entry
                .tags
                .into_iter()
                .map(|(k, v)| (k, plain_text(&v.0)))
                .collect(),
            mode: entry.mode.map(Mode::from),
            effect,
        })
    }

    fn matches(&self, client: &Traits) -> bool {
        let fits = |pattern: &String, text: &str| glob::matches(pattern, text);
        self.kind.is_none_or(|kind| client.kind == Some(kind))
            && self
                .client_id
                .as_ref()
                .is_none_or(|p| fits(p, &client.client_id))
            && self
                .topic
                .as_ref()
                .is_none_or(|p| client.topics.iter().any(|t| fits(p, t)))
            && self
                .language
                .as_ref()
                .is_none_or(|l| l.eq_ignore_ascii_case(&client.language))
            && self.tags.iter().all(|(name, value)| {
                client
                    .tags
                    .as_ref()
                    .is_some_and(|tags| tags.get(name) == Some(value))
            })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    mode: RuleMode,
    #[serde(default, rename = "rule")]
    rules: Vec<toml::Spanned<Entry>>,
}

/// A [`Mode`] in a file. The protocol's own reads every unknown name as `observe`, which is kind
/// between programs and would hide a slip of the pen here.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RuleMode {
    #[default]
    Active,
    Observe,
}

impl From<RuleMode> for Mode {
    fn from(mode: RuleMode) -> Self {
        match mode {
            RuleMode::Active => Self::Active,
            RuleMode::Observe => Self::Observe,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kind: Option<ClientKind>,
    client_id: Option<String>,
    topic: Option<String>,
    language: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, Scalar>,
    mode: Option<RuleMode>,
    start: Option<bool>,
    error: Option<String>,
    #[serde(default)]
    configuration: Advice,
}

/// A text, a number or true/false.
struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        scalar(toml::Value::deserialize(from)?)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

fn scalar(value: toml::Value) -> Result<Value, String> {
    match value {
        toml::Value::String(text) => Ok(Value::String(text)),
        toml::Value::Integer(number) => Ok(Value::Number(number.into())),
        toml::Value::Boolean(value) => Ok(Value::Bool(value)),
        toml::Value::Float(number) => match Number::from_f64(number) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(format!("{number} is not a setting")),
        },
        other => {
            let found = other.type_str();
            Err(format!(
                "{found} found, but a text, a number or true/false is expected"
            ))
        }
    }
}

/// `[rule.configuration]`. TOML reads `linger.ms = 5` as a table `linger` with a key `ms`; here
/// that means the property `linger.ms`, with or without quotes.
#[derive(Default)]
struct Advice(Configuration);

impl<'de> Deserialize<'de> for Advice {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut configuration = Configuration::new();
        for (key, setting) in BTreeMap::<String, Setting>::deserialize(from)? {
            for (rest, value) in setting.0 {
                configuration.insert(format!("{key}{rest}"), value);
            }
        }
        Ok(Self(configuration))
    }
}

/// What stands behind one key: values by the rest of the property's name.
struct Setting(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut flat = Vec::new();
        let value = toml::Value::deserialize(from)?;
        flatten(String::new(), value, &mut flat).map_err(serde::de::Error::custom)?;
        Ok(Self(flat))
    }
}

fn flatten(
    name: String,
    value: toml::Value,
    into: &mut Vec<(String, Value)>,
) -> Result<(), String> {
    match value {
        toml::Value::Table(table) => table
            .into_iter()
            .try_for_each(|(key, value)| flatten(format!("{name}.{key}"), value, into)),
        value => {
            into.push((name, scalar(value)?));
            Ok(())
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
