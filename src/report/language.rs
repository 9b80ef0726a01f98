//! The language that an application is written in, as far as the process shows it.

use std::fs;
use std::path::Path;

use once_cell::race::OnceBox;

/// The name of a program or library, up to its version or suffix, and the language. The first row
/// that fits counts: what is embedded in programs of other languages comes later.
const RUNTIMES: &[(&str, &str)] = &[
    ("node", "node"),
    ("libnode", "node"),
    ("libcoreclr", "dotnet"),
    ("dotnet", "dotnet"),
    ("libjvm", "java"),
    ("java", "java"),
    ("php", "php"),
    ("php-fpm", "php"),
    ("libphp", "php"),
    ("ruby", "ruby"),
    ("libruby", "ruby"),
    ("luajit", "lua"),
    ("liblua", "lua"),
    ("perl", "perl"),
    ("libperl", "perl"),
    ("python", "python"),
    ("libpython", "python"),
    ("librdkafka++", "c++"),
];

/// What the name that a client library gives itself (`client.software.name`) ends with.
const CLIENTS: &[(&str, &str)] = &[
    ("-python", "python"),
    ("-javascript", "node"),
    ("-dotnet", "dotnet"),
    ("-go", "go"),
    ("-rust", "rust"),
    ("-php", "php"),
    ("-ruby", "ruby"),
];

/// The language of a client: its library may say so itself.
pub fn of_client(software_name: &str, of_process: &str) -> String {
    let said = CLIENTS.iter().find(|(end, _)| software_name.ends_with(end));
    said.map_or(of_process, |(_, language)| language).to_owned()
}

/// The language of this process; `c` where nothing shows another. It is looked for once.
pub fn of_process() -> &'static str {
    static FOUND: OnceBox<&str> = OnceBox::new();
    FOUND.get_or_init(|| Box::new(look()))
}

fn look() -> &'static str {
    let program = fs::read_link("/proc/self/exe").unwrap_or_default();
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let libraries = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]));
    of_files([&*program.to_string_lossy()].into_iter().chain(libraries))
}

fn of_files<'f>(files: impl Iterator<Item = &'f str>) -> &'static str {
    let names = files.filter_map(|file| Path::new(file).file_name()?.to_str());
    let rows = names.filter_map(|name| RUNTIMES.iter().position(|(row, _)| is_called(name, row)));
    rows.min().map_or("c", |row| RUNTIMES[row].1)
}

/// Whether a file's name is this one, with a version or a suffix at the most.
fn is_called(file: &str, name: &str) -> bool {
    let rest = file.strip_prefix(name);
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.starts_with(|c: char| c == '.' || c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_their_runtimes() {
        for (files, language) in [
            (
                &["/usr/bin/kcat", "/lib/librdkafka.so.1", "/lib/libc.so.6"][..],
                "c",
            ),
            (&["/usr/bin/python3.11", "/lib/libc.so.6"], "python"),
            (&["/opt/app", "/lib/libpython3.12.so.1.0"], "python"),
            (&["/usr/bin/node"], "node"),
            (&["/usr/bin/nginx", "/usr/lib/libphp8.2.so"], "php"),
            (&["/opt/shop", "/usr/share/dotnet/libcoreclr.so"], "dotnet"),
            (&["/opt/orders", "/lib/librdkafka++.so.1"], "c++"),
            (&["/opt/javascript-orders", "/opt/node_orders"], "c"),
            (&[], "c"),
        ] {
            assert_eq!(of_files(files.iter().copied()), language, "{files:?}");
        }
    }

    #[test]
    fn a_client_library_may_say_it() {
        assert_eq!(of_client("confluent-kafka-go", "c"), "go");
        assert_eq!(of_client("confluent-kafka-python", "c"), "python");
        assert_eq!(of_client("librdkafka", "ruby"), "ruby");
    }
}
