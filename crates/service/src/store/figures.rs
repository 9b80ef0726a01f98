//! The totals of one client as numbers, in the store's columns.

use rusqlite::Row;
use superstream_protocol::measured::{Durations, Measured};

use crate::bounds::MAX_TOTAL;

/// How many numbers there are.
pub const COUNT: usize = 13;

/// Their columns, the same in every table, in the order of [`Figures::values`].
pub const COLUMNS: [&str; COUNT] = [
    "measured_ms",
    "accepted_records",
    "delivered_records",
    "delivered_bytes",
    "failed_records",
    "refused_records",
    "produce_requests",
    "wire_bytes",
    "consumed_records",
    "consumed_bytes",
    "fetch_requests",
    "fetched_bytes",
    "schema_records",
];

/// What lists and sums need of a client's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How long the client has measured.
    pub measured_ms: u64,
    /// Taken by `produce`.
    pub accepted_records: u64,
    /// Acknowledged by the broker.
    pub delivered_records: u64,
    /// Their keys and values.
    pub delivered_bytes: u64,
    /// Given up.
    pub failed_records: u64,
    /// Given back by `produce`.
    pub refused_records: u64,
    /// Produce requests.
    pub produce_requests: u64,
    /// The bytes of produce requests.
    pub wire_bytes: u64,
    /// Handed to the application.
    pub consumed_records: u64,
    /// Their keys and values.
    pub consumed_bytes: u64,
    /// Fetch requests.
    pub fetch_requests: u64,
    /// The bytes of the answers to fetch requests.
    pub fetched_bytes: u64,
    /// Records with a schema that were handed to the application: at least so many.
    pub schema_records: u64,
}

impl Figures {
    /// The sums of what a client measured.
    pub fn of(measured: &Measured) -> Self {
        let topics = measured.all_topics();
        let produce = measured.produce();
        let fetched = measured.brokers.iter().map(|broker| broker.fetched_bytes);
        let figures = Self {
            measured_ms: measured.duration_ms,
            accepted_records: topics.accepted.records,
            delivered_records: topics.delivered.records,
            delivered_bytes: topics.delivered.bytes,
            failed_records: topics.failed.records,
            refused_records: topics.refused.records,
            produce_requests: produce.requests,
            wire_bytes: produce.bytes,
            consumed_records: topics.consumed.records,
            consumed_bytes: topics.consumed.bytes,
            fetch_requests: measured.requests(|broker| broker.fetch).requests,
            fetched_bytes: fetched.fold(0, u64::saturating_add),
            schema_records: topics.consumed_with_schema,
        };
        figures.each(Self::default(), |number, _| number.min(MAX_TOTAL))
    }

    /// Whether any number is less than it was.
    pub fn falls_below(&self, earlier: Self) -> bool {
        let pairs = self.values().into_iter().zip(earlier.values());
        pairs.into_iter().any(|(now, before)| now < before)
    }

    /// The sum of each number, up to the most that is kept of a client.
    pub fn grown_by(self, gain: Self) -> Self {
        self.each(gain, |own, gain| own.saturating_add(gain).min(MAX_TOTAL))
    }

    /// What came after earlier totals.
    pub fn since(self, earlier: Self) -> Self {
        self.each(earlier, u64::saturating_sub)
    }

    /// The sum of each number, up to the end of SQLite's integers.
    pub fn plus(self, other: Self) -> Self {
        self.each(other, |a, b| a.saturating_add(b).min(i64::MAX as u64))
    }

    /// Accepted, and neither acknowledged nor given up.
    pub fn unacknowledged_records(&self) -> u64 {
        let done = [
            self.delivered_records,
            self.failed_records,
            self.refused_records,
        ];
        done.iter().fold(self.accepted_records, |left, done| {
            left.saturating_sub(*done)
        })
    }

    /// Bytes on the wire for each byte of payload.
    pub fn wire_ratio(&self) -> Option<f64> {
        ratio(self.wire_bytes, self.delivered_bytes)
    }

