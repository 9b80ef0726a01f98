//! PHP: the extension `rdkafka.so`, in the folder of extensions.

use std::path::{Path, PathBuf};

use super::{Binding, Holds, Start, entries};

/// Below these, each version of PHP's interface has a folder of its own.
const BELOW: [&str; 2] = ["/usr/lib/php", "/usr/local/lib/php/extensions"];
/// These are such folders themselves.
const THEMSELVES: [&str; 2] = ["/usr/lib64/php/modules", "/usr/lib/php/modules"];

pub fn bindings(start: &Start<'_>) -> Vec<Binding> {
    let own = start
        .prefix()
        .map(|prefix| prefix.join("lib/php/extensions"));
    let below = BELOW.iter().map(PathBuf::from).chain(own);
    let folders = below
        .flat_map(|folder| entries(&folder))
        .chain(THEMSELVES.iter().map(PathBuf::from));
    let newest = folders
        .map(|folder| folder.join("rdkafka.so"))
        .rfind(|module| Path::is_file(module));
    newest
        .map(|module| Binding {
            name: "php-rdkafka",
            version: None,
            holds: Holds::Module(module),
        })
        .into_iter()
        .collect()
}
