//! Answers that no good service gives, in every way that we know.

pub mod http;
pub mod nats;
pub mod veltix;

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use serde_json::json;

use crate::fault_service::proxy::{Greet, Greeting};
use crate::fault_service::{
    FaultService, Nats, Request, Stream, Then, Veltix, raw, reply, silence,
};
use crate::transports::Transport;

type Answer = dyn Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync;

/// How many are tried at a time.
const SIDE_BY_SIDE: usize = 8;

/// An answer, to whatever was asked.
#[derive(Clone)]
pub struct Fault {
    pub name: String,
    /// A part of the reason that is told where the service is found to be down.
    pub why: &'static str,
    answer: Arc<Answer>,
    /// What connections meet before anything is asked, where there is such a time.
    greet: Option<Arc<Greet>>,
    /// What is said there first, over Veltix.
    veltix: Option<Arc<dyn Fn() -> Veltix + Send + Sync>>,
}

impl Fault {
    fn new(
        name: impl Into<String>,
        why: &'static str,
        answer: impl Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            why,
            answer: Arc::new(answer),
            greet: None,
            veltix: None,
        }
    }

    /// What a connection meets.
    fn greeting(
        name: impl Into<String>,
        why: &'static str,
        greet: impl Fn(usize, &mut TcpStream) -> io::Result<Greeting> + Send + Sync + 'static,
    ) -> Self {
        Self {
            greet: Some(Arc::new(greet)),
            ..Self::new(name, why, |_, _| silence())
        }
    }

    /// A service that is nothing but this.
    pub fn serve(self, transport: Transport) -> FaultService {
        let answer = self.answer;
        let script = move |request: &Request, stream: &mut dyn Stream| answer(request, stream);
        match (transport.plain(), self.greet, self.veltix) {
            (Transport::Nats, Some(greet), _) => {
                let nats = Nats::new();
                FaultService::over_nats(Nats { greet, ..nats }, script)
            }
            (Transport::Veltix, Some(greet), _) => {
                let veltix = Veltix::new();
                FaultService::over_veltix(Veltix { greet, ..veltix }, script)
            }
            (Transport::Veltix, None, Some(veltix)) => FaultService::over_veltix(veltix(), script),
            _ => transport.serve(script),
        }
    }

    fn status(status: &'static str, why: &'static str, body: &'static str) -> Self {
        Self::new(status, why, move |_, stream| reply(stream, status, body))
    }

    /// Bytes that are all of the answer.
    fn bytes(why: &'static str, bytes: Vec<u8>) -> Self {
        let name = format!("{:.60}", String::from_utf8_lossy(&bytes));
        Self::new(name, why, move |_, stream| raw(stream, &bytes))
    }

    fn body(body: String) -> Self {
        let name = format!("{body:.60}");
        let answer = move |_: &Request, stream: &mut dyn Stream| reply(stream, "200 OK", &body);
        Self::new(name, "its answer", answer)
    }

    pub fn answer(&self, request: &Request, stream: &mut dyn Stream) -> io::Result<Then> {
        (self.answer)(request, stream)
    }
}

/// All that a service of this transport may do instead of answering.
pub fn all(transport: Transport) -> Vec<Fault> {
    let mut all = vec![silent()];
    all.extend(errors());
    all.extend(refusals());
    all.extend(not_json());
    all.extend(too_deep());
    all.extend(match transport.plain() {
        Transport::Nats => nats::all(),
        Transport::Veltix => veltix::all(),
        _ => http::all(),
    });
    all
}

/// Tries something with each of these, some at a time.
#[track_caller]
pub fn each(faults: &[Fault], attempt: impl Fn(Fault) + Sync) {
    let attempt = &attempt;
    for some in faults.chunks(SIDE_BY_SIDE) {
        thread::scope(|scope| {
            let begin = |fault: &Fault| {
                let own = fault.clone();
                (fault.name.clone(), scope.spawn(move || attempt(own)))
            };
            let begun: Vec<_> = some.iter().map(begin).collect();
            let tried = begun.into_iter().map(|(name, tried)| (name, tried.join()));
            let failed = tried.filter(|(_, result)| result.is_err());
            let failed: Vec<String> = failed.map(|(name, _)| name).collect();
            assert!(failed.is_empty(), "{failed:?}");
        });
    }
}

pub fn silent() -> Fault {
    Fault::new("silence", "no answer within", |_, _| silence())
}

pub fn errors() -> Vec<Fault> {
    vec![
        Fault::status("500 Internal Server Error", "500", "oops"),
        Fault::status("429 Too Many Requests", "slow", "{\"error\":\"slow\"}"),
    ]
}

/// The service is there, and does not want this.
pub fn refusals() -> Vec<Fault> {
    let body = "{\"error\":\"no such token\"}";
    vec![Fault::status("403 Forbidden", "no such token", body)]
}

pub fn not_json() -> Vec<Fault> {
    let texts = [
        "<html>sign in to this network</html>",
        "{\"client_hash\":\"a\",\"start\":true",
        "",
        "\u{0}\u{1}",
        "5",
        "[]",
        "null",
    ];
    texts.map(|text| Fault::body(text.to_owned())).into()
}

/// JSON as deep as what is read of an answer allows, and deeper.
pub fn too_deep() -> Vec<Fault> {
    let deep = "[".repeat(15_000) + &"]".repeat(15_000);
    let keys = ["optimized_configuration", "client_hash", "unknown"];
    let inside = keys.map(|key| {
        let known = json!({"client_hash": "a", "start": true, "reports": []});
        let known = known.to_string();
        format!("{},\"{key}\":{deep}}}", known.trim_end_matches('}'))
    });
    let mut all: Vec<Fault> = inside.map(Fault::body).into();
    all.push(Fault::body(deep));
    let deeper = Fault::body("[".repeat(100_000));
    all.push(Fault { why: "", ..deeper });
    all
}

fn pour(stream: &mut dyn Stream, piece: &[u8], times: usize) -> io::Result<Then> {
    for _ in 0..times {
        stream.write_all(piece)?;
    }
    Ok(Then::Close)
}
