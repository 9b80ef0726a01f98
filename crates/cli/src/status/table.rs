//! A process's status as a table for people.

use serde_json::Value;

use super::{figures, member};
use crate::report::Page;
use crate::text;

/// The table of one process.
pub fn of(document: &Value) -> String {
    let mut page = Page::default();
    let on = document.pointer("/superstream/on").and_then(Value::as_bool);
    page.title(&format!(
        "process {}: Superstream {} {}, mode {}",
        document["pid"],
        member(document, "/superstream/version"),
        if on == Some(false) { "off" } else { "on" },
        known(member(document, "/superstream/mode")),
    ));
    for engine in list(document, "/engines") {
        let (version, file) = (member(engine, "/version"), member(engine, "/file"));
        page.line(
            "librdkafka",
            &format!("{}, {}", known(version), known(file)),
        );
    }
    page.line("service", &service(document));
    for trouble in ["outage", "refused", "last_outage"] {
        let words = member(document, &format!("/service/{trouble}"));
        if !words.is_empty() {
            page.line("", words);
        }
    }
    if let Some(clients) = document.pointer("/service/clients_given_up") {
        let words = format!(
            "the last figures of {} clients were given up",
            plain(clients)
        );
        page.line("", &words);
    }
    if let Some(errors) = document.pointer("/superstream/caught/errors") {
        let last = member(document, "/superstream/caught/last");
        let words = format!(
            "{} of our own were caught, the last one at {last}",
            plain(errors)
        );
        page.line("errors", &words);
    }
    let clients: Vec<&Value> = list(document, "/clients").collect();
    if clients.is_empty() {
        page.line("clients", "none");
    }
    for client in clients {
        describe(&mut page, client);
    }
    if let Some(left_out) = document["clients_left_out"]
        .as_u64()
        .filter(|count| *count > 0)
    {
        page.line("", &format!("{left_out} more clients are not shown"));
    }
    page.0
}

fn service(document: &Value) -> String {
    let state = match member(document, "/service/state") {
        "up" => "answers",
        "down" => "does not answer",
        _ => "not asked yet",
    };
    let host = member(document, "/service/host");
    match member(document, "/service/reason") {
        "" => format!("{host}: {state}"),
        reason => format!("{host}: {state} ({reason})"),
    }
}

fn describe(page: &mut Page, client: &Value) {
    let kind = member(client, "/client/type");
    let mut title = format!("{} {:?}", known(kind), member(client, "/client/client_id"));
    let mode = member(client, "/superstream/mode");
    if !mode.is_empty() && mode != "active" {
        title.push_str(&format!(" (mode {mode})"));
    }
    page.line("client", &title);
    if let Some(id) = client.pointer("/client/connection_id") {
        page.line("cluster", &format!("connection_id {}", plain(id)));
    }
    let note = member(client, "/note");
    if !note.is_empty() {
        page.line("", note);
    }
    let rows: Vec<[String; 4]> = changes(client).chain(refusals(client)).collect();
    if rows.is_empty() {
        page.line("", "nothing changed, nothing refused");
    } else {
        page.0.push_str(&rows_of(&rows));
    }
    if client["at_next_start"].is_object() {
        page.line("next start", &next_start(client));
    }
    figures::describe(page, client);
    for error in list(client, "/errors") {
        page.line("error", &plain(error));
    }
}

/// What the service would answer now. The mode is told where it is another than that of the answer
/// which the client got: all the rest may be the same.
fn next_start(client: &Value) -> String {
    let next = &client["at_next_start"];
    let advice = next["optimized_configuration"].as_object();
    let values: Vec<String> = advice
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", plain(value)))
        .collect();
    let mut words = match (next["start"].as_bool(), member(next, "/error")) {
        (Some(false), "") => "no advice".to_owned(),
        (Some(false), error) => format!("no advice: {error}"),
        _ if values.is_empty() => "advised: nothing".to_owned(),
        _ => format!("advised: {}", values.join(", ")),
    };
    let now = match member(client, "/answered/mode") {
        "" => member(client, "/superstream/mode"),
        answered => answered,
    };
    let mode = member(next, "/mode");
    if !mode.is_empty() && !now.is_empty() && mode != now {
        words.push_str(&format!(" (mode {mode})"));
    }
    words
}

fn changes(client: &Value) -> impl Iterator<Item = [String; 4]> {
    list(client, "/changes").map(|change| {
        let values = format!("{} -> {}", plain(&change["old"]), plain(&change["new"]));
        [
            "changed".to_owned(),
            plain(&change["key"]),
            values,
            plain(&change["reason"]),
        ]
    })
}

