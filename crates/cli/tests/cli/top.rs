//! `superstream top` where there is no terminal: what it asks a service, and what it makes of the
//! answers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::fake_service::{FakeService, Manner, NOW_MS, newcomer, producer};
use crate::support::{Said, Stage};

/// Five clients; two of them are not live.
fn clients() -> Vec<Value> {
    let mut gone = producer("gone", 900_000);
    gone["gone_at_ms"] = json!(NOW_MS);
    gone["alive"] = json!(false);
    let mut killed = producer("killed", 900_000);
    killed["last_seen_at_ms"] = json!(NOW_MS - 31_000);
    killed["alive"] = json!(false);
    let mut alone = producer("alone", 40_000);
    alone["tags"] = json!("");
    alone["figures"]["baseline"] = Value::Null;
    alone["figures"]["saved"] = Value::Null;
    vec![
        newcomer("new"),
        gone,
        alone,
        killed,
        producer("orders", 73_600),
    ]
}

fn top(service: &FakeService, options: &[&str]) -> Said {
    let stage = Stage::without_libraries();
    let host = service.url();
    stage.output(&[&["top", "--host", &host], options].concat())
}

/// What stands at the beginning of each line below the titles.
fn shown(said: &Said) -> Vec<&str> {
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let below = said
        .out
        .lines()
        .skip_while(|line| !line.starts_with("CLIENT.ID"));
    below
        .skip(1)
        .map(|line| line.split_once(' ').unwrap().0)
        .collect()
}

#[test]
fn live_clients_are_shown_with_rates_and_savings() {
    let service = FakeService::new(clients());
    let said = top(&service, &[]);
    assert_eq!(shown(&said), ["orders", "alone", "new"]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[0], format!("superstream top  {}", service.url()));
    for (line, words) in [
        (
            1,
            "4 clients alive, reporting every 10 s; 1.50 MB saved against measured baselines by 2; \
             1 without a baseline",
        ),
        (
            2,
            "3 clients; produce 4000 records/s, payload 1.05 MB/s, wire 114 kB/s; 1 without rates",
        ),
    ] {
        assert!(lines[line].contains(words), "no {words:?} in\n{}", said.out);
    }
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        words(5),
        [
            "orders",
            "producer",
            "shop-1",
            "team=orders",
            "python",
            "2000",
            "0.526",
            "0.074",
            "10.0",
            "200",
            "0.140",
            "87.1",
            "%",
            "2",
            "4",
            "s"
        ]
    );
    assert!(lines[6].contains("0.140  no baseline"), "{}", said.out);
    assert_eq!(words(7)[5..12], ["-"; 7]);
}

#[test]
fn the_others_are_shown_where_they_are_asked_for() {
    let service = FakeService::new(clients());
    let said = top(&service, &["--all", "--sort", "seen"]);
    // Without rates of a time that is over.
    let names = ["alone", "gone", "new", "orders", "killed"];
    assert_eq!(shown(&said), names);
    let line = |name: &str| {
        said.out
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap()
    };
    assert!(line("gone").ends_with("4 s, gone"), "{}", said.out);
    assert!(line("killed").ends_with("31 s, silent"), "{}", said.out);
    let rates: Vec<&str> = line("gone").split_whitespace().skip(5).take(4).collect();
    assert_eq!(rates, ["-"; 4]);
    assert!(
        said.out.contains("5 clients; produce 4000 records/s"),
        "{}",
        said.out
    );
    assert!(said.out.contains("1 without rates yet"), "{}", said.out);
    let (line, _) = &service.asked()[0];
    assert_eq!(line, "GET /v1/clients?limit=500");
}

#[test]
fn the_table_is_sorted_by_any_column() {
    let service = FakeService::new(clients());
    assert_eq!(
        shown(&top(&service, &["--sort", "client-id"])),
        ["alone", "new", "orders"]
    );
    assert_eq!(
        shown(&top(&service, &["--sort", "saved"])),
        ["orders", "alone", "new"]
    );
    top(&service, &["--sort", "beauty"]).complains(2, &["--sort", "records-per-request"]);
}

