//! Hides secrets. The clients mask their configuration themselves; the service does it again
//! before it stores anything, because it must not depend on every client being right.

use serde_json::{Map, Value};
use superstream_protocol::{
    ClientConfigUpdate, ClientError, Configuration, RegisterClient, TopicsPartitions,
};

/// What stands where a secret stood.
pub const MASK: &str = "********";

/// Keys with one of these words in them are secret, whatever stands around the word.
const SECRET_WORDS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "authorization",
    "jaas",
    "private.key",
    "access.key",
    "api.key",
    "apikey",
    "ssl.key",
    "auth.user.info",
];

/// Keys that are secret without such a word; the engine itself calls them sensitive.
const SECRET_KEYS: [&str; 2] = ["sasl.oauthbearer.config", "sasl.username"];

/// Where the deployed SDKs repeat a client's tags.
const TAGS_KEY: &str = "superstream.tags";

/// A token shorter than this is not looked for inside other text: it would be found everywhere.
const SHORTEST_TOKEN: usize = 8;

/// Whether a value under this key must not be stored.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase().replace(['_', '-'], ".");
    SECRET_KEYS.contains(&key.as_str()) || SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Hides secrets, and the service's own token wherever it turns up.
#[derive(Clone, Default)]
pub struct Masker {
    tokens: Vec<String>,
}

impl Masker {
    /// A masker that also knows the service's own token, and its other secrets.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let tokens = tokens.into_iter();
        let mut tokens: Vec<_> = tokens
            .filter(|token| token.len() >= SHORTEST_TOKEN)
            .map(str::to_owned)
            .collect();
        // One may begin with another, and nothing of it is to stay.
        tokens.sort_unstable_by_key(|token| std::cmp::Reverse(token.len()));
        Self { tokens }
    }

    /// Masks everything in a registration that could hold a secret.
    pub fn registration(&self, registration: &mut RegisterClient) {
        self.configuration(&mut registration.config);
        registration.tags = self.tags(&registration.tags);
        for text in [
            &mut registration.language,
            &mut registration.version,
            &mut registration.client_ip,
            &mut registration.client_host,
        ]
        .into_iter()
        .chain(&mut registration.addresses)
        {
            *text = self.text(text);
        }
        for text in [
            &mut registration.engine_version,
            &mut registration.engine_file,
            &mut registration.client_software_name,
            &mut registration.client_software_version,
            &mut registration.nats_connection_id,
        ] {
            *text = text.take().map(|text| self.text(&text));
        }
    }

    /// Masks what a client says of its configuration.
    pub fn update(&self, update: &mut ClientConfigUpdate) {
        self.configuration(&mut update.config);
        for change in &mut update.changes {
            change.old = change.old.take().map(|old| self.setting(&change.key, &old));
            change.new = self.setting(&change.key, &change.new);
            change.reason = self.text(&change.reason);
        }
        for refusal in &mut update.refusals {
            refusal.asked = self.setting(&refusal.key, &refusal.asked);
            refusal.reason = self.text(&refusal.reason);
        }
    }

    /// Masks what a client says went wrong.
    pub fn error(&self, error: &mut ClientError) {
        error.error = self.text(&error.error);
    }

    /// Masks the names of topics. Where two are the same then, their partitions are together.
    pub fn topics(&self, topics: &mut TopicsPartitions) {
        let mut masked = TopicsPartitions::new();
        for (name, partitions) in std::mem::take(topics) {
            masked
                .entry(self.text(&name))
                .or_default()
                .extend(partitions);
        }
        *topics = masked;
    }

    /// Masks a configuration.
    pub fn configuration(&self, configuration: &mut Configuration) {
        for (key, value) in configuration.iter_mut() {
            self.value(key, value);
        }
    }

    /// Masks prose: `key=value` and `key: value` with a secret key, `Bearer …`, addresses with a
    /// user and a password in them, and the service's own token.
    pub fn text(&self, text: &str) -> String {
        let text = self.address(text);
        let mut masked = String::with_capacity(text.len());
        let mut copied = 0;
        for (at, sign) in text.char_indices().filter(|(_, c)| "=: ".contains(*c)) {
            let before = &text[..at];
            let secret_follows = match sign {
                // A space that ends a word: a run of spaces is looked at once, not once for each.
                ' ' => name_at_end(before).eq_ignore_ascii_case("bearer"),
                _ => is_secret(key_before(before)),
            };
            if secret_follows && at >= copied {
                let (start, end) = value_after(&text, at + 1);
                if start < end {
                    masked.push_str(&text[copied..start]);
                    masked.push_str(MASK);
                    copied = end;
                }
            }
        }
        masked.push_str(&text[copied..]);
        masked
    }

    /// Masks tags: by key where they are a JSON object, as prose where they are not.
    fn tags(&self, tags: &str) -> String {
        match serde_json::from_str::<Map<String, Value>>(tags) {
            Ok(mut object) => {
                let before = object.clone();
                self.configuration(&mut object);
                // Unchanged tags stay byte for byte what the client sent.
                if object == before {
                    tags.to_owned()
                } else {
                    Value::Object(object).to_string()
                }
            }
            Err(_) => self.text(tags),
        }
    }

    fn setting(&self, key: &str, value: &str) -> String {
        match is_secret(key) && !value.is_empty() {
            true => MASK.to_owned(),
            false if key == TAGS_KEY => self.tags(value),
            false => self.address(value),
        }
    }

    fn value(&self, key: &str, value: &mut Value) {
        match value {
            Value::Null => {}
            Value::String(text) => *text = self.setting(key, text),
            _ if is_secret(key) => *value = Value::String(MASK.to_owned()),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(key, item)),
            Value::Object(object) => self.configuration(object),
            Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Masks `user:password@` in addresses, and the service's own token.
    fn address(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("://") {
            let (before, after) = rest.split_at(at + 3);
            masked.push_str(before);
            let host_ends = after
                .find(|c| c == '/' || is_separator(c))
                .unwrap_or(after.len());
            rest = after;
            if let Some(user_ends) = after[..host_ends].rfind('@') {
                masked.push_str(MASK);
                rest = &after[user_ends..];
            }
        }
        masked.push_str(rest);
        self.tokens
            .iter()
            .fold(masked, |text, token| text.replace(token.as_str(), MASK))
    }
}

