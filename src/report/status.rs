//! The status of a client as a JSON document, for `superstream_status()`.

use std::time::Instant;

use serde_json::{Value, json};

use super::masking;
use super::record::Client;
use crate::process::Process;
use crate::service::session::Health;

/// The status of a client that Superstream looks after.
pub fn of_client(process: &Process, client: &Client) -> Value {
    let outcome = client.outcome();
    let advice = outcome.advice.map(|mut start| {
        start.optimized_configuration = start
            .optimized_configuration
            .as_ref()
            .map(masking::mask_advice);
        start
    });
    json!({
        "superstream": {
            "version": env!("CARGO_PKG_VERSION"),
            "on": true,
            "mode": outcome.mode,
        },
        "service": service(process),
        "client": {
            "type": client.kind,
            "client_id": client.client_id,
            "client_hash": client.hash(),
        },
        "asked": client.registration,
        "answered": advice,
        "note": outcome.note,
        "changes": outcome.changes,
        "refusals": outcome.refusals,
        "errors": outcome.errors,
    })
}

/// The status of a client that is plain librdkafka.
pub fn of_stranger() -> Value {
    json!({
        "superstream": {
            "version": env!("CARGO_PKG_VERSION"),
            "on": false,
        },
    })
}

fn service(process: &Process) -> Value {
    let host = process.session.host();
    match process.session.health() {
        Health::Unknown => json!({ "host": host, "state": "unknown" }),
        Health::Up => json!({ "host": host, "state": "up" }),
        Health::Down {
            reason,
            failures,
            retry_at,
        } => {
            let left = retry_at.saturating_duration_since(Instant::now());
            json!({
                "host": host,
                "state": "down",
                "reason": reason,
                "failures": failures,
                "next_try_in_ms": u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            })
        }
    }
}
