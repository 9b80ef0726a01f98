//! What doctor says, in words and as JSON.

use serde_json::{Value, json};

use crate::doctor::Diagnosis;
use crate::inspect::parts::{Bound, Part, Role};
use crate::inspect::runtime::Holds;
use crate::inspect::{Found, Kind};
use crate::service::{Answer, Token};
use crate::text;

/// The width of the labels, and of the lines behind them.
const LABEL: usize = 12;
const WIDTH: usize = 88;

/// A document that is indented and ends with a line end. Much of it is what others say.
pub fn pretty(document: &Value) -> String {
    text::harmless(&format!("{document:#}\n"))
}

/// The document where nothing could be looked at.
pub fn failure(complaint: &str) -> String {
    pretty(&json!({ "error": complaint, "works": false }))
}

pub fn json(diagnosis: &Diagnosis) -> String {
    let Diagnosis {
        findings,
        verdict,
        service,
    } = diagnosis;
    let (kind, id) = match findings.kind {
        Kind::Command => ("command", None),
        Kind::File => ("file", None),
        Kind::Process(id) => ("process", Some(id)),
    };
    let obstacles = findings.obstacles.iter().map(|(file, obstacle)| {
        json!({ "name": obstacle.name(), "file": file.to_string_lossy(), "reason": obstacle.reason() })
    });
    let others = verdict
        .others
        .iter()
        .map(|(way, how)| json!({ "way": way, "how": how }));
    let mut librdkafka: Vec<Value> = findings.found.iter().map(found).collect();
    if let Some(part) = findings
        .itself
        .as_ref()
        .filter(|part| part.role != Role::Superstream)
    {
        librdkafka.push(engine(Some(part)));
    }
    pretty(&json!({
        "subject": {
            "kind": kind,
            "name": findings.name,
            "pid": id,
            "executable": findings.executable.to_string_lossy(),
            "runtime": findings.runtime.map(|runtime| runtime.name()),
            "has_superstream": findings.has_superstream,
        },
        "obstacles": obstacles.collect::<Vec<_>>(),
        "librdkafka": librdkafka,
        "way_in": {
            "way": verdict.way.name(),
            "works": verdict.way.works(),
            "reasons": verdict.reasons,
            "others": others.collect::<Vec<_>>(),
        },
        "service": match service {
            None => Value::Null,
            Some(Ok(answer)) => answer.to_json(),
            Some(Err(complaint)) => json!({ "answers": false, "reason": complaint }),
        },
        "notes": findings.notes,
        "next": verdict.next,
        "works": diagnosis.works(),
    }))
}

fn engine(part: Option<&Part>) -> Value {
    json!({
        "file": part.map(|part| part.file.to_string_lossy()),
        "version": part.and_then(|part| part.version).map(|version| version.to_string()),
        "features": part.and_then(|part| part.features.as_ref()),
    })
}

fn found(found: &Found) -> Value {
    let mut document = engine(found.used.engine.as_ref());
    document["bound"] = json!(match (found.used.bound, &found.binding) {
        (_, Some(_)) => "language-binding",
        (Bound::Dynamically, None) => "dynamic",
        (Bound::Inside | Bound::InsideOpenly, None) => "static",
        (Bound::Fetched, None) => "dlopen",
    });
    document["by"] = json!(found.used.by.file.to_string_lossy());
    document["binding"] = match &found.binding {
        None => Value::Null,
        Some(binding) => json!({
            "name": binding.name,
            "version": binding.version,
            "module": match &binding.holds {
                Holds::Module(file) => Some(file.to_string_lossy()),
                Holds::Library(_) | Holds::Nothing(_) => None,
            },
        }),
    };
    document
}

