//! The status that a process keeps in a file without a name: found among its descriptors,
//! checked, and read while it may be written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use superstream_protocol::board::{HEADER, NAME, ROOM};

use crate::inspect::privilege::Caller;
use crate::inspect::process;

/// Writing takes microseconds; a writer that was stopped in the middle never ends.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// Why there is no status to show.
#[derive(Debug)]
pub enum Trouble {
    /// The process or its descriptors cannot be looked at.
    NoAccess(io::Error),
    /// It has no status: Superstream is off, or has made no client yet.
    Off,
    /// What it holds was inherited from this process.
    OfParent(u64),
    /// It has one that is not what it should be.
    Unfit(&'static str),
    /// It is always being written.
    Busy,
}

impl Trouble {
    pub fn in_words(&self, id: u32) -> String {
        match self {
            Self::NoAccess(error) => process::refused(id, error),
            Self::Off => format!(
                "process {id} does not have Superstream on: it was started without a host or \
                 without the library, or has made no Kafka client yet (`superstream doctor --pid \
                 {id}` tells more)"
            ),
            Self::OfParent(parent) => format!(
                "process {id} has no status of its own: it has made no Kafka client since it was \
                 forked from {parent}, whose status `superstream status --pid {parent}` shows"
            ),
            Self::Unfit(why) => format!("process {id} has a status that cannot be trusted: {why}"),
            Self::Busy => {
                format!("process {id} stopped while it was writing its status; try again")
            }
        }
    }
}

/// The status of a process.
pub fn read(id: u32) -> Result<Value, Trouble> {
    let user = user_of(id).ok_or_else(|| Trouble::NoAccess(ErrorKind::NotFound.into()))?;
    let own = Caller::own().user;
    if own != 0 && own != user {
        return Err(Trouble::NoAccess(ErrorKind::PermissionDenied.into()));
    }
    // A process of the kernel, or one that has ended, has neither a program nor a status.
    fs::read_link(folder(id).join("exe")).map_err(Trouble::NoAccess)?;
    let named = [b"/memfd:", NAME.to_bytes(), b" (deleted)"].concat();
    let mut trouble = Trouble::Off;
    let descriptors = fs::read_dir(folder(id).join("fd")).map_err(Trouble::NoAccess)?;
    for descriptor in descriptors.flatten() {
        let path = descriptor.path();
        match fs::read_link(&path) {
            Ok(link) if link.as_os_str().as_bytes() == named => {
                match document(id, &path).and_then(|document| belonging_to(id, document)) {
                    Ok(document) => return Ok(document),
                    Err(found) => trouble = found,
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                trouble = Trouble::NoAccess(error);
            }
            Ok(_) | Err(_) => {}
        }
    }
    Err(trouble)
}

/// The real user of a process; `None` where there is no such process.
pub fn user_of(id: u32) -> Option<u32> {
    users_of(id).first().copied()
}

/// The users that a process acts for: the real one, the effective one, and those it may return to.
fn users_of(id: u32) -> Vec<u32> {
    // Not the owner of its folder: that is root where the process is not to be looked at.
    let status = fs::read_to_string(folder(id).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let words = line.unwrap_or_default().split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

fn folder(id: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{id}"))
}

/// Opens a descriptor of the process anew, and reads it, if it really is a file in memory. A link
/// may say anything.
fn document(id: u32, path: &Path) -> Result<Value, Trouble> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(Trouble::NoAccess)?;
    let metadata = file.metadata().map_err(Trouble::NoAccess)?;
    if !metadata.is_file() || metadata.nlink() != 0 || !is_in_memory(&file) {
        return Err(Trouble::Unfit("it is no file in memory"));
    }
    // A process takes descriptors that others send it. Root's may be its own from before it
    // changed its user.
    let owner = metadata.uid();
    if owner != 0 && !users_of(id).contains(&owner) {
        return Err(Trouble::Unfit("it was made by another user"));
    }
    stable(&file)
}

fn is_in_memory(file: &File) -> bool {
    // SAFETY: a struct of integers, for which zeros are values.
    let mut system: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor, and a struct to be filled.
    let answer = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut system) };
    answer == 0 && system.f_type == libc::TMPFS_MAGIC
}

/// The document between two equal, even sequences.
fn stable(file: &File) -> Result<Value, Trouble> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::sleep(PAUSE);
        }
        let Some((sequence, length)) = header(file) else {
            // It was made a moment ago, and nothing is in it yet.
            continue;
        };
        if sequence % 2 == 1 || sequence == 0 {
            continue;
        }
        if length > ROOM as u64 {
            return Err(Trouble::Unfit("it is too long"));
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
        let complete = file.read_exact_at(&mut body, HEADER as u64).is_ok();
        if complete && header(file).is_some_and(|(again, _)| again == sequence) {
            return serde_json::from_slice(&body).map_err(|_| Trouble::Unfit("it is not JSON"));
        }
    }
    Err(Trouble::Busy)
}

fn header(file: &File) -> Option<(u64, u64)> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    let (sequence, length) = header.split_at(8);
    Some((
        u64::from_le_bytes(sequence.try_into().ok()?),
        u64::from_le_bytes(length.try_into().ok()?),
    ))
}

fn belonging_to(id: u32, document: Value) -> Result<Value, Trouble> {
    match document.get("pid").and_then(Value::as_u64) {
        Some(own) if own == u64::from(id) || is_in_namespace(id, own) => Ok(document),
        Some(other) => Err(Trouble::OfParent(other)),
        None => Err(Trouble::Unfit("it does not say of which process it is")),
    }
}

/// In a container a process knows itself by another number.
fn is_in_namespace(id: u32, own: u64) -> bool {
    let status = fs::read_to_string(folder(id).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let innermost = line.and_then(|line| line.split_whitespace().next_back()?.parse().ok());
    innermost == Some(own)
}
