//! The comparison itself, on messages that nobody has sent.

use serde_json::{Value, json};

use crate::compare::{Fields, Listed, Of, problems};
use crate::messages::{CONFIG, REGISTER, TYPE, Told};

const NOTHING: &[&Listed] = &[];

fn told(registration: Value) -> Told {
    Told::new(Some("h"), registration)
}

fn listed(within: &'static str, fields: Fields) -> Listed {
    Listed {
        of: Of::Each,
        within,
        fields,
        why: "a test",
    }
}

#[track_caller]
fn assert_problems(sdk: Value, ours: Value, list: &[&Listed], expected: &[&str]) {
    let found = problems(Of::Producers, &told(sdk), &told(ours), list);
    assert_eq!(found, expected);
}

#[test]
fn equals_have_no_problem() {
    let same = json!({"language": "python", "config": {"linger.ms": 5, "acks": null}});
    assert_problems(same.clone(), same, NOTHING, &[]);
}

#[test]
fn what_is_not_listed_is_a_problem() {
    assert_problems(
        json!({"language": "python", "pass": "x", "config": {"linger.ms": 5, "retries": 3}}),
        json!({"language": "c", "pid": 7, "config": {"linger.ms": "5", "retries": "4"}}),
        NOTHING,
        &[
            "internal.registerClient/config/linger.ms: not listed: a text of ours",
            r#"internal.registerClient/config/retries: not listed: 3 of the SDK, "4" of ours"#,
            r#"internal.registerClient/language: not listed: "python" of the SDK, "c" of ours"#,
            r#"internal.registerClient/pass: not listed: only the SDK has it: "x""#,
            "internal.registerClient/pid: not listed: only ours has it: 7",
        ],
    );
}

#[test]
fn what_is_listed_is_none() {
    assert_problems(
        json!({"language": "python", "pass": "x", "ip": "a", "config": {"linger.ms": 5, "key": 7}}),
        json!({"language": "c", "pid": 7, "ip": "b", "config": {"linger.ms": "5", "key": "[masked]"}}),
        &[
            &listed(REGISTER, Fields::SdkOnly(&["pass"])),
            &listed(REGISTER, Fields::OursOnly(&["pid"])),
            &listed(REGISTER, Fields::Values(&[("language", "python", "c")])),
            &listed(REGISTER, Fields::Vary(&["ip"])),
            &listed("internal.registerClient/config", Fields::AsText),
            &listed(
                "internal.registerClient/config",
                Fields::Masked(&[("key", "7")]),
            ),
        ],
        &[],
    );
}

#[test]
fn what_is_listed_and_does_not_occur_is_a_problem() {
    let same = json!({"language": "python", "config": {"linger.ms": 5}});
    assert_problems(
        same.clone(),
        same,
        &[
            &listed(REGISTER, Fields::SdkOnly(&["language", "pass"])),
            &listed(REGISTER, Fields::Values(&[("language", "python", "c")])),
            &listed(REGISTER, Fields::Vary(&["ip"])),
            &listed("internal.registerClient/config", Fields::AsText),
        ],
        &[
            "internal.registerClient/ip: listed as varying, not (None, None); a test",
            "internal.registerClient/language: listed and not so: only the SDK has it: null; a test",
            "internal.registerClient/pass: listed and not so: only the SDK has it: null; a test",
            r#"internal.registerClient/language: listed and not so: "python" of the SDK, "c" of ours; a test"#,
            "internal.registerClient/config: no text of ours; a test",
        ],
    );
}

#[test]
fn a_listed_value_is_that_value() {
    assert_problems(
        json!({"language": "python"}),
        json!({"language": "java"}),
        &[&listed(
            REGISTER,
            Fields::Values(&[("language", "python", "c")]),
        )],
        &[
            r#"internal.registerClient/language: not listed: "python" of the SDK, "java" of ours"#,
            r#"internal.registerClient/language: listed and not so: "python" of the SDK, "c" of ours; a test"#,
        ],
    );
}

#[test]
fn a_list_for_producers_is_none_for_consumers() {
    let only = Listed {
        of: Of::Producers,
        ..listed(REGISTER, Fields::OursOnly(&["pid"]))
    };
    let (sdk, ours) = (told(json!({})), told(json!({"pid": 7})));
    assert_eq!(problems(Of::Producers, &sdk, &ours, &[&only]), [""; 0]);
    assert_eq!(
        problems(Of::Consumers, &sdk, &ours, &[&only]),
        ["internal.registerClient/pid: not listed: only ours has it: 7"]
    );
}

#[test]
fn a_message_that_one_has_alone_is_one_difference() {
    let (mut sdk, mut ours) = (told(json!({})), told(json!({})));
    sdk.take(TYPE, &json!({"client_hash": "h", "type": "producer"}));
    ours.take(
        CONFIG,
        &json!({"client_hash": "h", "config": {"linger.ms": "5"}}),
    );
    let (type_alone, config_alone) = (
        listed("", Fields::SdkOnly(&[TYPE])),
        listed("", Fields::OursOnly(&[CONFIG])),
    );
    let found = problems(Of::Producers, &sdk, &ours, &[&type_alone, &config_alone]);
    assert_eq!(found, [""; 0]);
    let found = problems(Of::Producers, &sdk, &ours, NOTHING);
    assert_eq!(found.len(), 2, "{found:#?}");
}
