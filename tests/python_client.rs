//! confluent-kafka, which nobody here wrote, on Apache Kafka, which nobody here wrote either: the
//! wheel with its own librdkafka inside, stock and under preload. And Debian's kcat on the same
//! cluster.
//!
//! Every program runs three times: stock, preloaded without a service, and advised. What it does
//! must be the same; what its clients run with is the same in the first two, and advised in the
//! third.
//!
//! `SUPERSTREAM_PROOF=1` takes older clients too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use superstream_tests::service;

use serde_json::{Value, json};
use superstream_tests::kafka::{Kafka, topic};
use superstream_tests::python::{TODAY, python};
use superstream_tests::service::{RULES, Service};
use superstream_tests::{assert_success, preload, root, run, scratch, tool, unique};

/// Older wheels: 2.12.1 has the engine that ours embeds, 1.9.2 is built against the system's.
const OLDER: &[&str] = &["2.12.1", "1.9.2"];

/// What those rules advise: the kind of client, the property, what the engine calls it, the value.
const ADVICE: &[(&str, &str, &str, &str)] = &[
    ("producer", "compression.type", "compression.codec", "zstd"),
    ("producer", "linger.ms", "queue.buffering.max.ms", "50"),
    ("consumer", "fetch.min.bytes", "fetch.min.bytes", "1000"),
];

fn is_proof() -> bool {
    std::env::var_os("SUPERSTREAM_PROOF").is_some_and(|value| value == "1")
}

/// The three ways in which a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Stock,
    Preloaded,
    Advised,
}

const WAYS: [Way; 3] = [Way::Stock, Way::Preloaded, Way::Advised];

/// Runs a program in all three ways, side by side; what it has printed in each, in that order.
/// Nobody may print anything to stderr.
fn in_all_ways(
    service: &Service,
    program: &Path,
    prepare: impl Fn(&mut Command, Way) + Sync,
) -> [String; 3] {
    let go = |way| {
        let mut command = tool(program);
        if way != Way::Stock {
            command.env("LD_PRELOAD", preload());
        }
        if way == Way::Advised {
            command.env("SUPERSTREAM_HOST", &service.url);
            command.env("SUPERSTREAM_TOKEN", service::TOKEN);
            // No measure of anything: on a busy machine the service may be slow to answer.
            command.env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
        }
        prepare(&mut command, way);
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("cannot run {command:?} (see `make setup`): {error}"));
        assert_success(&command, &output);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(printed, "", "{way:?}: printed by {command:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    thread::scope(|scope| {
        let running = WAYS.map(|way| scope.spawn(move || go(way)));
        running.map(|each| each.join().unwrap())
    })
}

fn parsed(outputs: &[String; 3]) -> [Value; 3] {
    outputs.each_ref().map(|text| {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: no summary but {text}"))
    })
}

/// Checks that a client, which left everything to the defaults, runs with all the advice.
#[track_caller]
fn assert_advised(client: &Value) {
    for (kind, key, name, value) in ADVICE {
        if client["type"] != *kind {
            continue;
        }
        assert!(!client["advice"][key].is_null(), "{key}: {client:#}");
        // One that ended at once may not have told what became of it: an exit waits for nobody.
        let is_known = !client["configured_at_ms"].is_null();
        let runs_with = &client["effective_config"][name];
        assert!(!is_known || runs_with == *value, "{name}: {client:#}");
    }
}

/// The one client with this `client.id`.
#[track_caller]
fn named<'a>(clients: &'a [Value], client_id: &str) -> &'a Value {
    let mut found = clients
        .iter()
        .filter(|client| client["client_id"] == client_id);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {client_id} in {clients:#?}"));
    assert!(found.next().is_none(), "{client_id} is there twice");
    first
}

