//! The sums as OpenMetrics text. No label grows with the number of clients.

use std::fmt::{Display, Write};

use superstream_protocol::measured::{Durations, GROUPING_POWER};

use crate::store::{Figures, KindTotals, Totals};
use crate::tally::Tally;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Kinds that are always there, so that their lines begin at zero.
const KINDS: [&str; 2] = ["consumer", "producer"];
/// The bounds of the latencies are below these powers of two, in µs: 127 µs to 134 s. Each is the
/// last whole number in a bucket of the clients, so that nothing has to be divided between two.
const LATENCY_POWERS: std::ops::RangeInclusive<u32> = 7..=27;

/// A family of counters over the figures: its name without ours in front, its number, and what
/// that tells.
type Family = (&'static str, fn(&Figures) -> u64, &'static str);

const FIGURES: [Family; 11] = [
    (
        "delivered_records",
        |f| f.delivered_records,
        "Records that brokers have acknowledged.",
    ),
    (
        "delivered_bytes",
        |f| f.delivered_bytes,
        "Keys and values of records that brokers have acknowledged.",
    ),
    (
        "failed_records",
        |f| f.failed_records,
        "Records that were given up.",
    ),
    (
        "refused_records",
        |f| f.refused_records,
        "Records that produce gave back at once.",
    ),
    (
        "produce_requests",
        |f| f.produce_requests,
        "Produce requests, retries included.",
    ),
    (
        "produce_wire_bytes",
        |f| f.wire_bytes,
        "Bytes of produce requests, after compression and before TLS.",
    ),
    (
        "consumed_records",
        |f| f.consumed_records,
        "Records that were handed to applications.",
    ),
    (
        "consumed_bytes",
        |f| f.consumed_bytes,
        "Keys and values of records that were handed to applications.",
    ),
    ("fetch_requests", |f| f.fetch_requests, "Fetch requests."),
    (
        "fetched_bytes",
        |f| f.fetched_bytes,
        "Bytes of answers to fetch requests, before decompression and after TLS.",
    ),
    (
        "consumed_schema_records",
        |f| f.schema_records,
        "Records with the header superstream_schema that were handed to applications as they are: at \
         least so many.",
    ),
];

/// The whole text.
pub fn text(totals: &Totals, tally: &Tally) -> String {
    let mut totals = totals.clone();
    for kind in KINDS {
        totals.entry(kind.to_owned()).or_default();
    }
    let mut text = Text::default();
    let gauge = Some("gauge");
    let by_type = |of: fn(&KindTotals) -> u64| {
        totals
            .iter()
            .map(move |(kind, totals)| (kind.as_str(), of(totals)))
    };
    text.family(
        "superstream_clients_known",
        gauge,
        None,
        "Clients that are known.",
    );
    text.samples("superstream_clients_known", "type", by_type(|t| t.known));
    text.family(
        "superstream_clients_alive",
        gauge,
        None,
        "Clients that have not gone and were heard of in the last three report intervals.",
    );
    text.samples("superstream_clients_alive", "type", by_type(|t| t.alive));
    for (name, of, help) in FIGURES {
        let name = format!("superstream_{name}");
        // A unit has to be the end of its name.
        let unit = name.ends_with("_bytes").then_some("bytes");
        text.counter(&name, unit, help);
        let samples = totals
            .iter()
            .map(|(kind, totals)| (kind.as_str(), of(&totals.figures)));
        text.samples(&format!("{name}_total"), "type", samples);
    }
    text.family(
        "superstream_saved_bytes",
        gauge,
        Some("bytes"),
        "Bytes on the wire that were saved against measured baselines; below zero where more were sent.",
    );
    let saved = totals
        .iter()
        .map(|(kind, totals)| (kind.as_str(), totals.saved_bytes.round() as i64));
    text.samples("superstream_saved_bytes", "type", saved);
    text.family(
        "superstream_clients_compared",
        gauge,
        None,
        "Clients with a measured baseline, forgotten ones included.",
    );
    text.samples(
        "superstream_clients_compared",
        "type",
        by_type(|t| t.compared),
    );
    text.family(
        "superstream_clients_without_baseline",
        gauge,
        None,
        "Clients that delivered something, are not known to run without changes and have no baseline: \
         what they saved is not known.",
    );
    let without = by_type(|t| t.without_baseline);
    text.samples("superstream_clients_without_baseline", "type", without);
    text.family(
        "superstream_delivery_latency_seconds",
        Some("histogram"),
        Some("seconds"),
        "From produce to the acknowledgement, of the records that clients sampled.",
    );
    for (kind, totals) in &totals {
        text.histogram(
            "superstream_delivery_latency_seconds",
            kind,
            &totals.latency,
        );
    }
    text.counter(
        "superstream_service_answers",
        None,
        "Requests that this service has answered since it was started, by status.",
    );
    text.samples(
        "superstream_service_answers_total",
        "status",
        tally.answers(),
    );
    text.counter(
        "superstream_service_reports",
        None,
        "Reports that came since this service was started, by what became of them.",
    );
    text.samples(
        "superstream_service_reports_total",
        "outcome",
        tally.reports(),
    );
    if let Some(is_up) = tally.is_nats_up() {
        nats(&mut text, is_up, tally);
    }
    if let Some(count) = tally.links() {
        links(&mut text, count, tally);
    }
    text.0.push_str("# EOF\n");
    text.0
}

