//! The API as a client meets it: every endpoint, and every way to be refused.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::common::{Service, TOKEN, bearer};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

fn producer() -> Value {
    json!({
        "language": "c", "version": "0.1.0", "type": "producer", "client_host": "shop-1",
        "client_ip": "192.0.2.7", "addresses": ["192.0.2.7", "2001:db8::7"], "pid": 4711,
        "engine_version": "2.12.1", "engine_file": "/usr/lib/librdkafka.so.1",
        "client_software_name": "confluent-kafka-python", "client_software_version": "2.12.1",
        "tags": "{\"team\":\"pay\"}",
        "config": {"client.id": "orders", "acks": "all", "sasl.password": "hunter2"},
    })
}

#[test]
fn health_needs_no_token() {
    let service = Service::start(&[]);
    let answer = service.raw("GET", "/health", &[], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["status"], "ok");
    assert_eq!(answer.body["mode"], "active");
}

#[test]
fn the_life_of_a_client() {
    let service = Service::start(&[]);
    let (status, answer) = service.send("POST", "/v1/clients", &producer());
    assert_eq!(status, 201);
    assert_eq!(answer["start"], true);
    assert_eq!(answer["mode"], "active");
    assert_eq!(answer["account_name"], "local");
    let advice = json!({"compression.type": "zstd", "linger.ms": 100, "batch.size": 1000000});
    assert_eq!(answer["optimized_configuration"], advice);
    let hash = answer["client_hash"].as_str().unwrap();
    let path = format!("/v1/clients/{hash}");

    let config = json!({
        "client_hash": hash,
        "config": {"linger.ms": "100", "sasl.password": "hunter2"},
        "changes": [{"key": "linger.ms", "old": "5", "new": "100", "reason": "advice"}],
        "refusals": [{"key": "ssl.key.password", "asked": "hunter2", "reason": "never changed"}],
        "mode": "active",
    });
    assert_eq!(
        service.send("PUT", &format!("{path}/config"), &config),
        (204, Value::Null)
    );
    let report = json!({"producer_topics_partitions": {"t": [1, 0]}});
    assert_eq!(
        service.send("POST", &format!("{path}/reports"), &report).0,
        204
    );
    let error = json!({"error": "password=hunter2 was refused"});
    assert_eq!(
        service.send("POST", &format!("{path}/errors"), &error).0,
        204
    );
    assert_eq!(
        service.get(&format!("{path}/updates?after=0")),
        (200, json!({"updates": []}))
    );

    let (status, client) = service.get(&path);
    assert_eq!(status, 200);
    assert!(!client.to_string().contains("hunter2"), "{client}");
    assert_eq!(client["client_id"], "orders");
    assert_eq!(client["type"], "producer");
    for said in [
        "client_ip",
        "addresses",
        "engine_version",
        "engine_file",
        "client_software_name",
        "client_software_version",
    ] {
        assert_eq!(client[said], producer()[said], "{said}");
    }
    assert_eq!(client["advice"], advice);
    assert_eq!(client["registered_config"]["acks"], "all");
    assert_eq!(client["effective_config"]["linger.ms"], "100");
    assert_eq!(client["changes"], config["changes"]);
    assert_eq!(client["refusals"][0]["key"], "ssl.key.password");
    assert_eq!(client["producer_topics_partitions"], json!({"t": [0, 1]}));
    assert_eq!(
        client["errors"][0]["error"],
        "password=******** was refused"
    );
    assert!(client["registered_at_ms"].is_u64() && client["configured_at_ms"].is_u64());
    assert_eq!(client["gone_at_ms"], Value::Null);

    assert_eq!(service.send("DELETE", &path, &Value::Null).0, 204);
    assert_eq!(
        service.send("DELETE", &path, &Value::Null).0,
        204,
        "a goodbye can be repeated"
    );
    assert_eq!(
        service.send("POST", &format!("{path}/reports"), &report).0,
        204,
        "and overtake"
    );
    let (_, client) = service.get(&path);
    assert!(client["gone_at_ms"].is_u64());
    assert_eq!(client["reports_total"], 2);
}

