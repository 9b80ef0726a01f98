//! .NET: the librdkafka that Confluent.Kafka brings, beside the application.

use std::path::{Path, PathBuf};

use super::{Binding, Holds, Start};

const PLACES: [&str; 3] = [
    "librdkafka.so",
    match cfg!(target_arch = "aarch64") {
        true => "runtimes/linux-arm64/native/librdkafka.so",
        false => "runtimes/linux-x64/native/librdkafka.so",
    },
    match cfg!(target_arch = "aarch64") {
        true => "librdkafka/arm64/librdkafka.so",
        false => "librdkafka/x64/librdkafka.so",
    },
];

/// Whether an executable is a .NET application's own: what it needs is described beside it.
pub fn is_host(executable: &Path) -> bool {
    [".runtimeconfig.json", ".deps.json"]
        .into_iter()
        .any(|end| {
            let mut beside = executable.as_os_str().to_owned();
            beside.push(end);
            Path::new(&beside).is_file()
        })
}

pub fn bindings(start: &Start<'_>) -> Vec<Binding> {
    let application = match is_host(start.executable) {
        true => Some(start.executable.to_owned()),
        // `dotnet exec app.dll` and `dotnet app.dll`
        false => start
            .arguments
            .iter()
            .map(PathBuf::from)
            .find(|word| word.extension().is_some_and(|extension| extension == "dll")),
    };
    let folder = application.and_then(|file| Some(file.canonicalize().ok()?.parent()?.to_owned()));
    folder
        .into_iter()
        .flat_map(|folder| PLACES.map(|place| folder.join(place)))
        .find(|library| library.is_file())
        .map(|library| Binding {
            name: "Confluent.Kafka",
            version: None,
            holds: Holds::Library(library),
        })
        .into_iter()
        .collect()
}
