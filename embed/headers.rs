//! The engine's public functions, as its own headers declare them.

use std::error::Error;
use std::fs;
use std::path::Path;

/// The headers that librdkafka installs.
pub const HEADERS: &[&str] = &["rdkafka.h", "rdkafka_mock.h"];

/// The sorted names of all functions that the headers in `folder` declare with `RD_EXPORT`.
pub fn public_functions(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut functions = Vec::new();
    for header in HEADERS {
        let text = fs::read_to_string(folder.join(header))?;
        let declarations = without_comments(&text);
        for declaration in declarations.split("RD_EXPORT").skip(1) {
            if let Some(name) = function_name(declaration) {
                functions.push(name.to_owned());
            }
        }
    }
    functions.sort();
    functions.dedup();
    if functions.len() < 500 {
        return Err(format!("only {} functions found in the headers", functions.len()).into());
    }
    Ok(functions)
}

/// The identifier before the first opening parenthesis: `rd_kafka_new` of
/// `rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, …`.
fn function_name(declaration: &str) -> Option<&str> {
    let before = declaration.split_once('(')?.0.trim_end();
    let start = before
        .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .map_or(0, |at| at + 1);
    let name = &before[start..];
    name.starts_with("rd_kafka_").then_some(name)
}

fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    code
}
