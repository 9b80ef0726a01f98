//! `compression.type` and `compression.level`.

use serde_json::Value;

use super::state::{Set, State, Verdict, unknown};
use super::value;

/// The name of the codec, in the client's configuration and in a topic's.
pub(super) const CODEC: &str = "compression.type";

/// The codec's level. Only topic configurations have it.
pub(super) const LEVEL: &str = "compression.level";

/// The codec's own default: `RD_KAFKA_COMPLEVEL_DEFAULT`, rdkafka_conf.h.
const DEFAULT_LEVEL: i64 = -1;

/// The engine's range of `compression.level`, rdkafka_conf.c's property table. zstd could take 22,
/// but the table stops at 12 (`RD_KAFKA_COMPLEVEL_MAX`).
const LEVELS: (i64, i64) = (-1, 12);

/// The highest level that advice can set, for every codec. Levels above cost a multiple of the CPU
/// for a few per cent of the bytes, on the engine's broker thread: small containers feel it.
const MAX_ADVISED_LEVEL: i64 = 6;

/// Decides about an advised codec. The change is made in the client's configuration.
///
/// The worst case of a change from `none` is a batch that is sent plain: the broker does not know
/// the codec (`rd_kafka_msgset_writer_select_MsgVersion`), or it does not make the batch smaller
/// (`rd_kafka_msgset_writer_compress`, both rdkafka_msgset_writer.c).
pub(super) fn codec(state: &State, asked: &Value) -> Verdict {
    let new = value::codec(asked)?;
    let own = effective_codec(state)?;
    if new == own {
        return Ok(None);
    }
    if topic_codec(state)?.is_some() {
        return Err(format!(
            "the default topic configuration sets compression.type {own}, and that wins"
        ));
    }
    if new == "none" {
        return Err(format!(
            "the application compresses with {own}, and that is not turned off"
        ));
    }
    if state.unfinished && chosen_level(state).is_some() {
        return Err("a level was chosen for the application's codec".to_owned());
    }
    has_feature(state, new)?;
    if new == "zstd" && own != "none" {
        return Err(format!(
            "a broker before Kafka 2.1 would get zstd batches uncompressed, and the application's \
             {own} works"
        ));
    }
    is_known_to_broker(state, new)?;
    let reason = match own {
        "none" => "advised; the application sends uncompressed".to_owned(),
        _ => format!("advised; the application compresses with {own}"),
    };
    Ok(Some(Set {
        new: new.to_owned(),
        reason,
    }))
}

/// Decides about an advised level. `rd_kafka_topic_new0` (rdkafka_topic.c) cuts a level to its
/// codec's range without a word; here a level out of the range is refused.
pub(super) fn level(state: &State, asked: &Value) -> Verdict {
    let new = value::whole_within(asked, LEVELS.0, LEVELS.1)?;
    if !state.has_topic() {
        return Err(
            "the application has no default topic configuration, and none may be created".into(),
        );
    }
    let own = state.topic_whole(LEVEL)?;
    if new == own {
        return Ok(None);
    }
    let codec = effective_codec(state)?;
    let (least, default) = match codec {
        // Level 0 of zlib stores and does not compress.
        "gzip" => (1, 6),
        "lz4" => (0, 0),
        "zstd" => (1, 3),
        _ => return Err(format!("compression.type {codec} has no levels")),
    };
    let meant = |level| {
        if level == DEFAULT_LEVEL {
            default
        } else {
            level
        }
    };
    if meant(new) == meant(own) {
        return Ok(None);
    }
    if new != DEFAULT_LEVEL && (new < least || new > MAX_ADVISED_LEVEL) {
        return Err(format!(
            "{new} is outside {least} to {MAX_ADVISED_LEVEL}, the levels for {codec} that a small \
             container can afford"
        ));
    }
    Set::whole(new, format!("advised, for {codec}"))
}

/// A level that was chosen for the application's codec means something else for the new one: 9 is
/// gzip's highest, and much work for zstd. So it goes back to the codec's default, unless the
/// advice had a say about the level.
pub(super) fn level_reset(state: &State) -> Option<Set> {
    let level = chosen_level(state).filter(|_| state.is_changed(CODEC))?;
    Some(Set {
        new: DEFAULT_LEVEL.to_string(),
        reason: format!("{level} was chosen for the codec before"),
    })
}

fn chosen_level(state: &State) -> Option<i64> {
    let level = state.topic_text(LEVEL).and_then(value::engine_whole)?;
    (level != DEFAULT_LEVEL).then_some(level)
}

/// The codec that a topic of this client uses, where it is given no configuration of its own: the
/// default topic configuration's, or where that inherits or there is none, the client's
/// (`rd_kafka_topic_new0`, rdkafka_topic.c).
fn effective_codec(state: &State) -> Result<&'static str, String> {
    if let Some(codec) = topic_codec(state)? {
        return Ok(codec);
    }
    state
        .text(CODEC)
        .and_then(value::known_codec)
        .ok_or_else(|| unknown(CODEC))
}

/// The codec of the default topic configuration, where it is not `inherit`.
fn topic_codec(state: &State) -> Result<Option<&'static str>, String> {
    if !state.has_topic() {
        return Ok(None);
    }
    match state.topic_text(CODEC) {
        Some("inherit") => Ok(None),
        text => text
            .and_then(value::known_codec)
            .map(Some)
            .ok_or_else(|| unknown("compression.type of the default topic configuration")),
    }
}

/// A codec is there if the engine was built with it: `builtin.features`, rdkafka_conf.c. Where
/// that is not known, zstd is not tried: it is the one that builds leave out.
fn has_feature(state: &State, codec: &str) -> Result<(), String> {
    match state.text("builtin.features") {
        Some(features) if features.split(',').any(|feature| feature == codec) => Ok(()),
        Some(_) => Err(format!("this engine was built without {codec}")),
        None if codec == "zstd" => Err(unknown("builtin.features")),
        None => Ok(()),
    }
}

/// `broker.version.fallback` of 0.8 or 0.9 says that the brokers are old: the engine then guesses
/// their features from it where they cannot tell (`rd_kafka_get_legacy_ApiVersions`,
/// rdkafka_feature.c). lz4 came with 0.8.2 and zstd with 2.1 there (`rd_kafka_feature_map`).
///
/// `api.version.request=false` alone says nothing: `rd_kafka_new` (rdkafka.c) turns it on again
/// where the fallback is 0.10 or later, as it is by default.
fn is_known_to_broker(state: &State, codec: &str) -> Result<(), String> {
    let old: &[&str] = match codec {
        "zstd" => &["0.8.0", "0.8.1", "0.8.2", "0.9.0"],
        "lz4" => &["0.8.0", "0.8.1"],
        _ => return Ok(()),
    };
    let fallback = state.text("broker.version.fallback").unwrap_or_default();
    if old.iter().any(|version| fallback.starts_with(version)) {
        return Err(format!(
            "the application's broker.version.fallback says that its brokers do not know {codec}"
        ));
    }
    Ok(())
}