pub fn words(diagnosis: &Diagnosis) -> String {
    let Diagnosis {
        findings,
        verdict,
        service,
    } = diagnosis;
    let mut page = Page::default();
    let executable = findings.executable.display().to_string();
    page.title(&match findings.kind {
        Kind::Process(id) => format!("process {id}: {executable}"),
        Kind::Command | Kind::File if findings.name == executable => executable,
        Kind::Command | Kind::File => format!("{}: {executable}", findings.name),
    });
    for found in &findings.found {
        describe(&mut page, found);
    }
    match &findings.itself {
        Some(part) if part.role != Role::Superstream => describe_engine(&mut page, Some(part)),
        Some(_) => {}
        None if findings.found.is_empty() => page.line("librdkafka", "none found"),
        None => {}
    }
    page.line("way in", verdict.way.in_words());
    for reason in &verdict.reasons {
        page.line("", reason);
    }
    for (way, how) in &verdict.others {
        page.line("also", &format!("{way}: {how}"));
    }
    for note in &findings.notes {
        page.line("note", note);
    }
    match service {
        None => page.line("service", "not asked: no --host, no SUPERSTREAM_HOST"),
        Some(Err(complaint)) => page.line("service", &format!("not asked: {complaint}")),
        Some(Ok(answer)) => describe_answer(&mut page, answer),
    }
    for next in &verdict.next {
        page.line("next", next);
    }
    page.0
}

fn describe(page: &mut Page, found: &Found) {
    describe_engine(page, found.used.engine.as_ref());
    let by = found.used.by.file.display();
    let binding = found.binding.as_ref().map(|binding| binding.title());
    page.line(
        "bound",
        &match (found.used.bound, binding) {
            (Bound::Dynamically, None) => format!("dynamically: {by} is linked to it"),
            (Bound::Dynamically, Some(binding)) => {
                format!("by {binding}: {by} is linked to it")
            }
            (Bound::Inside | Bound::InsideOpenly, None) => format!("statically: inside {by}"),
            (Bound::Inside | Bound::InsideOpenly, Some(binding)) => {
                format!("by {binding}: inside {by}")
            }
            (Bound::Fetched, None) => format!("at run time: {by} opens it (dlopen)"),
            (Bound::Fetched, Some(binding)) => {
                format!("by {binding}, which opens it at run time (dlopen)")
            }
        },
    );
}

fn describe_engine(page: &mut Page, part: Option<&Part>) {
    let Some(part) = part else {
        page.line("librdkafka", "which one shows only when it runs");
        return;
    };
    let version = part.version.map(|version| version.to_string());
    let version = version.unwrap_or("version unknown".to_owned());
    page.line("librdkafka", &format!("{version}, {}", part.file.display()));
    let features = part.features.as_ref().map(|features| features.join(", "));
    page.line("features", &features.unwrap_or("unknown".to_owned()));
}

fn describe_answer(page: &mut Page, answer: &Answer) {
    let reason = answer.reason.iter().map(|reason| format!(" ({reason})"));
    let state = match answer.state.as_str() {
        "up" => "answers",
        "down" => "does not answer",
        _ => "not known",
    };
    let reason: String = reason.collect();
    let host = match answer.host.as_str() {
        "" => String::new(),
        host => format!("{host}: "),
    };
    page.line("service", &format!("{host}{state}{reason}"));
    page.line(
        "token",
        match answer.token {
            Token::NotGiven => "none given",
            Token::Accepted => "accepted",
            Token::Refused => "refused",
            Token::Unknown => "not known: the service gave no answer to it",
        },
    );
    for advice in &answer.advice {
        let pairs = advice.configuration.as_object().into_iter().flatten();
        let pairs: Vec<String> = pairs
            .map(|(key, value)| match value.as_str() {
                Some(text) => format!("{key}={text}"),
                None => format!("{key}={value}"),
            })
            .collect();
        let mut line = match pairs.is_empty() {
            true => format!("{}: nothing", advice.kind),
            false => format!("{}: {}", advice.kind, pairs.join(", ")),
        };
        for remark in advice
            .mode
            .iter()
            .map(|mode| format!("mode {mode}"))
            .chain(advice.remarks.clone())
        {
            line.push_str(&format!(" ({remark})"));
        }
        page.line("advice", &line);
    }
}

/// Labels on the left, text on the right.
#[derive(Default)]
pub struct Page(pub String);

impl Page {
    pub fn title(&mut self, title: &str) {
        self.0.push_str(&text::clean(title));
        self.0.push('\n');
    }

    pub fn line(&mut self, label: &str, value: &str) {
        let value = text::clean(value);
        for (number, line) in text::wrap(&value, WIDTH - LABEL).iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            self.0.push_str(&format!("  {label:LABEL$}{line}\n"));
        }
    }
}
