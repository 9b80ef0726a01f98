//! What is shown: the totals on top, the table below, within the room that there is. Pure.

use std::time::Duration;

use serde_json::Value;

use super::View;
use super::columns::ago_in_words;
use super::fetch::Snapshot;
use super::rows::{Life, Rates};
use super::table::{clip, table};
use crate::numbers::{bytes, number};
use crate::text;

/// One line, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Plain,
    /// The titles of the columns.
    Titles,
    /// Something is wrong.
    Alarm,
}

/// How many letters and lines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub width: usize,
    pub height: usize,
}

/// The service does not answer, or was not asked.
pub struct Away {
    /// A predicate of the service.
    pub reason: String,
    pub since: Duration,
}

/// The whole page. Without `room` it is as wide and as long as it needs to be.
pub fn lines(
    view: &View,
    snapshot: &Snapshot,
    away: Option<&Away>,
    room: Option<Room>,
) -> Vec<Line> {
    let plain = |text: String| Line {
        text,
        role: Role::Plain,
    };
    let mut lines = vec![
        first(view, away),
        plain(service(snapshot)),
        plain(shown(snapshot)),
        plain(String::new()),
    ];
    if snapshot.rows.is_empty() {
        let words = match (view.tags.is_empty(), view.all) {
            (true, false) => "no client is alive",
            (true, true) => "no client is known",
            (false, false) => "no live client has these tags",
            (false, true) => "no client has these tags",
        };
        lines.push(plain(words.to_owned()));
    } else {
        let left = room.map(|room| room.height.saturating_sub(lines.len() + 1));
        lines.extend(table(view, &snapshot.rows, left, room.map(|r| r.width)));
    }
    if let Some(room) = room {
        lines.truncate(room.height);
        for line in &mut lines {
            line.text = clip(&line.text, room.width);
        }
    }
    lines
}

/// Who is asked, and whether it answers.
fn first(view: &View, away: Option<&Away>) -> Line {
    let host = &view.host;
    let (text, role) = match away {
        Some(away) => (
            format!(
                "{host} {}; figures of {} ago, asking again",
                away.reason,
                ago_in_words(away.since)
            ),
            Role::Alarm,
        ),
        None => {
            let tags: Vec<String> = view.tags.iter().map(|tag| tag.as_text()).collect();
            let tags = match tags.is_empty() {
                true => String::new(),
                false => format!("  tags {}", tags.join(" ")),
            };
            (format!("superstream top  {host}{tags}"), Role::Plain)
        }
    };
    Line {
        text: text::clean(&text),
        role,
    }
}

/// What the service says of all its clients, whatever is shown of them.
fn service(snapshot: &Snapshot) -> String {
    let totals = &snapshot.totals;
    let count = |path: &str| totals.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let compared = count("/saved/clients");
    let saved = totals["saved"]["bytes"].as_f64().unwrap_or(0.0);
    let saving = match (compared, saved < 0.0) {
        (0, _) => "nothing compared yet".to_owned(),
        (_, false) => format!(
            "{} saved against measured baselines by {compared}",
            bytes(saved)
        ),
        (_, true) => format!(
            "{} more than measured baselines sent by {compared}",
            bytes(-saved)
        ),
    };
    format!(
        "service  {} alive, reporting every {}; {saving}; {} without a baseline",
        clients(count("/clients/alive")),
        ago_in_words(Duration::from_millis(snapshot.report_interval_ms)),
        count("/saved/clients_without_baseline")
    )
}

/// The sums of the rates in the table.
fn shown(snapshot: &Snapshot) -> String {
    let rows = &snapshot.rows;
    let mut parts = vec![format!("shown    {}", clients(rows.len() as u64))];
    for (consumes, verb) in [(false, "produce"), (true, "consume")] {
        let mut rates = rows
            .iter()
            .filter(|row| row.consumes() == consumes)
            .filter_map(|row| row.rates)
            .peekable();
        if rates.peek().is_some() {
            let sum = rates.fold(Rates::default(), |mut sum, rates| {
                sum.add(&rates);
                sum
            });
            parts.push(format!(
                "{verb} {} records/s, payload {}/s, wire {}/s",
                number(sum.records),
                bytes(sum.payload),
                bytes(sum.wire)
            ));
        }
    }
    let live = rows.iter().filter(|row| row.life == Life::Live);
    match live.filter(|row| row.rates.is_none()).count() {
        0 => {}
        without => parts.push(format!("{without} without rates yet")),
    }
    if snapshot.is_cut {
        parts.push("only the newest registrations were looked at".to_owned());
    }
    parts.join("; ")
}

