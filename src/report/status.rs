//! The status of a client as a JSON document, for `superstream_status()`.

use std::time::Instant;

use serde_json::{Value, json};
use superstream_protocol::board::ROOM;
use superstream_protocol::measured::Measured;
use superstream_protocol::{Baseline, StartClient};

use super::masking;
use super::record::Client;
use crate::boundary;
use crate::cluster;
use crate::process::Process;
use crate::service::session::Health;

/// Clients that the status of a process shows.
const MAX_CLIENTS: usize = 64;
/// Clients that are tried for the room that large ones leave.
const MAX_LOOKED_AT: usize = 2 * MAX_CLIENTS;
const ROOM_FOR_THE_REST: usize = 16 * 1024;

/// The status of a client that Superstream looks after.
pub fn of_client(process: &Process, client: &Client) -> Value {
    let outcome = client.outcome();
    let measured = client.measured();
    let masked = |mut start: StartClient| {
        start.optimized_configuration = start
            .optimized_configuration
            .as_ref()
            .map(masking::mask_advice);
        start
    };
    let (advice, next_advice) = (outcome.advice.map(masked), outcome.next_advice.map(masked));
    let mut document = json!({
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
        "at_next_start": next_advice,
        "measured": measured.as_ref(),
        "saving": measured.as_ref().map(|measured| saving(measured, outcome.baseline)),
    });
    let connection_id = client.connection_id();
    if connection_id != cluster::UNKNOWN {
        document["client"]["connection_id"] = connection_id.into();
    }
    document
}

/// What compression and batching came to, and what a client without changes made of the like, where
/// that was measured.
fn saving(measured: &Measured, baseline: Option<Baseline>) -> Value {
    let produced = measured.all_topics();
    // The baseline is that of one topic and one client.
    let is_comparable = measured.only_topic().is_some() && measured.merged_clients == 0;
    let baseline = baseline.filter(|_| is_comparable);
    json!({
        "payload_bytes": produced.delivered.bytes,
        "wire_bytes": measured.produce().bytes,
        "wire_ratio": measured.wire_ratio(),
        "records_per_request": measured.records_per_request(),
        "unacknowledged": produced.unacknowledged(),
        "topic": measured.only_topic(),
        "baseline": baseline.map(|baseline| json!({
            "wire_ratio": baseline.wire_ratio(),
            "records_per_request": baseline.records_per_request(),
        })),
        "no_baseline_because": match (baseline, is_comparable) {
            (Some(_), _) => None,
            (None, true) => Some("the service has told none"),
            (None, false) => Some("bytes on the wire can be told for one topic alone"),
        },
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

/// The status of a whole process, for its [`super::board`].
pub fn of_process(process: &Process) -> Value {
    let clients = process.clients();
    let mut shown: Vec<Value> = Vec::new();
    let mut room = ROOM - ROOM_FOR_THE_REST;
    for client in clients.iter().take(MAX_LOOKED_AT) {
        let document = of_client(process, client);
        let Some(left) = room.checked_sub(document.to_string().len() + 1) else {
            continue;
        };
        room = left;
        shown.push(document);
        if shown.len() == MAX_CLIENTS {
            break;
        }
    }
    let engines = process.engines().into_iter().map(|engine| {
        json!({
            "version": engine.version_text(),
            "file": engine.file(),
        })
    });
    json!({
        "pid": std::process::id(),
        "superstream": {
            "version": env!("CARGO_PKG_VERSION"),
            "on": true,
            "mode": process.mode(),
            "caught": boundary::caught().map(|caught| json!({
                "errors": caught.count,
                "last": caught.last,
            })),
        },
        "engines": engines.collect::<Vec<_>>(),
        "service": service(process),
        "clients_left_out": clients.len() - shown.len(),
        "clients": shown,
    })
}

/// The state of the service.
pub fn service(process: &Process) -> Value {
    let mut shown = health(process);
    let troubles = process.session.troubles();
    for (name, words) in [
        ("outage", troubles.outage),
        ("last_outage", troubles.last_outage),
        ("refused", troubles.refused),
    ] {
        if let Some(words) = words {
            shown[name] = words.into();
        }
    }
    if troubles.given_up > 0 {
        shown["clients_given_up"] = troubles.given_up.into();
    }
    shown
}

fn health(process: &Process) -> Value {
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
