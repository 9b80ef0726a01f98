//! Ruby: the gem `rdkafka` and the librdkafka that it was built with.

use std::path::{Path, PathBuf};

use super::{Binding, Holds, Start, entries, entries_like};

pub fn bindings(start: &Start<'_>) -> Vec<Binding> {
    gems(start)
        .iter()
        .flat_map(|folder| entries_like(folder, "rdkafka-", ""))
        .filter_map(|gem| binding(&gem))
        // The last in the order of names is, roughly, the newest.
        .next_back()
        .into_iter()
        .collect()
}

/// `rdkafka-0.21.0` or, built beforehand, `rdkafka-0.21.0-x86_64-linux-gnu`.
fn binding(gem: &Path) -> Option<Binding> {
    let version = gem.file_name()?.to_str()?.strip_prefix("rdkafka-")?;
    version
        .starts_with(|letter: char| letter.is_ascii_digit())
        .then_some(())?;
    let library = ["ext", "lib", "lib/rdkafka"]
        .iter()
        .flat_map(|folder| entries_like(&gem.join(folder), "librdkafka.so", ""))
        .next();
    Some(Binding {
        name: "rdkafka",
        version: version.split('-').next().map(str::to_owned),
        holds: library.map_or(Holds::Nothing(gem.to_owned()), Holds::Library),
    })
}

/// The folders of gems that Ruby or Bundler would search.
fn gems(start: &Start<'_>) -> Vec<PathBuf> {
    let mut homes = start.folders("GEM_PATH");
    homes.extend(start.folders("GEM_HOME"));
    let bundles = std::env::current_dir()
        .into_iter()
        .map(|folder| folder.join("vendor/bundle/ruby"));
    let own = start
        .home()
        .into_iter()
        .flat_map(|home| [home.join(".gem/ruby"), home.join(".local/share/gem/ruby")]);
    let prefix = start.prefix().map(|prefix| prefix.join("lib/ruby/gems"));
    let system = [
        "/var/lib/gems",
        "/usr/local/bundle/ruby",
        "/usr/share/rubygems-integration",
    ];
    let below = bundles
        .chain(own)
        .chain(prefix)
        .chain(system.iter().map(PathBuf::from));
    homes.extend(below.flat_map(|folder| entries(&folder)));
    homes.push(PathBuf::from("/usr/local/bundle"));
    homes.push(PathBuf::from("/usr/share/gems"));
    homes.into_iter().map(|home| home.join("gems")).collect()
}