fn clients(count: u64) -> String {
    match count {
        1 => "1 client".to_owned(),
        count => format!("{count} clients"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::columns::Column;
    use crate::top::rows::{Row, Saved};
    use serde_json::json;
    use unicode_width::UnicodeWidthStr;

    fn view() -> View {
        View {
            host: "http://h".to_owned(),
            tags: Vec::new(),
            all: false,
            sort: Column::Wire,
        }
    }

    fn snapshot(rows: Vec<Row>) -> Snapshot {
        Snapshot {
            at_ms: 0,
            report_interval_ms: 600_000,
            rows,
            totals: json!({
                "clients": {"alive": 3},
                "saved": {"bytes": 1_500_000, "clients": 2, "clients_without_baseline": 1},
            }),
            is_cut: false,
        }
    }

    fn row(id: &str) -> Row {
        Row {
            client_id: id.to_owned(),
            kind: "producer".to_owned(),
            host: "shop-1".to_owned(),
            tags: [("team".to_owned(), "orders".to_owned())].into(),
            language: "python".to_owned(),
            rates: Some(Rates {
                records: 2000.0,
                payload: 526_000.0,
                wire: 73_600.0,
                requests: 10.0,
            }),
            records_per_request: Some(200.0),
            wire_ratio: Some(0.14),
            saved: Saved::Part(0.871),
            errors: 2,
            silent: Duration::from_secs(4),
            ..Row::default()
        }
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_client_is_shown_with_what_it_does_and_saves() {
        let lines = lines(&view(), &snapshot(vec![row("orders")]), None, None);
        let expected = [
            "superstream top  http://h",
            "service  3 clients alive, reporting every 10 min; 1.50 MB saved against measured \
             baselines by 2; 1 without a baseline",
            "shown    1 client; produce 2000 records/s, payload 526 kB/s, wire 73.6 kB/s",
            "",
            "CLIENT.ID  TYPE      HOST    TAGS         LANGUAGE  RECORDS/S  PAYLOAD MB/S  WIRE MB/S  \
             REQUESTS/S  RECORDS/REQUEST  WIRE RATIO   SAVED  ERRORS  SEEN",
            "orders     producer  shop-1  team=orders  python         2000         0.526      0.074  \
             \u{20}     10.0              200       0.140  87.1 %       2   4 s",
        ];
        assert_eq!(texts(&lines), expected);
    }

    #[test]
    fn a_terminal_is_never_overrun() {
        let rows: Vec<Row> = ["a", "b", "größer 漢字漢字漢字漢字漢字漢字漢字", "d", "e"]
            .map(row)
            .into();
        let snapshot = snapshot(rows);
        for width in 0..200 {
            for height in 0..12 {
                let room = Room { width, height };
                let lines = lines(&view(), &snapshot, None, Some(room));
                assert!(lines.len() <= height);
                assert!(lines.iter().all(|line| line.text.width() <= width));
            }
        }
        let room = Room {
            width: 100,
            height: 8,
        };
        let lines = lines(&view(), &snapshot, None, Some(room));
        assert!(lines[4].text.contains("SAVED"), "{lines:?}");
        assert!(!lines[4].text.contains("LANGUAGE"), "{lines:?}");
        assert!(lines[7].text.starts_with("and 3 more"), "{lines:?}");
    }

    #[test]
    fn a_name_that_takes_no_room_ends() {
        let name = format!("a{}", "\u{301}".repeat(300_000));
        let snapshot = snapshot(vec![row(&name), row("e\u{301}te\u{301}")]);
        for width in [80, 200] {
            let room = Room { width, height: 24 };
            let lines = lines(&view(), &snapshot, None, Some(room));
            assert!(lines.iter().all(|line| line.text.chars().count() < 1_000));
            let is_whole = |line: &Line| line.text.contains("e\u{301}te\u{301}");
            assert!(lines.iter().any(is_whole), "{lines:?}");
        }
    }

    #[test]
    fn what_is_sorted_by_stays_in_a_narrow_table() {
        let view = View {
            sort: Column::Language,
            ..view()
        };
        let room = Room {
            width: 80,
            height: 24,
        };
        let lines = lines(&view, &snapshot(vec![row("a")]), None, Some(room));
        assert!(lines[4].text.contains("LANGUAGE"), "{lines:?}");
    }

    #[test]
    fn a_service_that_is_away_is_told_on_top() {
        let away = Away {
            reason: "does not answer: connection\x1b[2J refused".to_owned(),
            since: Duration::from_secs(12),
        };
        let lines = lines(&view(), &snapshot(Vec::new()), Some(&away), None);
        assert_eq!(
            lines[0].text,
            "http://h does not answer: connection?[2J refused; figures of 12 s ago, asking again"
        );
        assert_eq!(lines[0].role, Role::Alarm);
        assert_eq!(lines[4].text, "no client is alive");
    }

    #[test]
    fn more_bytes_than_the_baseline_are_no_saving() {
        let service = |totals: Value| {
            service(&Snapshot {
                totals,
                ..snapshot(Vec::new())
            })
        };
        let more = service(json!({"saved": {"bytes": -2000, "clients": 1}}));
        assert!(more.contains("2.00 kB more than measured baselines sent by 1"));
        assert!(service(json!({})).contains("nothing compared yet; 0 without"));
    }
}
