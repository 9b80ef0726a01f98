//! What serde takes and the protocol does not say.

use serde_json::Value;

type Fields = serde_json::Map<String, Value>;

/// Fields that hold a name out of a list. serde would also take an object for one, and the
/// library reads a mode that it does not know as `observe`; stored, that would be a lie.
const NAMES: [(&str, &[&str]); 2] = [
    ("type", &["producer", "consumer", "admin"]),
    ("mode", &["active", "observe"]),
];
/// Fields that hold a list of objects. serde would also take lists in the list.
const LISTS: [&str; 2] = ["changes", "refusals"];

/// Fields of the figures of a topic and of a broker that hold an object.
const TOPIC_FIGURES: &[&str] = &["accepted", "delivered", "failed", "refused", "consumed"];
const BROKER_FIGURES: &[&str] = &["sent", "produce", "fetch"];

/// serde takes more than the protocol says: a list for an object, field by field, and an object
/// for a name. Nobody should come to rely on that.
pub fn check(value: &Value) -> Result<(), String> {
    let Value::Object(message) = value else {
        return Err("the message must be a JSON object".to_owned());
    };
    for (field, names) in NAMES {
        let known = match message.get(field) {
            Some(Value::String(name)) => names.contains(&name.as_str()),
            Some(other) => other.is_null(),
            None => true,
        };
        if !known {
            return Err(format!("{field} must be one of {}", names.join(", ")));
        }
    }
    for list in LISTS {
        if let Some(Value::Array(items)) = message.get(list)
            && !items.iter().all(Value::is_object)
        {
            return Err(format!("{list} must be a list of objects"));
        }
    }
    check_report(message, "")?;
    if let Some(Value::Array(reports)) = message.get("reports") {
        for (at, report) in reports.iter().enumerate() {
            let name = format!("reports[{at}]");
            check_report(object(report, &name)?, &format!("{name}."))?;
        }
    }
    Ok(())
}

/// The objects in a `ClientReport`.
fn check_report(report: &Fields, prefix: &str) -> Result<(), String> {
    let name = format!("{prefix}measured");
    let measured = match report.get("measured") {
        None | Some(Value::Null) => return Ok(()),
        Some(measured) => object(measured, &name)?,
    };
    if let Some(Value::Object(topics)) = measured.get("topics") {
        for topic in topics.values() {
            check_figures(topic, &format!("{name}.topics[…]"), TOPIC_FIGURES)?;
        }
    }
    if let Some(others) = measured.get("other_topics") {
        check_figures(others, &format!("{name}.other_topics"), TOPIC_FIGURES)?;
    }
    if let Some(Value::Array(brokers)) = measured.get("brokers") {
        for (at, broker) in brokers.iter().enumerate() {
            check_figures(broker, &format!("{name}.brokers[{at}]"), BROKER_FIGURES)?;
        }
    }
    Ok(())
}

/// An object with objects in these fields.
fn check_figures(value: &Value, name: &str, fields: &[&str]) -> Result<(), String> {
    let figures = object(value, name)?;
    for field in fields {
        if let Some(figure) = figures.get(*field) {
            object(figure, &format!("{name}.{field}"))?;
        }
    }
    Ok(())
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Fields, String> {
    value
        .as_object()
        .ok_or_else(|| format!("{name} must be an object"))
}