/// The name that ends here, but for quotes and spaces.
fn key_before(text: &str) -> &str {
    name_at_end(text.trim_end_matches(|c: char| c.is_whitespace() || is_quote(c)))
}

/// The name that ends here.
fn name_at_end(text: &str) -> &str {
    let rest = text.trim_end_matches(|c: char| c.is_alphanumeric() || "._-".contains(c));
    &text[rest.len()..]
}

/// Where the value that begins here starts and ends: in its quotes, or up to a separator.
fn value_after(text: &str, from: usize) -> (usize, usize) {
    let mut start = value_start(text, from);
    // "Authorization: Bearer …": the secret is the word after.
    for scheme in ["bearer ", "basic "] {
        let word = text[start..].get(..scheme.len());
        if word.is_some_and(|word| word.eq_ignore_ascii_case(scheme)) {
            start = value_start(text, start + scheme.len());
            break;
        }
    }
    let rest = &text[start..];
    match rest.chars().next().filter(|&c| is_quote(c)) {
        Some(quote) => {
            let start = start + quote.len_utf8();
            let length = text[start..].find(quote).unwrap_or(text.len() - start);
            (start, start + length)
        }
        None => {
            let ends = |c| is_separator(c) || is_quote(c);
            (start, start + rest.find(ends).unwrap_or(rest.len()))
        }
    }
}

fn value_start(text: &str, from: usize) -> usize {
    let is_padding = |c: char| c.is_whitespace() || c == '\\';
    text.len() - text[from..].trim_start_matches(is_padding).len()
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || ",;&{}[]()".contains(c)
}

fn is_quote(c: char) -> bool {
    "\"'`\\".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secret_keys() {
        for key in [
            "ssl.key.pem",
            "ssl.key.password",
            "ssl.keystore.location",
            "ssl.keystore.password",
            "sasl.password",
            "sasl.username",
            "sasl.jaas.config",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.assertion.private.key.pem",
            "superstream.token",
            "SASL_PLAIN_PASSWORD",
            "basic.auth.user.info",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in [
            "bootstrap.servers",
            "client.id",
            "linger.ms",
            "ssl.ca.location",
            "acks",
        ] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn values_of_every_shape() {
        let masker = Masker::new(["the-service-token"]);
        let mut config = json!({
            "sasl.password": "hunter2",
            "ssl.key.pem": {"a": "hunter2"},
            "my": {"secret": ["hunter2", 5]},
            "proxy": "http://user:hunter2@proxy:80/x",
            "header": "Bearer the-service-token",
            "superstream.tags": "{\"password\":\"hunter2\"}",
            "sasl.username": "",
            "linger.ms": 5,
        });
        let object = config.as_object_mut().unwrap();
        masker.configuration(object);
        let text = config.to_string();
        assert!(
            !text.contains("hunter2") && !text.contains("the-service-token"),
            "{text}"
        );
        assert_eq!(config["proxy"], "http://********@proxy:80/x");
        assert_eq!(config["sasl.username"], "");
        assert_eq!(config["linger.ms"], 5);
    }

    #[test]
    fn prose() {
        let masker = Masker::new(["the-service-token"]);
        for text in [
            "sasl.password=hunter2 was refused",
            "password: hunter2",
            "password = hunter2",
            "{\"sasl.password\":\"hunter2\"}",
            "Authorization: Bearer hunter2",
            "sent bearer hunter2",
            "GET https://me:hunter2@host/path",
            "secret='hunter2', and more",
            "secret='one hunter2 more'",
            "error: password=hunter2",
            "was \"{\\\"sasl.password\\\":\\\"hunter2\\\"}\"",
            "\u{e4}password=\u{e9}hunter2",
        ] {
            let masked = masker.text(text);
            assert!(!masked.contains("hunter2"), "{text:?} gave {masked:?}");
        }
        assert_eq!(masker.text("the-service-token!"), "********!");
        let harmless = "connect to 10.0.0.1:9092 failed: timed out (after 30 s)";
        assert_eq!(masker.text(harmless), harmless);
    }

    #[test]
    fn hostile_prose_is_done_soon() {
        let masker = Masker::default();
        for piece in [" ", "bearer ", "password=", "password= ", "='", "://", "a@"] {
            let text = format!("password: {}", piece.repeat(1_000_000 / piece.len()));
            assert!(masker.text(&text).contains("password: "));
        }
    }

    #[test]
    fn tags_by_key_and_otherwise_untouched() {
        let masker = Masker::default();
        assert_eq!(
            masker.tags("{\"team\" : \"payments\"}"),
            "{\"team\" : \"payments\"}"
        );
        assert!(
            !masker
                .tags("{\"api_token\":\"hunter2\"}")
                .contains("hunter2")
        );
        assert_eq!(masker.tags("plain words"), "plain words");
    }
}