fn suite(version: &str) {
    let kafka = Kafka::shared();
    let service = Service::with_rules(RULES);
    let outputs = in_all_ways(&service, &python(version), |command, _| {
        command
            .arg("-B")
            .arg(root().join("tests/python/suite"))
            .args(["--brokers", &kafka.brokers, "--sasl", &kafka.sasl]);
    });
    let summaries = parsed(&outputs);
    let [stock, preloaded, advised] = &summaries;
    assert_eq!(stock["client"], version);
    assert!(stock["passed"].as_array().unwrap().len() > 40, "{stock:#}");
    for part in ["engine", "passed", "skipped", "results"] {
        assert_eq!(stock[part], preloaded[part], "{part}, preloaded");
        assert_eq!(stock[part], advised[part], "{part}, advised");
    }
    for (test, reason) in stock["skipped"].as_object().unwrap() {
        eprintln!("confluent-kafka {version}: {test} is skipped: {reason}");
    }

    for (summary, is_advised) in [(stock, false), (preloaded, false), (advised, true)] {
        assert_configured(summary, is_advised);
    }
    let sent = |summary: &Value| {
        observed(summary)["producer"]["sent bytes"]
            .as_u64()
            .unwrap()
    };
    assert!(
        sent(advised) * 10 < sent(stock),
        "{} and {}",
        sent(advised),
        sent(stock)
    );
    assert_known(&service.clients(), advised);
}

fn observed(summary: &Value) -> &Value {
    &summary["observed"]["callbacks.statistics"]
}

/// Checks what two clients of the suite really ran with, as their engines tell.
#[track_caller]
fn assert_configured(summary: &Value, is_advised: bool) {
    for (kind, _, name, value) in ADVICE {
        let configuration = &observed(summary)[kind]["configuration"];
        assert!(configuration["client.id"].is_string(), "{summary:#}");
        // The engine names what was set and nothing else.
        let expected = is_advised.then_some(*value);
        assert_eq!(
            configuration[name].as_str(),
            expected,
            "{name}: {configuration:#}"
        );
    }
}

/// Checks that the service knows the clients of every test, and what became of its advice.
fn assert_known(clients: &[Value], summary: &Value) {
    let mut tests = BTreeSet::new();
    for client in clients {
        assert_eq!(client["engine_version"], summary["engine"], "{client:#}");
        let id = client["client_id"].as_str().unwrap();
        assert_eq!(client["errors"], json!([]), "of {id}");
        let run = summary["run"].as_str().unwrap();
        let name = id.strip_prefix(run).and_then(|rest| rest.strip_prefix('-'));
        tests.insert(
            name.unwrap_or_else(|| panic!("whose client is {id}?"))
                .to_owned(),
        );
        // The last ones may have ended before they could tell.
        if client["configured_at_ms"].is_null() {
            continue;
        }
        for (kind, key, name, value) in ADVICE {
            let refusals = client["refusals"].as_array().unwrap();
            assert!(
                client["type"] != *kind
                    || client["effective_config"][name] == *value
                    || refusals.iter().any(|refusal| refusal["key"] == *key),
                "{id} neither runs with {name} nor says why not"
            );
        }
    }
    // rd_kafka_share_consumer_new creates clients too, where there is one.
    let is_shared = |client: &&Value| {
        let id = client["client_id"].as_str().unwrap();
        id.ends_with("-share.share") && client["type"] == "consumer"
    };
    let shared = clients.iter().filter(is_shared).count();
    assert_eq!(shared > 0, summary["skipped"]["share.share"].is_null());
    let without_clients = ["rules.schemas", "rules.schemas_of_old", "rules.validation"];
    for test in summary["passed"].as_array().unwrap() {
        let test = test.as_str().unwrap();
        let has_clients = test.contains('.') && !without_clients.contains(&test);
        // Some clients have more in their names, and some tests clients of others.
        let known = tests.iter().any(|name| name.starts_with(test));
        assert_eq!(known, has_clients, "{test} in {tests:?}");
    }
}

#[test]
fn the_suite_passes_alike() {
    suite(TODAY);
}

#[test]
fn the_suite_of_older_clients_passes_alike() {
    if is_proof() {
        OLDER.iter().for_each(|version| suite(version));
    }
}