/// What there is to tell where the service has links.
fn links(text: &mut Text, count: u64, tally: &Tally) {
    let name = "superstream_service_links";
    let help = "Processes that are connected over Veltix.";
    text.family(name, Some("gauge"), None, help);
    text.line(format_args!("{name} {count}"));
    let (links, clients) = tally.links_lost();
    let name = "superstream_service_links_lost";
    let help = "Links that ended since this service was started while clients were on them.";
    text.counter(name, None, help);
    text.line(format_args!("{name}_total {links}"));
    let name = "superstream_service_link_clients_lost";
    let help = "Clients that were on these, and have not said goodbye.";
    text.counter(name, None, help);
    text.line(format_args!("{name}_total {clients}"));
}

/// What there is to tell where the service speaks NATS too.
fn nats(text: &mut Text, is_up: bool, tally: &Tally) {
    let name = "superstream_service_nats_up";
    let help = "Whether this service is connected to the NATS server.";
    text.family(name, Some("gauge"), None, help);
    text.line(format_args!("{name} {}", u8::from(is_up)));
    text.counter(
        "superstream_service_nats_messages",
        None,
        "Messages that came over NATS since this service was started, by what they are about.",
    );
    text.samples(
        "superstream_service_nats_messages_total",
        "about",
        tally.nats_messages(),
    );
    text.counter(
        "superstream_service_nats_outcomes",
        None,
        "The same by what became of them; unknown are those of clients that nobody knows. Those that \
         were dropped are not counted by what they are about.",
    );
    text.samples(
        "superstream_service_nats_outcomes_total",
        "outcome",
        tally.nats_outcomes(),
    );
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: Option<&str>, unit: Option<&str>, help: &str) {
        let kind = kind.unwrap_or("unknown");
        self.line(format_args!("# TYPE {name} {kind}"));
        if let Some(unit) = unit {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        self.line(format_args!("# HELP {name} {help}"));
    }

    fn counter(&mut self, name: &str, unit: Option<&str>, help: &str) {
        self.family(name, Some("counter"), unit, help);
    }

    fn samples<'a, N: Display>(
        &mut self,
        name: &str,
        label: &str,
        samples: impl IntoIterator<Item = (&'a str, N)>,
    ) {
        for (value, number) in samples {
            self.line(format_args!("{name}{{{label}=\"{value}\"}} {number}"));
        }
    }

    /// The clients do not tell the sum of their latencies, so there is no `_sum`; and OpenMetrics
    /// has no `_count` without it.
    fn histogram(&mut self, name: &str, kind: &str, durations: &Durations) {
        for power in LATENCY_POWERS {
            let upto = buckets_below(power);
            let count = durations.0.range(..upto);
            let count = count.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
            let micros = (1u64 << power) - 1;
            let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
            let bound = format!("{seconds}.{rest:06}");
            self.line(format_args!(
                "{name}_bucket{{type=\"{kind}\",le=\"{bound}\"}} {count}"
            ));
        }
        let all = durations.count();
        self.line(format_args!(
            "{name}_bucket{{type=\"{kind}\",le=\"+Inf\"}} {all}"
        ));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// How many buckets of the clients hold the numbers below a power of two: one for each number at
/// first, and then as many between one power and the next as between any other two.
fn buckets_below(power: u32) -> u32 {
    let grouping = u32::from(GROUPING_POWER);
    match power > grouping {
        true => (power - grouping + 1) << grouping,
        false => 1 << power,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_buckets() {
        for power in LATENCY_POWERS {
            let last = Durations([(buckets_below(power) - 1, 1)].into());
            assert_eq!(last.quantile(0.5), Some((1 << power) - 1), "2^{power}");
        }
    }

    #[test]
    fn the_histogram_adds_up() {
        let mut text = Text::default();
        // 0 µs, 127 µs, 128 µs, and hours.
        let (last, next) = (buckets_below(7) - 1, buckets_below(7));
        let durations = Durations([(0, 1), (last, 2), (next, 4), (271, u64::MAX)].into());
        text.histogram("x", "producer", &durations);
        let lines: Vec<_> = text.0.lines().collect();
        assert_eq!(lines[0], "x_bucket{type=\"producer\",le=\"0.000127\"} 3");
        assert_eq!(lines[1], "x_bucket{type=\"producer\",le=\"0.000255\"} 7");
        let bound = "x_bucket{type=\"producer\",le=\"134.217727\"} 7";
        assert_eq!(lines[lines.len() - 2], bound);
        assert!(lines[lines.len() - 1].contains("\"+Inf\"} 18446744073709551615"));
    }
}
