//! The transports that clients speak over, each with a service under the control of a test.

use std::io;

use serde_json::json;

use crate::authority::Authority;
use crate::fault_service::{
    FaultService, Request, Stream, Then, advise_reports, reply, taken_with_advice,
};

/// A way to the service: what serves it, the value for `SUPERSTREAM_HOST`, and what else the
/// environment has to say for it.
pub struct Way {
    pub service: FaultService,
    pub host: String,
    pub environment: Vec<(&'static str, String)>,
}

/// Makes one.
pub type Open = fn() -> Way;

/// Every transport that there is.
pub const TRANSPORTS: &[(&str, Open)] = &[("http", http), ("https", https)];

fn http() -> Way {
    let service = FaultService::start(answer);
    Way {
        host: service.url(),
        service,
        environment: Vec::new(),
    }
}

fn https() -> Way {
    let authority = Authority::new();
    let service = FaultService::start_within(authority.encrypt("localhost", |_| ()), answer);
    let (name, value) = authority.environment();
    Way {
        host: format!("https://localhost:{}", service.port),
        service,
        environment: vec![(name, value.to_owned())],
    }
}

/// Advice of which the engine refuses a part in some tests, and a report each second.
fn answer(request: &Request, stream: &mut dyn Stream) -> io::Result<Then> {
    if request.reports() {
        let answer = taken_with_advice(&request.json(), &json!({"linger.ms": 80}));
        return reply(stream, "200 OK", &answer.to_string());
    }
    let advice = json!({"linger.ms": 50, "sasl.password": "x", "acks": "1"});
    advise_reports(request, stream, &advice)
}
