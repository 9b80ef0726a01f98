//! What scripts answer.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Request, Stream, Then};
use crate::driver::PATIENCE;

/// What a good service answers: advice for a registration, nothing for the rest. Clients are
/// `client-0`, `client-1`, … in the order of their registrations.
pub fn advise(
    request: &Request,
    stream: &mut dyn Stream,
    configuration: &Value,
) -> io::Result<Then> {
    if request.registers() {
        let answer = registered(request, configuration);
        return reply(stream, "200 OK", &answer.to_string());
    }
    if request.reports() {
        return reply(stream, "200 OK", &taken(&request.json()).to_string());
    }
    reply(stream, "204 No Content", "")
}

/// The same, and clients are to report each second.
pub fn advise_reports(
    request: &Request,
    stream: &mut dyn Stream,
    configuration: &Value,
) -> io::Result<Then> {
    if !request.registers() {
        return advise(request, stream, configuration);
    }
    let mut answer = registered(request, configuration);
    answer["report_interval_ms"] = json!(1000);
    reply(stream, "200 OK", &answer.to_string())
}

fn registered(request: &Request, configuration: &Value) -> Value {
    json!({
        "client_hash": format!("client-{}", request.registrations_before),
        "account_name": "test",
        "start": true,
        "optimized_configuration": configuration,
    })
}

/// The answer to reports, all of them taken, with other advice for the next start.
pub fn taken_with_advice(reports: &Value, configuration: &Value) -> Value {
    let mut answer = taken(reports);
    let advice = json!({"start": true, "optimized_configuration": configuration});
    answer["reports"][0]["advice"] = advice;
    answer
}

/// The answer to reports, all of them taken.
pub fn taken(reports: &Value) -> Value {
    let taken = |report: &Value| json!({ "client_hash": report["client_hash"], "sequence": report["sequence"] });
    let reports = reports["reports"].as_array().unwrap();
    json!({ "reports": reports.iter().map(taken).collect::<Vec<_>>() })
}

/// A whole answer.
pub fn reply(stream: &mut dyn Stream, status: &str, body: &str) -> io::Result<Then> {
    stream.answer(status, body)?;
    Ok(Then::KeepAlive)
}

/// An answer of HTTP as one message, where there is no place for a status but in it.
pub(super) fn as_message(status: &str, body: &str) -> String {
    match status.as_bytes().first() {
        Some(b'2') if body.is_empty() && status.starts_with("204 ") => "{}".to_owned(),
        Some(b'2') => body.to_owned(),
        _ => problem(status, body),
    }
}

/// An error, as over HTTP, with its status beside it.
fn problem(status: &str, body: &str) -> String {
    let (code, words) = status.split_once(' ').unwrap_or((status, ""));
    let told: Option<Value> = serde_json::from_str(body).ok();
    let told = told.and_then(|told| Some(told["error"].as_str()?.to_owned()));
    let error = told.unwrap_or_else(|| words.to_owned());
    json!({ "error": error, "status": code.parse::<u16>().unwrap() }).to_string()
}

/// Bytes that are all of the answer: the connection is closed behind them.
pub fn raw(stream: &mut dyn Stream, bytes: &[u8]) -> io::Result<Then> {
    stream.write_all(bytes)?;
    Ok(Then::Close)
}

/// A door that a script waits at until the test opens it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits no longer than a test may take.
    pub fn wait(&self) {
        let closed = self.0.0.lock().unwrap();
        let limit = PATIENCE + Duration::from_secs(60);
        let _ = self.0.1.wait_timeout_while(closed, limit, |open| !*open);
    }
}

/// A script's answer to what it is not asked in this test: silence, until the test is over.
pub fn silence() -> io::Result<Then> {
    Gate::default().wait();
    Ok(Then::Close)
}
