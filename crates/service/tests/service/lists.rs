//! `GET /v1/clients`: which clients it holds, page by page.

use crate::common::{Service, TOKEN};
use serde_json::{Value, json};

fn producer() -> Value {
    json!({"type": "producer", "config": {"client.id": "orders"}, "tags": "{\"team\":\"pay\"}"})
}

#[test]
fn the_list_is_paged_and_filtered() {
    let service = Service::start(&[]);
    for n in 0..3 {
        let mut registration = producer();
        registration["config"]["client.id"] = format!("orders-{n}").into();
        service.register(&registration);
    }
    service.register(&json!({"type": "consumer", "config": {"client.id": "billing"}}));
    let ids = |query: &str| -> Vec<String> {
        let (status, page) = service.get(&format!("/v1/clients{query}"));
        assert_eq!(status, 200, "{page}");
        let clients = page["clients"].as_array().unwrap();
        clients
            .iter()
            .map(|c| c["client_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(""), ["billing", "orders-2", "orders-1", "orders-0"]);
    assert_eq!(ids("?type=consumer"), ["billing"]);
    assert_eq!(
        ids("?client_id=orders-%3F&type=producer&limit=1"),
        ["orders-2"]
    );
    assert_eq!(ids("?tag=team%3Dpay").len(), 3);
    assert_eq!(ids("?tag=team%3Dother").len(), 0);
    assert_eq!(ids("?tag=team").len(), 3);
    assert_eq!(ids("?tag=team%3Dpay&tag=team").len(), 3);
    assert_eq!(ids("?tag=team%3Dpay&tag=other").len(), 0);
    assert_eq!(ids("?tag=team&client_id=*-1"), ["orders-1"]);
    let tags = |count: usize| format!("/v1/clients?{}", "tag=team&".repeat(count));
    assert_eq!(service.get(&tags(20)).0, 200);
    assert_eq!(service.get(&tags(21)).0, 400);
    let next = service.get("/v1/clients?limit=3").1["next"]
        .as_u64()
        .unwrap();
    assert_eq!(ids(&format!("?limit=3&after={next}")), ["orders-0"]);
    assert_eq!(
        service
            .get(&format!("/v1/clients?after={next}"))
            .1
            .get("next"),
        None
    );
}

/// `superstream top` reads pages of 500 clients, and of 64 MiB at most.
#[test]
fn what_a_list_shows_has_its_limits() {
    let service = Service::start(&[]);
    // The most that a character takes in JSON.
    let long = |length: usize| "\u{1}".repeat(length);
    let mut longest = json!({
        "type": "producer", "tags": long(16_384), "config": {"client.id": long(32_767)},
        "client_host": long(256), "language": long(256), "registration_id": long(128),
    });
    service.register(&longest);
    let (_, page) = service.get("/v1/clients");
    assert!(500 * page.to_string().len() < 64 * 1024 * 1024);
    assert_eq!(page["clients"][0]["client_id"], long(1_024));

    let fields: Vec<String> = longest.as_object().unwrap().keys().cloned().collect();
    for field in fields {
        let kept = longest[&field].clone();
        let (named, too_much) = match (&kept, field.as_str()) {
            (_, "type") => continue,
            (_, "config") => ("client.id", json!({"client.id": long(32_768)})),
            (text, name) => (name, json!(long(text.as_str().unwrap().len() + 1))),
        };
        longest[&field] = too_much;
        let (status, answer) = service.send("POST", "/v1/clients", &longest);
        let words = answer["error"].as_str().unwrap_or_default();
        assert!(status == 422 && words.contains(named), "{status} {answer}");
        longest[&field] = kept;
    }
}

/// librdkafka bounds none of these, and the path of a file may be long.
#[test]
fn what_is_only_shown_is_cut_and_refuses_nobody() {
    let service = Service::start(&[]);
    let long = |length: usize| "é".repeat(length);
    let mut registration = producer();
    let limits = [
        ("version", 256),
        ("client_ip", 256),
        ("engine_version", 256),
        ("engine_file", 4_096),
        ("client_software_name", 256),
        ("client_software_version", 256),
        ("nats_connection_id", 256),
    ];
    for (field, most) in limits {
        registration[field] = long(most + 1).into();
    }
    registration["addresses"] = json!(vec![long(257); 257]);
    let hash = service.register(&registration);
    let (_, client) = service.get(&format!("/v1/clients/{hash}"));
    for (field, most) in limits {
        if field != "nats_connection_id" {
            assert_eq!(client[field], long(most), "{field}");
        }
    }
    assert_eq!(client["addresses"], json!(vec![long(256); 256]));
}

#[test]
fn half_a_secret_is_not_shown_where_a_text_is_cut() {
    let service = Service::start(&[]);
    let mut registration = producer();
    registration["engine_file"] = format!("{}{TOKEN}", "x".repeat(4_090)).into();
    let hash = service.register(&registration);
    let (_, client) = service.get(&format!("/v1/clients/{hash}"));
    assert_eq!(
        client["engine_file"],
        format!("{}******", "x".repeat(4_090))
    );
}

#[test]
fn a_long_client_id_is_known_whole() {
    let service = Service::start(&[]);
    let named = |end: &str| format!("{}-{end}", "orders".repeat(1_000));
    let hashes = ["first", "second"].map(|end| {
        let config = json!({"client.id": named(end)});
        service.register(&json!({"type": "producer", "config": config}))
    });
    let (_, found) = service.get("/v1/clients?client_id=*-first");
    let found = found["clients"].as_array().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["client_hash"], hashes[0]);
    assert_eq!(found[0]["client_id"], named("")[..1_024]);
    let (_, client) = service.get(&format!("/v1/clients/{}", hashes[0]));
    assert_eq!(client["registered_config"]["client.id"], named("first"));
}

#[test]
fn the_living_are_told_from_the_gone() {
    let service = Service::start(&["--report-interval", "90s"]);
    let (stays, goes) = (service.register(&producer()), service.register(&producer()));
    assert_eq!(
        service
            .send("DELETE", &format!("/v1/clients/{goes}"), &json!({}))
            .0,
        204
    );
    let listed = |query: &str| {
        let (status, page) = service.get(&format!("/v1/clients{query}"));
        assert_eq!((status, &page["report_interval_ms"]), (200, &json!(90_000)));
        let clients = page["clients"].as_array().unwrap().iter();
        clients
            .map(|c| (c["client_hash"].clone(), c["alive"].clone()))
            .collect::<Vec<_>>()
    };
    let (living, gone) = ((json!(stays), json!(true)), (json!(goes), json!(false)));
    assert_eq!(listed(""), [gone.clone(), living.clone()]);
    assert_eq!(listed("?alive=true"), [living]);
    assert_eq!(listed("?alive=false&limit=1"), [gone]);
    assert_eq!(
        service.get(&format!("/v1/clients/{goes}")).1["alive"],
        false
    );
}

/// Clients learn a shorter interval with their next report, and live until then.
#[test]
fn a_shorter_interval_silences_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let db = ["--db", db.to_str().unwrap()];
    let mut service = Service::start(&db);
    let hash = service.register(&producer());
    service.signal("-TERM");
    service.child.wait().unwrap();
    let connection = rusqlite::Connection::open(db[1]).unwrap();
    let sql = "UPDATE clients SET seen_ms = seen_ms - 60000";
    connection.execute(sql, []).unwrap();
    drop(connection);

    let service = Service::start(&[&db[..], &["--report-interval", "1s"]].concat());
    let alive = service.get("/v1/clients?alive=true").1["clients"].clone();
    assert_eq!(alive[0]["client_hash"], hash);
    assert_eq!(service.get("/v1/totals").1["clients"]["alive"], 1);
}
