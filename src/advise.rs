//! What the service would advise: a question without a client.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use superstream_protocol::{ClientKind, RegisterClient};

use crate::consult;
use crate::process;
use crate::report::record::Client;
use crate::report::{masking, status};
use crate::service::session::Asked;
use crate::settings::{self, Reading};

/// Asks, and waits as the creation of a client does. `None` where Superstream is off.
pub fn ask(kind: ClientKind, client_id: String) -> Option<Value> {
    let settings = match settings::read() {
        Reading::Off => return None,
        Reading::Unusable { reason, .. } => {
            return Some(json!({
                "service": { "state": "unknown", "reason": reason },
                "answered": null,
                "note": reason,
            }));
        }
        Reading::On { settings, .. } => settings,
    };
    let deadline = Instant::now() + settings.response_timeout;
    let process = process::current_or_start(&settings);
    let config = [("client.id".to_owned(), Value::from(client_id.clone()))];
    let registration = RegisterClient {
        config: config.into_iter().collect(),
        dry_run: true,
        ..consult::introduction(&settings, kind)
    };
    let client = Arc::new(Client::new(registration, kind, client_id));
    let (answered, note) = match process.session.ask(&client, deadline) {
        Asked::Answered(mut start) | Asked::Late(mut start) => {
            start.optimized_configuration = start
                .optimized_configuration
                .as_ref()
                .map(masking::mask_advice);
            let note = start.error.clone().unwrap_or_default();
            (Some(start), note)
        }
        Asked::Nothing(reason) => {
            process.session.forget(&client);
            (None, reason)
        }
    };
    Some(json!({
        "service": status::service(process),
        "answered": answered,
        "note": note,
    }))
}
