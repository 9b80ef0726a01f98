//! Reading values: strictly those of the advice, leniently those of the engine.

use serde_json::Value;

/// What stands for a value that must not be repeated.
pub(super) const NOT_SHOWN: &str = "(not shown)";

/// The codecs that the engine knows, `compression.codec` in rdkafka_conf.c's property table.
pub(super) const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];

/// The longest text that can be a number: 19 digits and a sign.
const LONGEST_NUMBER: usize = 20;

/// Up to here every whole number is exact in a double.
const EXACT_IN_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// A number of the advice for a property that takes whole numbers. A fraction of zeros is none.
///
/// The engine reads integers with `strtol(value, &end, 0)` and cuts to an `int`
/// (`rd_kafka_anyconf_set_prop`, rdkafka_conf.c): there `010` is 8, `0x10` is 16, `5ms` is 5 and
/// 4294967297 is 1. None of these gets through here.
pub(super) fn whole(asked: &Value) -> Result<i64, String> {
    const NOT_WHOLE: &str = "the advised value is not a whole number";
    let number = match asked {
        Value::Number(number) => match number.as_i64() {
            Some(whole) => return Ok(whole),
            None => number.as_f64(),
        },
        Value::String(text) => {
            let (before_point, fraction) = decimal_parts(text).ok_or(NOT_WHOLE)?;
            if fraction.bytes().any(|digit| digit != b'0') {
                return Err(NOT_WHOLE.into());
            }
            return before_point.parse().map_err(|_| NOT_WHOLE.into());
        }
        _ => None,
    };
    match number {
        Some(number) if number.fract() == 0.0 && number.abs() <= EXACT_IN_DOUBLE => {
            Ok(number as i64)
        }
        _ => Err(NOT_WHOLE.into()),
    }
}

/// A number of the advice for a property that takes fractions.
pub(super) fn decimal(asked: &Value) -> Result<f64, String> {
    let number = match asked {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => decimal_parts(text).and_then(|_| text.parse().ok()),
        _ => None,
    };
    number
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| "the advised value is not a number".into())
}

/// A whole number of the advice, and within the range of the engine's property table.
pub(super) fn whole_within(asked: &Value, least: i64, most: i64) -> Result<i64, String> {
    let number = whole(asked)?;
    if number < least || number > most {
        return Err(format!("{number} is outside {least} to {most}"));
    }
    Ok(number)
}

/// The codec that the advice names. The engine compares without case.
pub(super) fn codec(asked: &Value) -> Result<&'static str, String> {
    asked
        .as_str()
        .and_then(known_codec)
        .ok_or_else(|| format!("the advised value is not one of {}", CODECS.join(", ")))
}

/// A codec by its name, in the engine's spelling.
pub(super) fn known_codec(name: &str) -> Option<&'static str> {
    CODECS
        .iter()
        .copied()
        .find(|codec| codec.eq_ignore_ascii_case(name))
}

/// The engine's text of an integer: `%i`, in `rd_kafka_anyconf_get0`.
pub(super) fn engine_whole(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// The engine's text of a double: `%g`, in `rd_kafka_anyconf_get0`. The process's locale decides
/// whether it has a point or a comma.
pub(super) fn engine_double(text: &str) -> Option<f64> {
    let number: f64 = text.replace(',', ".").parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// An advised value as JSON text for a report. Only numbers, flags and names of codecs: any other
/// text may hold a secret that the service repeats by mistake or on purpose.
pub(super) fn shown(asked: &Value) -> String {
    match asked {
        Value::Null | Value::Bool(_) | Value::Number(_) => asked.to_string(),
        Value::String(text) if decimal_parts(text).is_some() || known_codec(text).is_some() => {
            asked.to_string()
        }
        _ => NOT_SHOWN.into(),
    }
}

/// The parts of a plain decimal number, before and after the point: an optional minus, no plus, no
/// exponent, no white space, no leading zeros.
fn decimal_parts(text: &str) -> Option<(&str, &str)> {
    if text.len() > LONGEST_NUMBER {
        return None;
    }
    let (before_point, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = before_point.strip_prefix('-').unwrap_or(before_point);
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || leading_zero || !all_digits(digits) || !all_digits(fraction) {
        return None;
    }
    Some((before_point, fraction))
}
