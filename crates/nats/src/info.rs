//! What a server says of itself before anything else, and whenever its cluster changes.

use serde::Deserialize;

/// The members of INFO that matter here. A server may leave out any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Info {
    pub server_name: Option<String>,
    pub client_id: Option<u64>,
    pub max_payload: Option<i64>,
    pub headers: Option<bool>,
    pub tls_required: Option<bool>,
    pub tls_available: Option<bool>,
    pub connect_urls: Option<Vec<String>>,
}

impl Info {
    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}
