//! A service over Veltix that wants no reports by itself, and producers in front of it.

use std::io;

use serde_json::json;

use crate::deployed::update;
use crate::driver::Driver;

use super::{FaultService, Request, Stream, Then, advise, reply};
use crate::ledger::Ledger;
use crate::transports::Transport;

/// Nothing that is seen within it came with a report that was due.
const TEN_MINUTES: u64 = 10 * 60 * 1000;

/// Answers as a good service that wants no report for a long time.
pub fn answer(request: &Request, stream: &mut dyn Stream, ledger: &Ledger) -> io::Result<Then> {
    if request.reports() {
        let answer = ledger.take(&request.json());
        return reply(stream, "200 OK", &answer.to_string());
    }
    if !request.registers() {
        return advise(request, stream, &json!({}));
    }
    let answer = json!({
        "client_hash": format!("client-{}", request.registrations_before),
        "account_name": "test",
        "start": true,
        "optimized_configuration": {"linger.ms": 50},
        "report_interval_ms": TEN_MINUTES,
    });
    reply(stream, "200 OK", &answer.to_string())
}

pub fn service() -> (FaultService, Ledger) {
    let ledger = Ledger::default();
    let taking = ledger.clone();
    let script = move |request: &Request, stream: &mut dyn Stream| answer(request, stream, &taking);
    (Transport::Veltix.serve(script), ledger)
}

pub fn start(service: &FaultService) -> Driver {
    Driver::patient(&service.environment(&[]))
}

pub fn producer(driver: &mut Driver, client_id: &str) {
    driver.set(&[("client.id", client_id), ("test.mock.num.brokers", "1")]);
    driver.create("producer");
}

pub fn deliver(driver: &mut Driver, client: usize, records: u32) {
    for _ in 0..records {
        driver.expect(&format!("produce {client} orders"), "NO_ERROR");
    }
    let flushed = driver.say(&format!("flush {client}"));
    assert!(flushed.starts_with("NO_ERROR"), "{flushed}");
}

pub fn codec(name: &str) -> String {
    let body = json!({"enable_compression": true, "compression_type": name});
    update("CompressionUpdate", &body.to_string())
}
