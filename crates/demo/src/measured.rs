//! What a run came to, as the reports told it to the service and as librdkafka's own statistics in
//! the producer have it. They are two accounts of the same, and have to agree.

use std::error::Error;

use serde_json::{Value, json};

/// One account of a run, without the first connection, to an address of `bootstrap.servers`: its
/// few requests are no more in librdkafka's statistics once the brokers have told their numbers.
#[derive(Clone, Copy)]
pub struct Account {
    pub records: u64,
    pub payload_bytes: u64,
    /// Of all kinds.
    pub requests: u64,
    pub bytes: u64,
    pub produce_requests: u64,
}

impl Account {
    /// By the producer's own statistics.
    pub fn of_statistics(document: &Value) -> Result<Self, Box<dyn Error>> {
        let by_broker = document["produce_requests"].as_object();
        let by_broker = by_broker.ok_or("the producer did not tell its produce_requests")?;
        let number = |name| number(document, name);
        Ok(Self {
            records: number("/messages")?,
            payload_bytes: number("/message_bytes")?,
            requests: number("/tx_requests")?,
            bytes: number("/tx_bytes")?,
            produce_requests: by_broker.values().filter_map(Value::as_u64).sum(),
        })
    }

    /// By what the service was told.
    pub fn of_reports(client: &Value) -> Result<Self, Box<dyn Error>> {
        let number = |name| number(client, name);
        let brokers = client
            .pointer("/measured/brokers")
            .and_then(Value::as_array);
        let brokers = brokers.ok_or("the service does not tell what was sent to the brokers")?;
        let known = brokers
            .iter()
            .filter(|broker| broker["id"].as_i64() >= Some(0));
        let sent = |name| {
            let sent = known.clone();
            sent.filter_map(move |broker| broker["sent"][name].as_u64())
        };
        Ok(Self {
            records: number("/figures/produced/records")?,
            payload_bytes: number("/figures/produced/bytes")?,
            requests: sent("requests").sum(),
            bytes: sent("bytes").sum(),
            produce_requests: number("/figures/produced/requests")?,
        })
    }

    /// What is told, in the words of a person.
    pub fn rows(&self) -> [(&'static str, u64); 5] {
        [
            ("records", self.records),
            ("payload bytes", self.payload_bytes),
            ("requests", self.requests),
            ("bytes sent", self.bytes),
            ("produce requests", self.produce_requests),
        ]
    }

    pub fn as_json(&self) -> Value {
        json!({
            "records": self.records,
            "payload_bytes": self.payload_bytes,
            "requests": self.requests,
            "bytes": self.bytes,
            "produce_requests": self.produce_requests,
        })
    }

    /// The greatest difference to another account, in percent.
    fn difference(&self, other: &Self) -> f64 {
        let pairs = self.rows().into_iter().zip(other.rows());
        let parts = pairs.map(|((_, own), (_, other))| match own.max(other) {
            0 => 0.0,
            most => own.abs_diff(other) as f64 / most as f64 * 100.0,
        });
        parts.fold(0.0, f64::max)
    }

    /// What this run needs less of than another, in percent.
    fn less_than(&self, other: &Self) -> Saved {
        let less = |own: u64, other: u64| (1.0 - own as f64 / other as f64) * 100.0;
        Saved {
            bytes: less(self.bytes, other.bytes),
            requests: less(self.produce_requests, other.produce_requests),
        }
    }
}

/// What was saved, in percent.
#[derive(Clone, Copy)]
pub struct Saved {
    pub bytes: f64,
    pub requests: f64,
}

/// A run that the service was told of.
pub struct Told {
    pub statistics: Account,
    pub reports: Account,
    /// All that the service knows of it.
    pub client: Value,
}

impl Told {
    pub fn new(statistics: &Value, client: Value) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            statistics: Account::of_statistics(statistics)?,
            reports: Account::of_reports(&client)?,
            client,
        })
    }

    /// Bytes of produce requests, which the statistics do not tell apart.
    pub fn produce_bytes(&self) -> u64 {
        let bytes = self.client.pointer("/figures/produced/wire_bytes");
        bytes.and_then(Value::as_u64).unwrap_or(0)
    }
}

/// The three runs.
pub struct Runs {
    pub stock: Account,
    pub observing: Told,
    pub tuned: Told,
}

impl Runs {
    /// The saving that the service tells, against what the observing client measured.
    pub fn saved(&self) -> Result<Saved, Box<dyn Error>> {
        let client = &self.tuned.client;
        let part = |name: &str| client["figures"]["saved"][name].as_f64();
        match (part("bytes_ratio"), part("requests_ratio")) {
            (Some(bytes), Some(requests)) => Ok(Saved {
                bytes: bytes * 100.0,
                requests: requests * 100.0,
            }),
            _ => Err(format!(
                "the service tells no saving: {}",
                client["figures"]["no_baseline_because"]
            )
            .into()),
        }
    }

    /// The same by the producers' own statistics, against the run without Superstream. It was a run
    /// of its own, and no two are the same.
    pub fn saved_by_statistics(&self) -> Saved {
        self.tuned.statistics.less_than(&self.stock)
    }

    /// How far reports and statistics of a run are apart, in percent.
    pub fn difference(&self) -> f64 {
        let told = [&self.observing, &self.tuned];
        let differences = told.map(|run| run.reports.difference(&run.statistics));
        differences.into_iter().fold(0.0, f64::max)
    }
}

fn number(document: &Value, pointer: &str) -> Result<u64, Box<dyn Error>> {
    let number = document.pointer(pointer).and_then(Value::as_u64);
    number.ok_or_else(|| format!("nobody tells {pointer}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(bytes: u64) -> Value {
        json!({"tx_requests": 12, "tx_bytes": bytes, "messages": 1000, "message_bytes": 500_000,
               "produce_requests": {"1": 4, "2": 5}})
    }

    fn client(bytes: u64, saved: Value) -> Value {
        json!({
            "figures": {
                "produced": {"records": 1000, "bytes": 500_000, "requests": 9, "wire_bytes": 90},
                "saved": saved, "no_baseline_because": "why",
            },
            "measured": {"brokers": [
                {"id": -1, "sent": {"requests": 3, "bytes": 5_000}},
                {"id": 1, "sent": {"requests": 2, "bytes": 100}},
                {"id": 2, "sent": {"requests": 10, "bytes": bytes - 100}},
            ]},
        })
    }

    fn runs(told_bytes: u64, saved: Value) -> Runs {
        let told = |bytes, saved| Told::new(&statistics(1_000_000), client(bytes, saved)).unwrap();
        Runs {
            stock: Account::of_statistics(&statistics(4_000_000)).unwrap(),
            observing: told(1_000_000, Value::Null),
            tuned: told(told_bytes, saved),
        }
    }

    #[test]
    fn two_accounts_of_one_run_are_compared_number_by_number() {
        assert_eq!(runs(1_000_000, Value::Null).difference(), 0.0);
        let apart = runs(998_000, Value::Null).difference();
        assert!((apart - 0.2).abs() < 1e-9, "{apart}");
    }

    #[test]
    fn a_saving_is_the_services_word() {
        let saved = json!({"bytes_ratio": 0.83, "requests_ratio": 0.94});
        let compared = runs(1_000_000, saved);
        let saved = compared.saved().unwrap();
        assert_eq!((saved.bytes, saved.requests), (83.0, 94.0));
        assert_eq!(compared.saved_by_statistics().bytes, 75.0);
        assert!(runs(1_000_000, Value::Null).saved().is_err());
    }
}