#[test]
fn all_pages_are_asked_for_and_tags_passed_on() {
    let service = FakeService::new(clients());
    let options = ["--tag", "team=orders", "--tag", "team"];
    assert_eq!(shown(&top(&service, &options)), ["orders", "alone", "new"]);
    let asked: Vec<String> = service.asked().into_iter().map(|(line, _)| line).collect();
    let list = "GET /v1/clients?limit=500&alive=true&tag=team%3Dorders&tag=team";
    assert_eq!(
        asked,
        [
            list.to_owned(),
            format!("{list}&after=2"),
            "GET /v1/totals".to_owned(),
        ]
    );
    let service = FakeService::new(Vec::new());
    let said = top(&service, &["--tag", "team=nobody & co"]);
    assert!(
        said.out.contains("no live client has these tags"),
        "{said:?}"
    );
    assert!(
        service
            .asked()
            .iter()
            .any(|(line, _)| line.contains("tag=team%3Dnobody%20%26%20co")),
        "{:?}",
        service.asked()
    );
    top(&service, &["--tag", "=x"]).complains(2, &["--tag", "a tag has a name"]);
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let secret = "very-secret-token";
    let mut client = producer(secret, 1);
    client["tags"] = json!(format!(r#"{{"{secret}":1}}"#));
    let service = FakeService::new(vec![client]);
    let stage = Stage::without_libraries();
    stage.write("token", &format!("{secret}\n"));
    let host = service.url();
    let given = ["top", "--host", &host, "--token-file", "token"];
    let said = [
        stage.output(&given),
        stage.output(&[&given[..], &["--json", "--once"]].concat()),
        Said::by(
            stage
                .superstream(&given[..3])
                .env("SUPERSTREAM_TOKEN", secret),
        ),
        Said::by(
            stage
                .superstream(&["top"])
                .env("SUPERSTREAM_HOST", &host)
                .env("SUPERSTREAM_TOKEN_FILE", "token"),
        ),
    ];
    for said in &said {
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(!said.out.contains(secret), "{said:?}");
    }
    let bearer = format!("Bearer {secret}");
    let asked = service.asked();
    assert!(asked.len() >= 8, "{asked:?}");
    for (line, token) in asked {
        assert_eq!(token.as_ref(), Some(&bearer), "{line}");
    }

    service.answers(Manner::With(401, format!("{secret} is not the token")));
    let said = stage.output(&given);
    said.complains(
        1,
        &[&host, "does not take the token", "401", "--token-file"],
    );
    assert!(
        !said.err.contains(secret) && said.out.is_empty(),
        "{said:?}"
    );
}

#[test]
fn what_a_service_says_does_nothing_to_the_terminal() {
    let mut client = producer("a\u{1b}[2Jb\u{9b}2J\nc", 1);
    client["client_host"] = json!("x\u{7}\u{202e}");
    let service = FakeService::new(vec![client]);
    for options in [&[][..], &["--json", "--once"]] {
        let said = top(&service, options);
        assert_eq!(said.code, Some(0), "{said:?}");
        let harm = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(!said.out.contains(harm), "{said:?}");
    }
    service.answers(Manner::With(400, "\u{1b}[2J".to_owned()));
    let said = top(&service, &[]);
    said.complains(1, &["refuses the question: 400"]);
    assert!(!said.err.contains('\u{1b}'), "{said:?}");
}

#[test]
fn what_cannot_be_asked_is_told() {
    let stage = Stage::without_libraries();
    stage
        .output(&["top"])
        .complains(2, &["--host", "SUPERSTREAM_HOST"]);
    stage
        .output(&["top", "--host", "https://user:pw-secret@h"])
        .complains(2, &["--host has credentials"]);
    for (host, of) in [
        ("nats://h", "NATS"),
        ("tls://h:4222", "NATS"),
        ("h", "NATS"),
        ("veltix://h", "Veltix"),
        ("veltixs://h:1", "Veltix"),
    ] {
        stage
            .output(&["top", "--host", host])
            .complains(2, &[&format!("--host is an address of {of}"), "https://"]);
    }
    stage
        .output(&["top", "--host", "http://h", "--token-file", "missing"])
        .complains(2, &["--token-file missing cannot be read"]);
    stage
        .output(&["top", "--host", "http://h", "--interval", "0"])
        .complains(2, &["--interval"]);
    let mut command = stage.superstream(&["top", "--host", "http://h"]);
    Said::by(command.env("SUPERSTREAM_TOKEN", "two words")).complains(2, &["SUPERSTREAM_TOKEN"]);

    let service = FakeService::new(Vec::new());
    let host = service.url();
    for (manner, words) in [
        (Manner::NotAtAll, "does not answer"),
        (
            Manner::With(503, "busy".to_owned()),
            "does not answer: 503 Service Unavailable busy",
        ),
        (
            Manner::With(404, String::new()),
            "is no Superstream service",
        ),
        (
            Manner::With(302, String::new()),
            "redirects are not followed",
        ),
        (
            Manner::With(200, String::new()),
            "not understood (it has no report_interval_ms): correct --host, or update the service",
        ),
    ] {
        service.answers(manner);
        top(&service, &[]).complains(1, &[&host, words]);
    }
    drop(service);
    let said = stage.output(&["top", "--json", "--host", &host]);
    said.complains(1, &[&host, "does not answer"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert!(document["error"].is_string(), "{document:#}");
}

#[test]
fn nobody_is_shown_where_nobody_is() {
    let service = FakeService::new(Vec::new());
    let said = top(&service, &["--once"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("no client is alive"), "{said:?}");
}

#[test]
fn a_list_without_end_is_left_off() {
    // Two on a page, and a page more than is looked at.
    let service = FakeService::new((0..402).map(|n| producer("c", n)).collect());
    let said = top(&service, &[]);
    assert_eq!(shown(&said).len(), 400);
    assert!(
        said.out
            .contains("only the newest registrations were looked at"),
        "{said:?}"
    );
}

/// A child that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_document_comes_each_time_and_tells_when_the_service_is_away() {
    let service = FakeService::new(clients());
    let stage = Stage::without_libraries();
    let token = stage.write("token", "a-token");
    let options = ["top", "--json", "--interval", "1", "--host", &service.url()];
    let mut command = stage.superstream(&options);
    command.args(["--token-file", "token"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Ended(child.spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };

    let document = next();
    assert_eq!(document["at_ms"], NOW_MS);
    assert_eq!(document["error"], Value::Null);
    assert_eq!(document["totals"]["saved"]["bytes"], 1_500_000);
    assert_eq!(document["report_interval_ms"], 10_000);
    let mut expected = clients();
    expected.retain(|client| client["client_id"] != "gone" && client["client_id"] != "killed");
    expected.reverse();
    assert_eq!(document["clients"], json!(expected));

    // Some may have been on their way.
    let mut until = |is_away: bool| {
        std::iter::repeat_with(&mut next)
            .take(60)
            .find(|document| document["error"].is_string() == is_away)
            .unwrap_or_else(|| panic!("away {is_away} is never told"))
    };
    service.answers(Manner::NotAtAll);
    let document = until(true);
    assert!(
        document["error"].to_string().contains("does not answer"),
        "{document:#}"
    );
    assert_eq!(document["clients"], Value::Null);

    service.answers(Manner::Well);
    assert_eq!(until(false)["clients"], json!(expected));

    std::fs::remove_file(&token).unwrap();
    let document = until(true);
    let error = document["error"].as_str().unwrap();
    let expected = format!("was not asked: the token file {} cannot", token.display());
    assert!(error.starts_with(&expected), "{error}");
    stage.write("token", "a-token");
    until(false);

    service.answers(Manner::With(401, "another token now".to_owned()));
    assert_eq!(child.0.wait().unwrap().code(), Some(1));
}

#[test]
fn a_reader_that_has_enough_ends_it() {
    let service = FakeService::new(clients());
    let stage = Stage::without_libraries();
    let program = stage.path("bin/superstream");
    let line = format!(
        "{} top --json --interval 1 --host {} | head -n 1",
        program.display(),
        service.url()
    );
    let said = Said::by(stage.tool("sh").args(["-c", &line]));
    assert_eq!(
        (said.code, said.out.lines().count()),
        (Some(0), 1),
        "{said:?}"
    );
    assert_eq!(said.err, "");
}
