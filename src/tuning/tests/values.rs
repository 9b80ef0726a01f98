//! Reading values.

use serde_json::{Value, json};

use crate::tuning::value::{decimal, engine_double, shown, whole};

#[test]
fn whole_numbers() {
    for (asked, number) in [
        (json!(131_072), 131_072),
        (json!(131_072.0), 131_072),
        (json!("131072"), 131_072),
        (json!("131072.00"), 131_072),
        (json!(-1), -1),
        (json!("-1"), -1),
        (json!("0"), 0),
    ] {
        assert_eq!(whole(&asked), Ok(number), "{asked}");
    }
}

#[test]
fn no_whole_numbers() {
    for asked in [
        json!(true),
        json!(null),
        json!([1]),
        json!({"a": 1}),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("-"),
        json!("."),
        json!(".5"),
        json!("5."),
        json!("1.5"),
        json!("1.2.0"),
        json!(" 5"),
        json!("5 "),
        json!("5\u{0}"),
        json!("+5"),
        json!("--5"),
        json!("010"),
        json!("0x10"),
        json!("1e3"),
        json!("1_000"),
        json!("5ms"),
        json!("nan"),
        json!("inf"),
        json!("\u{0665}"),
        json!("99999999999999999999"),
        json!("9".repeat(1000)),
    ] {
        assert!(whole(&asked).is_err(), "{asked}");
    }
}

#[test]
fn decimal_numbers() {
    assert_eq!(decimal(&json!("12.5")), Ok(12.5));
    assert_eq!(decimal(&json!(12.5)), Ok(12.5));
    for asked in [
        json!("1e3"),
        json!("NaN"),
        json!("infinity"),
        json!("12,5"),
        json!(false),
    ] {
        assert!(decimal(&asked).is_err(), "{asked}");
    }
}

#[test]
fn doubles_of_the_engine() {
    for (text, number) in [
        ("5", Some(5.0)),
        ("0.1", Some(0.1)),
        ("0,1", Some(0.1)),
        ("1e-05", Some(0.00001)),
        ("nan", None),
        ("inf", None),
        ("-1", None),
        ("", None),
    ] {
        assert_eq!(engine_double(text), number, "{text}");
    }
}

#[test]
fn only_harmless_values_are_shown() {
    for (asked, text) in [
        (json!(5), "5"),
        (json!("5.5"), "\"5.5\""),
        (json!("ZSTD"), "\"ZSTD\""),
        (json!(true), "true"),
        (Value::Null, "null"),
        (json!("hunter2"), "(not shown)"),
        (json!(["hunter2"]), "(not shown)"),
        (json!({"a": "hunter2"}), "(not shown)"),
        (json!("5\n"), "(not shown)"),
    ] {
        assert_eq!(shown(&asked), text);
    }
}
