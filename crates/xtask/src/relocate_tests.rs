#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const TARGET: &str = "/home/someone/project/target/";
const WORKSPACE: &str = "/home/someone/project/";
const KRB5: &str = "/home/someone/project/target/release/build/krb5-src-0123456789abcdef/out";
const SASL: &str = "/home/someone/project/target/release/build/sasl2-sys-fedcba9876543210/out";

/// An ELF header of the machine, and the strings.
fn image(machine: u8, strings: &[&str]) -> Vec<u8> {
    let mut image = b"\x7fELF\x02\x01".to_vec();
    image.resize(18, 0);
    image.extend([machine, 0, 0]);
    for string in strings {
        image.extend(string.as_bytes());
        image.push(0);
    }
    image
}

fn strings(image: &[u8]) -> Vec<String> {
    image[21..]
        .split(|byte| *byte == 0)
        .filter(|text| !text.is_empty())
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect()
}

#[track_caller]
fn becomes(old: &str, new: &str) {
    let mut image = image(0x3e, &["before", old, "after"]);
    let length = image.len();
    assert_eq!(relocate(&mut image, TARGET, WORKSPACE), Ok(1));
    assert_eq!(strings(&image), ["before", new, "after"]);
    assert_eq!(image.len(), length);
}

#[test]
fn plugins_and_configuration_are_looked_for_where_the_system_has_them() {
    becomes(&format!("{KRB5}/install/etc/gss/mech"), "/etc/gss/mech");
    becomes(
        &format!("{KRB5}/install/lib/gss/"),
        "/usr/lib/x86_64-linux-gnu/gss/",
    );
    becomes(
        &format!("{SASL}/install/lib/sasl2"),
        "/usr/lib/x86_64-linux-gnu/sasl2",
    );
}

#[test]
fn a_folder_in_the_middle_or_twice_in_a_string_is_found() {
    becomes(
        &format!("/etc/krb5.conf:{KRB5}/install/etc/krb5.conf"),
        "/etc/krb5.conf",
    );
    becomes(
        &format!("FILE:{KRB5}/install/var/krb5/user/%{{euid}}/client.keytab"),
        "FILE:/etc/krb5/user/%{euid}/client.keytab",
    );
    becomes(
        &format!("{SASL}/install/lib/sasl2:{SASL}/install/etc/sasl2"),
        "/etc/sasl2:/etc/sasl:/usr/lib/x86_64-linux-gnu/sasl2:/usr/lib/sasl2",
    );
}

#[test]
fn the_library_folder_is_that_of_the_machine() {
    let mut image = image(0xb7, &[&format!("{KRB5}/install/lib")]);
    assert_eq!(relocate(&mut image, TARGET, WORKSPACE), Ok(1));
    assert_eq!(strings(&image), ["/usr/lib/aarch64-linux-gnu"]);
}

#[test]
fn a_string_without_a_rule_is_refused() {
    for text in [
        format!("{KRB5}/install/share/unknown"),
        format!("{TARGET}release"),
        format!("{KRB5}/install/lib/gss/more"),
        format!("{WORKSPACE}plugins"),
        // Named like a source, but there is no such file.
        format!("{TARGET}release/build/x-0123456789abcdef/outsrc/lib.rs"),
    ] {
        let mut image = image(0x3e, &[&text]);
        let error = relocate(&mut image, TARGET, WORKSPACE).unwrap_err();
        assert!(error.contains(&text), "{error}");
    }
}

#[test]
fn the_names_of_source_files_stay() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let unterminated = format!("{folder}src/main.rscalled `Option::unwrap()`");
    let mut image = image(0x3e, &[&format!("{folder}src/relocate.rs"), &unterminated]);
    let before = image.clone();
    assert_eq!(relocate(&mut image, TARGET, folder), Ok(0));
    assert_eq!(image, before);
}

#[test]
fn a_place_that_is_too_small_is_an_error() {
    let mut image = image(0x3e, &["/t/r/build/krb5-src-0/out/install/lib"]);
    assert_eq!(relocate(&mut image, "/t/", "/w/"), Ok(1));
    assert!(overwrite(&mut [b'x'; 3], "four").is_err());
}

#[test]
fn a_workspace_is_not_found_in_the_middle_of_a_longer_path() {
    let mut image = image(
        0x3e,
        &["/home/someone/.cargo/registry/src/index/library.so"],
    );
    assert_eq!(relocate(&mut image, "/src/target/", "/src/"), Ok(0));
}

#[test]
fn other_files_are_refused() {
    assert!(relocate(&mut b"#!/bin/sh\n".to_vec(), TARGET, WORKSPACE).is_err());
}