fn refusals(client: &Value) -> impl Iterator<Item = [String; 4]> {
    list(client, "/refusals").map(|refusal| {
        let asked = plain(&refusal["asked"]);
        [
            "refused".to_owned(),
            plain(&refusal["key"]),
            asked,
            plain(&refusal["reason"]),
        ]
    })
}

/// Columns as wide as their widest cell; the last one, the reason, ends where it ends.
fn rows_of(rows: &[[String; 4]]) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let mut table = String::new();
    for [what, key, value, reason] in rows {
        let line = format!(
            "    {what:0$}  {key:1$}  {value:2$}  {reason}",
            widths[0], widths[1], widths[2]
        );
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn list<'a>(document: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    document
        .pointer(path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// A value without JSON's quotes, safe for a terminal.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text::clean(text),
        other => text::clean(&other.to_string()),
    }
}

fn known(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_process_is_shown_with_its_clients() {
        let document = json!({
            "pid": 7,
            "superstream": {"version": "0.1.0", "on": true, "mode": "active"},
            "engines": [{"version": "2.0.2", "file": "/lib/librdkafka.so.1"}],
            "service": {"host": "http://h", "state": "down", "reason": "timed out",
                        "refused": "the service refuses: 403", "clients_given_up": 3,
                        "last_outage": "the service was not reached for 3 s"},
            "clients": [{
                "client": {"type": "producer", "client_id": "orders\u{1b}[2J",
                           "connection_id": 42},
                "changes": [
                    {"key": "linger.ms", "old": "5", "new": "100", "reason": "fewer requests"},
                    {"key": "compression.type", "old": "none", "new": "zstd", "reason": "r"},
                ],
                "refusals": [{"key": "acks", "asked": 1, "reason": "never touched"}],
                "at_next_start": {"start": true, "optimized_configuration": {"linger.ms": 80}},
                "measured": {
                    "topics": {"t": {
                        "accepted": {"records": 1000, "bytes": 300_000},
                        "delivered": {"records": 990, "bytes": 297_000},
                        "failed": {"records": 3, "bytes": 900},
                    }},
                    "brokers": [{"id": 1, "produce": {"requests": 99, "bytes": 59_400}}],
                    "transport_errors": {"-195": 2},
                },
                "saving": {"baseline": {"wire_ratio": 1.0, "records_per_request": 2.0}},
            }],
            "clients_left_out": 2,
        });
        let expected = "\
process 7: Superstream 0.1.0 on, mode active
  librdkafka  2.0.2, /lib/librdkafka.so.1
  service     http://h: does not answer (timed out)
              the service refuses: 403
              the service was not reached for 3 s
              the last figures of 3 clients were given up
  client      producer \"orders\\u{1b}[2J\"
  cluster     connection_id 42
    changed  linger.ms         5 -> 100      fewer requests
    changed  compression.type  none -> zstd  r
    refused  acks              1             never touched
  next start  advised: linger.ms=80
  delivered   990 records, 297 kB of payload, in 99 requests of 59.4 kB on the wire
              3 failed, 7 not acknowledged yet
  saved       80.0 % of the bytes on the wire, 80.0 % of the requests, against an earlier
              client without changes
  failed      requests: 2 with librdkafka's code -195
              2 more clients are not shown
";
        assert_eq!(of(&document), expected);
    }

    #[test]
    fn all_that_may_change_at_the_next_start_is_told() {
        let linger = json!({"linger.ms": 80});
        for (next, expected) in [
            (
                json!({"start": true, "optimized_configuration": {}}),
                "advised: nothing",
            ),
            (json!({"start": true}), "advised: nothing"),
            (
                json!({"start": false, "error": "not these"}),
                "no advice: not these",
            ),
            (json!({"start": false, "mode": "active"}), "no advice"),
            (
                json!({"start": true, "optimized_configuration": linger, "mode": "observe"}),
                "advised: linger.ms=80 (mode observe)",
            ),
            (
                json!({"start": true, "optimized_configuration": linger, "mode": "active"}),
                "advised: linger.ms=80",
            ),
        ] {
            for now in ["superstream", "answered"] {
                let mut client = json!({"at_next_start": next});
                client[now] = json!({"mode": "active"});
                let page = of(&json!({"clients": [client]}));
                let line = format!("  next start  {expected}\n");
                assert!(page.contains(&line), "no {line:?} in\n{page}");
            }
        }
        let same = of(&json!({"clients": [{"at_next_start": null}]}));
        assert!(!same.contains("next start"), "{same}");
    }

    #[test]
    fn a_document_with_nothing_in_it_is_no_failure() {
        assert!(of(&json!({})).contains("clients     none"));
    }
}
