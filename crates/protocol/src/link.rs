//! What a link adds to the messages: their numbers over Veltix, and what is said there alone.
//! `docs/link.md` has the whole conversation.

use serde::{Deserialize, Serialize};

use crate::Update;

/// Says who speaks; the first message of a link. Answered with an empty object.
pub const HELLO: u16 = 200;
/// [`RegisterClient`](crate::RegisterClient), answered with [`Registered`](crate::Registered).
pub const REGISTER: u16 = 201;
/// [`ClientConfigUpdate`](crate::ClientConfigUpdate), answered with an empty object.
pub const CONFIGURE: u16 = 202;
/// [`Reports`](crate::Reports), answered with [`ReportsTaken`](crate::ReportsTaken).
pub const REPORT: u16 = 203;
/// [`ClientError`](crate::ClientError), answered with an empty object.
pub const ERROR: u16 = 204;
/// [`Goodbye`], answered with an empty object.
pub const GOODBYE: u16 = 205;
/// [`Resume`], answered with [`Resumed`].
pub const RESUME: u16 = 206;
/// [`ClientUpdate`], from the service. Not answered.
pub const UPDATE: u16 = 220;
/// [`ReportNow`], from the service. Not answered: the reports are the answer.
pub const REPORT_NOW: u16 = 221;

/// The first words of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// What authenticates it; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The library and its version, for the service's log.
    pub sdk: String,
}

/// A client is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Goodbye {
    /// From [`Registered`](crate::Registered).
    pub client_hash: String,
}

/// The clients of a process that has a new link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resume {
    /// From [`Registered`](crate::Registered), each.
    pub client_hashes: Vec<String>,
}

/// The answer to [`Resume`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resumed {
    /// Those that the service does not know any more: they are to register again.
    pub unknown: Vec<String>,
}

/// An update for a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientUpdate {
    /// From [`Registered`](crate::Registered).
    pub client_hash: String,
    /// What it is to do.
    #[serde(flatten)]
    pub update: Update,
}

/// Asks for reports before they are due.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportNow {
    /// Of these; absent: of all clients of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_hashes: Option<Vec<String>>,
}