#[test]
fn a_repeated_registration_is_one() {
    let service = Service::start(&[]);
    let mut registration = producer();
    registration["registration_id"] = "id-1".into();
    let first = service.send("POST", "/v1/clients", &registration);
    let second = service.send("POST", "/v1/clients", &registration);
    assert_eq!((first.0, second.0), (201, 200));
    assert_eq!(first.1, second.1);
    registration["registration_id"] = "id-2".into();
    assert_ne!(
        service.register(&registration),
        first.1["client_hash"].as_str().unwrap()
    );
    assert_eq!(
        service.get("/v1/clients").1["clients"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_dry_run_is_advised_and_not_remembered() {
    let service = Service::start(&[]);
    let mut registration = producer();
    let real = service.send("POST", "/v1/clients", &registration).1;
    registration["dry_run"] = true.into();
    let (status, answer) = service.send("POST", "/v1/clients", &registration);
    assert_eq!(status, 200);
    assert_eq!(answer.get("client_hash"), None, "it names no client");
    assert_eq!(
        answer["optimized_configuration"],
        real["optimized_configuration"]
    );
    let (_, listed) = service.get("/v1/clients");
    assert_eq!(listed["clients"].as_array().unwrap().len(), 1);
}

#[test]
fn only_the_token_opens() {
    let service = Service::start(&[]);
    let wrong_end = format!("{TOKEN}x");
    let basic = format!("Basic {TOKEN}");
    let unauthorized: [&[(&str, &str)]; 6] = [
        &[],
        &[("authorization", "")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", &bearer(&wrong_end))],
        &[("authorization", &basic)],
    ];
    for headers in unauthorized {
        for path in ["/v1/clients", "/v1/clients/x", "/v1/nothing", "/"] {
            let answer = service.raw("GET", path, headers, b"");
            answer.is_problem(401);
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    let lower = format!("bearer {TOKEN}");
    assert_eq!(
        service
            .raw("GET", "/v1/clients", &[("authorization", &lower)], b"")
            .status,
        200
    );
}

#[test]
fn refusals_tell_why() {
    let service = Service::start(&[]);
    let hash = service.register(&producer());
    let path = |rest: &str| format!("/v1/clients/{hash}{rest}");
    let token = bearer(TOKEN);
    let auth = ("authorization", token.as_str());
    let json = |method: &str, path: &str, body: &[u8], status: u16| {
        let answer = service.raw(method, path, &[auth, JSON], body);
        answer.is_problem(status);
        answer
    };
    let deep = format!(
        "{{\"config\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    json("POST", "/v1/clients", deep.as_bytes(), 400);
    json("POST", "/v1/clients", b"{", 400);
    json("POST", "/v1/clients", b"{\"pid\":1e999}", 400);
    json("POST", "/v1/clients", b"\xff\xfe", 400);
    json("POST", "/v1/clients", b"[]", 422);
    json("POST", "/v1/clients", b"{\"pid\":-1}", 422);
    json("POST", "/v1/clients", b"{\"registration_id\":\"\"}", 422);
    let answer = json("PUT", &path("/config"), b"{\"changes\":[{\"key\":5}]}", 422);
    assert!(
        answer.body["error"]
            .as_str()
            .unwrap()
            .contains("changes[0].key"),
        "{answer:?}"
    );
    json("PUT", &path("/config"), b"{\"client_hash\":\"other\"}", 409);
    json("POST", &path("/errors"), b"{}", 422);
    json(
        "POST",
        &path("/reports"),
        b"{\"producer_topics_partitions\":{\"t\":[\"0\"]}}",
        422,
    );

    for unknown in [
        "0123456789abcdef0123456789abcdef",
        "%00",
        "%ff",
        "a.b",
        "*",
        "..%2F..",
    ] {
        let path = format!("/v1/clients/{unknown}");
        service.raw("GET", &path, &[auth], b"").is_problem(404);
        service.raw("DELETE", &path, &[auth], b"").is_problem(404);
        service
            .raw("GET", &format!("{path}/updates"), &[auth], b"")
            .is_problem(404);
        json("PUT", &format!("{path}/config"), b"{}", 404);
        json("POST", &format!("{path}/reports"), b"{}", 404);
        json("POST", &format!("{path}/errors"), b"{\"error\":\"x\"}", 404);
    }
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=-1",
        "after=%2B1",
        "type=broker",
        "alive=1",
        "alive=",
    ] {
        service
            .raw("GET", &format!("/v1/clients?{query}"), &[auth], b"")
            .is_problem(400);
    }
    for after in ["-1", "", "1.5", "99999999999999999999"] {
        service
            .raw(
                "GET",
                &path(&format!("/updates?after={after}")),
                &[auth],
                b"",
            )
            .is_problem(400);
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let headers = [auth, ("content-type", content_type)];
        service
            .raw("POST", "/v1/clients", &headers, b"{}")
            .is_problem(415);
    }
    let charset = [auth, ("content-type", "application/json; charset=utf-8")];
    assert_eq!(
        service.raw("POST", "/v1/clients", &charset, b"{}").status,
        201
    );
    service
        .raw("GET", "/v1/nothing", &[auth], b"")
        .is_problem(404);
    let answer = service.raw("PATCH", "/v1/clients", &[auth], b"");
    answer.is_problem(405);
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
    service.raw("POST", "/health", &[], b"x").is_problem(405);
}

#[test]
fn bodies_have_a_limit() {
    let service = Service::start(&[]);
    let token = bearer(TOKEN);
    let headers = [("authorization", token.as_str()), JSON];
    let body = |size: usize| {
        let frame = "{\"unknown\":\"\"}".len();
        format!("{{\"unknown\":\"{}\"}}", "x".repeat(size - frame)).into_bytes()
    };
    const LIMIT: usize = 1024 * 1024;
    assert_eq!(
        service
            .raw("POST", "/v1/clients", &headers, &body(LIMIT))
            .status,
        201
    );
    service
        .raw("POST", "/v1/clients", &headers, &body(LIMIT + 1))
        .is_problem(413);
    service
        .raw("POST", "/v1/clients", &headers, &body(8 * LIMIT))
        .is_problem(413);

    // A client that asks first is told before it sends.
    let answer = talk(
        &service,
        &format!(
            "POST /v1/clients HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\
         content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 9999999\r\n\r\n"
        ),
    );
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn what_is_not_http_harms_nobody() {
    let service = Service::start(&[]);
    for text in [
        "\0\0\0\0\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /health HTTP/1.1\r\nbad\r\n\r\n",
    ] {
        let answer = talk(&service, text);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    // One that leaves in the middle of its body.
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    let head = "POST /v1/clients HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    drop(stream);
    assert_eq!(service.raw("GET", "/health", &[], b"").status, 200);
}

/// Sends text and reads until the service closes, or has nothing more to say to a closed half.
fn talk(service: &Service, text: &str) -> String {
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    // A reset is an answer too.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_configuration_comes_back_as_it_was() {
    let service = Service::start(&[]);
    let mut deep = json!(1);
    for _ in 0..120 {
        deep = json!([deep]);
    }
    let config =
        json!({"deep": deep, "f": 0.1, "n": u64::MAX, "é\u{0}": "\u{0}", "x": -2251799813685247.0});
    let hash = service.register(&json!({"config": config}));
    let path = format!("/v1/clients/{hash}");
    assert_eq!(
        service
            .send("PUT", &format!("{path}/config"), &json!({"config": config}))
            .0,
        204
    );
    let (_, client) = service.get(&path);
    assert_eq!(client["registered_config"], config);
    assert_eq!(client["effective_config"], config);
}
