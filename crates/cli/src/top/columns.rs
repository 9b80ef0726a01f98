//! The columns of the table: their names, what stands in them, and how it is written. Pure.

use std::time::Duration;

use clap::ValueEnum;

use super::rows::{Life, Row, Saved};
use crate::numbers::{number, percent};

/// A column; its name is what `--sort` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Column {
    ClientId,
    Type,
    Host,
    Tags,
    Language,
    Records,
    Payload,
    Wire,
    Requests,
    RecordsPerRequest,
    WireRatio,
    Saved,
    Errors,
    Seen,
}

impl Column {
    /// All of them, from left to right.
    pub const ALL: [Self; 14] = [
        Self::ClientId,
        Self::Type,
        Self::Host,
        Self::Tags,
        Self::Language,
        Self::Records,
        Self::Payload,
        Self::Wire,
        Self::Requests,
        Self::RecordsPerRequest,
        Self::WireRatio,
        Self::Saved,
        Self::Errors,
        Self::Seen,
    ];

    /// Those that a narrow terminal may have to go without, the most wanted one first.
    pub const OPTIONAL: [Self; 11] = [
        Self::Records,
        Self::Payload,
        Self::Seen,
        Self::Errors,
        Self::Type,
        Self::WireRatio,
        Self::Tags,
        Self::Requests,
        Self::Host,
        Self::RecordsPerRequest,
        Self::Language,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::ClientId => "CLIENT.ID",
            Self::Type => "TYPE",
            Self::Host => "HOST",
            Self::Tags => "TAGS",
            Self::Language => "LANGUAGE",
            Self::Records => "RECORDS/S",
            Self::Payload => "PAYLOAD MB/S",
            Self::Wire => "WIRE MB/S",
            Self::Requests => "REQUESTS/S",
            Self::RecordsPerRequest => "RECORDS/REQUEST",
            Self::WireRatio => "WIRE RATIO",
            Self::Saved => "SAVED",
            Self::Errors => "ERRORS",
            Self::Seen => "SEEN",
        }
    }

    /// The most that its texts may take, where there is room and where there is little.
    pub fn most(self) -> (usize, usize) {
        match self {
            Self::ClientId => (60, 20),
            Self::Host => (30, 12),
            Self::Tags => (40, 16),
            Self::Type | Self::Language => (12, 10),
            _ => (20, 20),
        }
    }

    pub fn is_number(self) -> bool {
        !matches!(
            self,
            Self::ClientId | Self::Type | Self::Host | Self::Tags | Self::Language
        )
    }

    pub fn cell(self, row: &Row) -> Cell {
        let rates = row.rates;
        let rate = |of: Option<f64>| of.map_or(Cell::Unknown, Cell::Number);
        match self {
            Self::ClientId => Cell::Text(row.client_id.clone()),
            Self::Type => Cell::Text(row.kind.clone()),
            Self::Host => Cell::Text(row.host.clone()),
            Self::Tags => {
                let pairs = row.tags.iter().map(|(name, value)| match value.as_str() {
                    "" => name.clone(),
                    value => format!("{name}={value}"),
                });
                Cell::Text(pairs.collect::<Vec<_>>().join(","))
            }
            Self::Language => Cell::Text(row.language.clone()),
            Self::Records => rate(rates.map(|rates| rates.records)),
            Self::Payload => rate(rates.map(|rates| rates.payload / MEGA)),
            Self::Wire => rate(rates.map(|rates| rates.wire / MEGA)),
            Self::Requests => rate(rates.map(|rates| rates.requests)),
            Self::RecordsPerRequest => rate(row.records_per_request),
            Self::WireRatio => rate(row.wire_ratio),
            Self::Saved => match row.saved {
                Saved::Nothing => Cell::Unknown,
                Saved::NoBaseline => Cell::Word("no baseline"),
                Saved::Unchanged => Cell::Word("unchanged"),
                Saved::Part(part) => Cell::Part(part),
            },
            Self::Errors => Cell::Count(row.errors),
            Self::Seen => Cell::Ago(row.silent, row.life),
        }
    }
}

/// What stands in one place of the table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Number(f64),
    Count(u64),
    Part(f64),
    Ago(Duration, Life),
    /// In the place of a number that there cannot be.
    Word(&'static str),
    Unknown,
}

impl Cell {
    /// What it is sorted by, from the greatest, if it is a number.
    pub fn sorted_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) | Self::Part(number) => Some(*number),
            Self::Count(count) => Some(*count as f64),
            // What was seen last comes first.
            Self::Ago(ago, _) => Some(-ago.as_secs_f64()),
            Self::Text(_) | Self::Word(_) | Self::Unknown => None,
        }
    }

    /// The order among those without a number.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Unknown => 1,
            _ => 0,
        }
    }

    pub fn in_words(&self) -> String {
        match self {
            Self::Text(text) if text.is_empty() => "-".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Number(value) => number(*value),
            Self::Count(count) => count.to_string(),
            Self::Part(part) => percent(*part),
            Self::Ago(ago, Life::Live) => ago_in_words(*ago),
            Self::Ago(ago, Life::Silent) => format!("{}, silent", ago_in_words(*ago)),
            Self::Ago(ago, Life::Gone) => format!("{}, gone", ago_in_words(*ago)),
            Self::Word(word) => (*word).to_owned(),
            Self::Unknown => "-".to_owned(),
        }
    }
}

const MEGA: f64 = 1e6;

/// How long ago, in the unit that fits.
pub fn ago_in_words(ago: Duration) -> String {
    match ago.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds if seconds < 3600 => format!("{} min", seconds / 60),
        seconds if seconds < 86400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_short() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7300, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(ago_in_words(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn every_column_can_be_sorted_by_and_stands_once() {
        assert_eq!(Column::value_variants(), Column::ALL);
        for kept in [Column::ClientId, Column::Wire, Column::Saved] {
            assert!(!Column::OPTIONAL.contains(&kept));
        }
    }
}
