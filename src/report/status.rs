//! The status of a client as a JSON document, for `superstream_status()`.

use std::time::Instant;

use serde_json::{Value, json};
use superstream_protocol::board::ROOM;

use super::masking;
use super::record::Client;
use crate::process::Process;
use crate::service::session::Health;

/// Clients that the status of a process shows.
const MAX_CLIENTS: usize = 64;
const ROOM_FOR_THE_REST: usize = 16 * 1024;

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

/// The status of a whole process, for its [`super::board`].
pub fn of_process(process: &Process) -> Value {
    let clients = process.clients();
    let mut shown: Vec<Value> = Vec::new();
    let mut room = ROOM - ROOM_FOR_THE_REST;
    for client in &clients {
        let document = of_client(process, client);
        let Some(left) = room.checked_sub(document.to_string().len() + 1) else {
            break;
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
            "file": engine.file,
        })
    });
    json!({
        "pid": std::process::id(),
        "superstream": {
            "version": env!("CARGO_PKG_VERSION"),
            "on": true,
            "mode": process.mode(),
        },
        "engines": engines.collect::<Vec<_>>(),
        "service": service(process),
        "clients_left_out": clients.len() - shown.len(),
        "clients": shown,
    })
}

/// The state of the service.
pub fn service(process: &Process) -> Value {
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