/// Point 5 of a preload's promises: each call goes to the engine that it was meant for.
#[test]
fn two_engines_in_one_process_stay_apart() {
    let kafka = Kafka::shared();
    let service = Service::with_rules(RULES);
    let module = unique(scratch(), "engine_module.so");
    run(tool("cc")
        .args([
            "-std=gnu11",
            "-O2",
            "-g",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
        ])
        // As for a system header: rdkafka.h has a warning of its own under -Wextra.
        .args(["-isystem", "/usr/include", "-o"])
        .arg(&module)
        .arg(root().join("tests/python/engine_module.c"))
        .arg("-lrdkafka"));
    let outputs = in_all_ways(&service, &python(TODAY), |command, _| {
        command
            .arg("-B")
            .arg(root().join("tests/python/two_engines.py"))
            .args([
                module.to_str().unwrap(),
                &kafka.brokers,
                &topic("two-engines"),
            ]);
    });
    fs::remove_file(module).unwrap();
    let [stock, preloaded, advised] = parsed(&outputs);
    assert_ne!(stock["module"], stock["wheel"], "{stock}");
    assert_eq!(stock["read by the module"].as_array().unwrap().len(), 400);
    assert_eq!(stock["read by the module"], stock["read by the wheel"]);
    assert_eq!(stock, preloaded);
    assert_eq!(stock, advised);

    let clients = service.clients();
    assert_eq!(clients.len(), 4, "{clients:#?}");
    for who in ["module", "wheel"] {
        for what in ["by the", "read by the"] {
            let client = named(&clients, &format!("{what} {who}"));
            assert_eq!(client["engine_version"], stock[who], "{client:#}");
            assert_advised(client);
        }
    }
}

#[test]
fn forked_workers_have_clients_of_their_own() {
    let kafka = Kafka::shared();
    let service = Service::with_rules(RULES);
    let outputs = in_all_ways(&service, &python(TODAY), |command, _| {
        command
            .arg("-B")
            .arg(root().join("tests/python/prefork.py"))
            .args([&kafka.brokers, &topic("prefork"), "3"]);
    });
    let delivered = json!({"left": 0, "failed": []});
    for (way, found) in WAYS.into_iter().zip(parsed(&outputs)) {
        // Ours stays for the next client, in each process that had one.
        let left = if way == Way::Advised {
            json!(["superstream"])
        } else {
            json!([])
        };
        let workers: Vec<Value> = (0..3)
            .map(|number| {
                json!({
                    "who": format!("worker {number}"), "status": 0, "threads at birth": [],
                    "left": 0, "failed": [], "threads left": left,
                })
            })
            .collect();
        let expected = json!({
            "parent": [delivered, delivered, delivered], "threads left": left, "workers": workers,
        });
        assert_eq!(found, expected, "{way:?}");
    }
    let clients = service.clients();
    assert_eq!(clients.len(), 4, "{clients:#?}");
    let processes: BTreeSet<_> = clients
        .iter()
        .map(|client| client["pid"].as_u64())
        .collect();
    assert_eq!(processes.len(), 4, "one for each process: {processes:?}");
    clients.iter().for_each(assert_advised);
}

#[test]
fn kcat_does_the_same_on_the_cluster() {
    let kafka = Kafka::shared();
    let service = Service::with_rules(RULES);
    let sent: String = (0..20_000)
        .map(|number| {
            format!(
                "customer-{:04}:order {number} of the day\n",
                number * 7919 % 5000
            )
        })
        .collect();
    let file = unique(scratch(), "kcat-sent");
    fs::write(&file, &sent).unwrap();
    let topics = WAYS.map(|way| topic(&format!("kcat-{way:?}")));
    let kcat = |action: &str, command: &mut Command, way: Way| {
        let topic = &topics[way as usize];
        let id = format!("client.id=kcat {action}");
        command.args([action, "-b", &kafka.brokers, "-t", topic, "-K:", "-X", &id]);
    };
    let produced = in_all_ways(&service, Path::new("kcat"), |command, way| {
        kcat("-P", command, way);
        command.stdin(Stdio::from(fs::File::open(&file).unwrap()));
    });
    assert_eq!(produced, ["", "", ""]);
    let consumed = in_all_ways(&service, Path::new("kcat"), |command, way| {
        kcat("-C", command, way);
        command.args(["-q", "-e", "-o", "beginning"]);
    });
    fs::remove_file(file).unwrap();
    for (way, text) in WAYS.into_iter().zip(consumed) {
        // Not assert_eq!: twenty thousand lines are no message.
        assert!(
            text == sent,
            "{way:?}: {} bytes came back of {}",
            text.len(),
            sent.len()
        );
    }
    let clients = service.clients();
    assert_eq!(clients.len(), 2, "{clients:#?}");
    for client_id in ["kcat -P", "kcat -C"] {
        assert_advised(named(&clients, client_id));
    }
}
