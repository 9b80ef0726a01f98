use super::*;
use serde_json::json;

fn producer(client_id: &str) -> Traits {
    Traits {
        kind: Some(ClientKind::Producer),
        client_id: client_id.into(),
        ..Traits::default()
    }
}

fn advice(rules: &str, client: &Traits) -> Value {
    serde_json::to_value(Rules::parse(rules).unwrap().decide(client)).unwrap()
}

#[test]
fn built_in_advice_is_for_producers() {
    let rules = Rules::built_in().unwrap();
    let expected = json!({"compression.type": "zstd", "linger.ms": 100, "batch.size": 1000000});
    let given = rules
        .decide(&producer("x"))
        .optimized_configuration
        .unwrap();
    assert_eq!(Value::Object(given), expected);
    let consumer = Traits {
        kind: Some(ClientKind::Consumer),
        ..Traits::default()
    };
    let given = rules.decide(&consumer);
    assert!(given.start && given.optimized_configuration.unwrap().is_empty());
}

#[test]
fn the_example_is_valid() {
    let rules = Rules::parse(include_str!("../rules.example.toml")).unwrap();
    assert!(rules.count() > 3);
}

#[test]
fn matching_rules_merge_and_the_later_wins() {
    let rules = r#"
        mode = "observe"
        [[rule]]
        configuration = { "linger.ms" = 5, "compression.type" = "lz4" }
        [[rule]]
        client_id = "orders-*"
        mode = "active"
        [rule.configuration]
        linger.ms = 50
        [[rule]]
        client_id = "other"
        [rule.configuration]
        "linger.ms" = 1
    "#;
    assert_eq!(
        advice(rules, &producer("orders-7")),
        json!({"start": true, "mode": "active",
               "optimized_configuration": {"linger.ms": 50, "compression.type": "lz4"}})
    );
    assert_eq!(advice(rules, &producer("x"))["mode"], "observe");
}

#[test]
fn every_condition_must_hold() {
    let rules = r#"
        [[rule]]
        kind = "producer"
        client_id = "o?ders"
        topic = "eu.*"
        language = "C"
        tags = { team = "pay", size = 5 }
        [rule.configuration]
        "linger.ms" = 1
    "#;
    let full = Traits {
        kind: Some(ClientKind::Producer),
        client_id: "orders".into(),
        language: "c".into(),
        tags: tags("{\"team\":\"pay\",\"size\":5,\"more\":true}"),
        topics: vec!["us.a".into(), "eu.a".into()],
        is_one_by_one: false,
    };
    let given = |client: &Traits| advice(rules, client)["optimized_configuration"] != json!({});
    assert!(given(&full));
    assert!(!given(&Traits {
        kind: None,
        ..full.clone()
    }));
    assert!(!given(&Traits {
        client_id: "oorders".into(),
        ..full.clone()
    }));
    assert!(!given(&Traits {
        topics: vec!["us.a".into()],
        ..full.clone()
    }));
    assert!(!given(&Traits {
        language: "java".into(),
        ..full.clone()
    }));
    assert!(!given(&Traits {
        tags: tags("{\"team\":\"pay\"}"),
        ..full.clone()
    }));
    assert!(!given(&Traits {
        tags: tags("team=pay"),
        ..full
    }));
}

#[test]
fn advice_can_be_withheld_and_given_back() {
    let rules = r#"
        [[rule]]
        [rule.configuration]
        "linger.ms" = 1
        [[rule]]
        start = false
        error = "frozen for the season"
        [[rule]]
        client_id = "canary"
        start = true
    "#;
    assert_eq!(
        advice(rules, &producer("x")),
        json!({"start": false, "error": "frozen for the season", "mode": "active"})
    );
    assert_eq!(advice(rules, &producer("canary"))["start"], true);
}

#[test]
fn topics_of_a_registered_configuration() {
    let config = json!({"topics": ["a", "b"], "superstream.topics.list": "c, d,"});
    let registration = RegisterClient {
        config: config.as_object().unwrap().clone(),
        ..Default::default()
    };
    assert_eq!(Traits::of(&registration).topics, ["a", "b", "c", "d"]);
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, line, words) in [
        ("mode = \"off\"", "line 1", "observe"),
        ("\n\nmdoe = \"active\"", "line 3", "mdoe"),
        ("[[rule]]\nknid = \"producer\"\n", "line 2", "knid"),
        ("[[rule]]\nmode = \"passive\"\n", "line 2", "observe"),
        ("[[rule]]\nkind = \"producers\"\n", "line 2", "producer"),
        ("\n[[rule]]\nkind = \"producer\"\n", "line 2", "no effect"),
        (
            "[[rule]]\n[rule.configuration]\n\"linger.ms\" = [1]\n",
            "line 3",
            "a number",
        ),
        (
            "[[rule]]\n[rule.configuration]\n\"linger.ms\" = nan\n",
            "line 3",
            "nan",
        ),
        ("[[rule]]\nerror = \"x\"\n", "line 1", "start = false"),
        (
            "[[rule]]\nstart = false\nconfiguration = {a = 1}\n",
            "line 1",
            "configuration",
        ),
        ("[[rule]", "line 1", ""),
    ] {
        let error = Rules::parse(text).unwrap_err().to_string();
        assert!(
            error.contains(line) && error.contains(words),
            "{text:?} gave {error:?}"
        );
    }
}
