//! `GET /v1/clients`: which clients it holds, page by page.

use crate::common::Service;
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
