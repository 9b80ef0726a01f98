//! A running process: what it has mapped.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::elf::{Elf, Image};
use super::parts::{self, Bound, Part, Role, Search, Use};
use super::privilege::Caller;
use super::runtime::Runtime;
use super::tree::closeness;
use super::{Findings, Found, Kind, go};
use crate::obstacle::{self, Obstacle};
use crate::preload;

/// The entry of the auxiliary vector that says whether the loader obeys the environment.
const AT_SECURE: u64 = 23;

/// Looks at a process. The error says why that is not possible.
pub fn process(id: u32) -> Result<Findings, String> {
    let folder = PathBuf::from(format!("/proc/{id}"));
    let executable = fs::read_link(folder.join("exe")).map_err(|error| refused(id, &error))?;
    let image = Image::open(&folder.join("exe")).map_err(|error| refused(id, &error))?;
    let mapped = mapped(&folder).map_err(|error| refused(id, &error))?;

    let name = executable.to_string_lossy().into_owned();
    let mut findings = Findings::new(Kind::Process(id), name, executable.clone());
    findings.runtime = Runtime::of(&executable);
    findings.go = Elf::parse(&image).ok().as_ref().and_then(go::build);
    let obstacles = obstacle::of_content(&image).into_iter();
    findings
        .obstacles
        .extend(obstacles.map(|obstacle| (executable.clone(), obstacle)));
    if is_privileged(&folder) {
        findings
            .obstacles
            .push((executable.clone(), Obstacle::StartedPrivileged));
    }

    let mut parts: Vec<Part> = Vec::new();
    for file in &mapped {
        let search = match (file == &executable, findings.runtime) {
            (true, Some(_)) => Search::Symbols,
            (true, None) => Search::Content,
            (false, _) => closeness(file),
        };
        if file == &executable {
            // This link leads to what runs, even where the file was replaced since.
            parts.extend(Part::of_file(&folder.join("exe"), file, search));
            continue;
        }
        if file.as_os_str().as_bytes().ends_with(b" (deleted)") {
            let was = file.to_string_lossy();
            let is_superstream = preload::is_first(file);
            findings.has_superstream |= is_superstream;
            if is_superstream || was.contains("rdkafka") {
                findings
                    .notes
                    .push(format!("{was}: it was replaced since the process started."));
            }
            continue;
        }
        parts.extend(Part::of_file(&seen_from_here(&folder, file), file, search));
    }
    findings.has_hooks = mapped.iter().any(|file| preload::is_hooks(file));
    findings.add_parts(&parts);
    Ok(findings)
}

impl Findings {
    fn add_parts(&mut self, parts: &[Part]) {
        self.has_superstream |= parts.iter().any(|part| part.role == Role::Superstream);
        let uses = parts::uses(parts);
        let unbound = parts::engines_without_caller(parts, &uses);
        let own = parts.iter().find(|part| part.file == self.executable);
        // Functions were fetched of an engine that is there and that nothing is linked to.
        let fetched: Vec<Use> = unbound
            .into_iter()
            .filter(|_| !uses.iter().any(|used| used.bound == Bound::Fetched))
            .filter_map(|engine| {
                Some(Use {
                    engine: Some(engine.clone()),
                    bound: Bound::Fetched,
                    by: own?.clone(),
                })
            })
            .collect();
        let uses = uses.into_iter().chain(fetched);
        self.found.extend(uses.map(|used| Found {
            used,
            binding: None,
        }));
    }
}

/// The files of which the process has code mapped, in the order of their addresses.
fn mapped(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let maps = fs::read(folder.join("maps"))?;
    let mut known = BTreeSet::new();
    let mut files = Vec::new();
    for line in maps.split(|byte| *byte == b'\n') {
        // address permissions offset device inode path
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let permissions = fields.nth(1).unwrap_or_default();
        let Some(path) = fields.nth(3) else {
            continue;
        };
        let path = path.trim_ascii_start();
        if permissions.get(2) == Some(&b'x') && path.starts_with(b"/") && known.insert(path) {
            files.push(PathBuf::from(std::ffi::OsStr::from_bytes(path)));
        }
    }
    Ok(files)
}

/// A file of the process under a name that this one can open: it may live in a container.
fn seen_from_here(folder: &Path, file: &Path) -> PathBuf {
    let inside = folder
        .join("root")
        .join(file.strip_prefix("/").unwrap_or(file));
    match inside.exists() {
        true => inside,
        false => file.to_owned(),
    }
}

fn is_privileged(folder: &Path) -> bool {
    let vector = fs::read(folder.join("auxv")).unwrap_or_default();
    vector.chunks_exact(16).any(|entry| {
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).unwrap_or(0);
        word(&entry[..8]) == AT_SECURE && word(&entry[8..]) != 0
    })
}

/// Why a process cannot be looked at.
pub fn refused(id: u32, error: &std::io::Error) -> String {
    let folder = PathBuf::from(format!("/proc/{id}"));
    let Ok(metadata) = folder.metadata() else {
        return format!("there is no process {id}");
    };
    match error.kind() {
        ErrorKind::PermissionDenied if metadata.uid() != Caller::own().user => format!(
            "process {id} belongs to user {}: ask as that user or as root",
            metadata.uid()
        ),
        ErrorKind::PermissionDenied => format!(
            "process {id} does not let itself be looked at ({error}): ask as root, or, in a \
             container, with the capability SYS_PTRACE"
        ),
        // Kernel threads and ended processes have no executable.
        ErrorKind::NotFound => {
            format!("process {id} has no program: it is of the kernel, or has ended")
        }
        _ => format!("process {id} cannot be looked at: {error}"),
    }
}