    /// Records delivered by each produce request.
    pub fn records_per_request(&self) -> Option<f64> {
        ratio(self.delivered_records, self.produce_requests)
    }

    /// The numbers in the order of [`COLUMNS`].
    pub fn values(mut self) -> [u64; COUNT] {
        self.numbers().map(|number| *number)
    }

    fn of_values(values: [u64; COUNT]) -> Self {
        let mut figures = Self::default();
        for (number, value) in figures.numbers().into_iter().zip(values) {
            *number = value;
        }
        figures
    }

    fn numbers(&mut self) -> [&mut u64; COUNT] {
        [
            &mut self.measured_ms,
            &mut self.accepted_records,
            &mut self.delivered_records,
            &mut self.delivered_bytes,
            &mut self.failed_records,
            &mut self.refused_records,
            &mut self.produce_requests,
            &mut self.wire_bytes,
            &mut self.consumed_records,
            &mut self.consumed_bytes,
            &mut self.fetch_requests,
            &mut self.fetched_bytes,
            &mut self.schema_records,
        ]
    }

    fn each(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let mut values = self.values();
        for (own, other) in values.iter_mut().zip(other.values()) {
            *own = with(*own, other);
        }
        Self::of_values(values)
    }

    /// Reads them from a row that has [`COLUMNS`] from this column on.
    pub fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let mut values = [0; COUNT];
        for (at, value) in values.iter_mut().enumerate() {
            *value = row.get(first + at)?;
        }
        Ok(Self::of_values(values))
    }
}

/// A ratio, where there is something to divide by.
fn ratio(number: u64, by: u64) -> Option<f64> {
    (by > 0).then(|| number as f64 / by as f64)
}

/// [`COLUMNS`] for a statement, each with this in front.
pub fn columns(prefix: &str) -> String {
    COLUMNS.map(|column| format!("{prefix}{column}")).join(", ")
}

/// The parameters of [`COLUMNS`] for a statement, from this number on.
pub fn places(first: usize) -> String {
    let places: Vec<_> = (first..first + COUNT).map(|n| format!("?{n}")).collect();
    places.join(", ")
}

/// What came after earlier durations.
pub fn durations_since(own: &Durations, earlier: &Durations) -> Durations {
    let later = own.0.iter().map(|(bucket, count)| {
        let before = earlier.0.get(bucket).copied().unwrap_or(0);
        (*bucket, count.saturating_sub(before))
    });
    Durations(later.filter(|(_, count)| *count > 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_values_have_one_order() {
        let values = std::array::from_fn(|at| at as u64 + 1);
        assert_eq!(Figures::of_values(values).values(), values);
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let named: Vec<_> = COLUMNS
            .iter()
            .zip(values)
            .map(|(column, value)| format!("{value} AS {column}"))
            .collect();
        let sql = format!("SELECT {} FROM (SELECT {})", columns(""), named.join(", "));
        let read = connection.query_row(&sql, [], |row| Figures::read(row, 0));
        let read = read.unwrap();
        assert_eq!(read.values(), values);
        assert_eq!((read.measured_ms, read.wire_bytes), (1, 8));
        assert_eq!(read.schema_records, COUNT as u64);
    }

    #[test]
    fn no_number_leaves_its_range() {
        let most = Figures::of_values([i64::MAX as u64; COUNT]);
        assert_eq!(most.plus(most), most);
        let little = Figures::of_values([1; COUNT]);
        assert_eq!(little.since(most), Figures::default());
        assert!(little.falls_below(most) && !most.falls_below(little));
        assert_eq!(most.grown_by(most).values(), [MAX_TOTAL; COUNT]);
        assert_eq!(little.unacknowledged_records(), 0);
        assert_eq!(Figures::default().wire_ratio(), None);
        assert_eq!(Figures::default().records_per_request(), None);
    }
}
