//! The subjects that the service listens to, and those that it publishes to.

/// What a message of a client is about, that its subject names last.
type Named<'a> = fn(&'a str) -> Subject<'a>;

/// What the service subscribes to. All its instances are one queue group: each message is for one.
pub const SUBSCRIPTIONS: [&str; 6] = [
    "internal.registerClient",
    "internal.clientConfigUpdate",
    "internal.clientTypeUpdate",
    "internal.clientErrors",
    "internal.schema.*.*",
    "internal_tasks.>",
];

/// What a client without a name calls itself: it could not register, and nobody knows it.
pub const NOBODY: &str = "None";

/// What a message is about, and whom, where its subject says that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    Register,
    Config,
    Type,
    Errors,
    Sample(&'a str),
    GetSchema(&'a str),
    MakeSchema(&'a str),
    Topics(&'a str),
    Counters(&'a str),
    Reports,
    Goodbye(&'a str),
    Reconnection,
    /// None of those.
    Other,
}

impl<'a> Subject<'a> {
    /// Understands a subject.
    pub fn of(subject: &'a str) -> Self {
        match subject {
            "internal.registerClient" => return Self::Register,
            "internal.clientConfigUpdate" => return Self::Config,
            "internal.clientTypeUpdate" => return Self::Type,
            "internal.clientErrors" => return Self::Errors,
            "internal_tasks.clientsUpdate.reports" => return Self::Reports,
            "internal_tasks.clientReconnectionUpdate" => return Self::Reconnection,
            _ => {}
        }
        let named: [(&str, Named<'a>); 6] = [
            ("internal.schema.learnSchema.", Self::Sample),
            ("internal.schema.getSchema.", Self::GetSchema),
            ("internal_tasks.schema.registerSchema.", Self::MakeSchema),
            ("internal_tasks.clientsUpdate.config.", Self::Topics),
            ("internal_tasks.clientsUpdate.counters.", Self::Counters),
            ("internal_tasks.clientsUpdate.goodbye.", Self::Goodbye),
        ];
        named
            .iter()
            .find_map(|(prefix, of)| {
                let client = subject.strip_prefix(prefix)?;
                (!client.is_empty() && !client.contains('.')).then(|| of(client))
            })
            .unwrap_or(Self::Other)
    }

    /// Its place among [`NAMES`].
    pub fn number(self) -> usize {
        match self {
            Self::Register => 0,
            Self::Config => 1,
            Self::Type => 2,
            Self::Errors => 3,
            Self::Sample(_) => 4,
            Self::GetSchema(_) => 5,
            Self::MakeSchema(_) => 6,
            Self::Topics(_) => 7,
            Self::Counters(_) => 8,
            Self::Reports => 9,
            Self::Goodbye(_) => 10,
            Self::Reconnection => 11,
            Self::Other => 12,
        }
    }
}

/// What messages are about, as they are counted.
pub const NAMES: [&str; 13] = [
    "register",
    "config",
    "type",
    "errors",
    "schema_sample",
    "schema_question",
    "schema_order",
    "topics",
    "counters",
    "reports",
    "goodbye",
    "reconnection",
    "other",
];

/// Where a client hears that it may start.
pub fn start(client: &str) -> String {
    format!("internal.startClient.{client}")
}

/// Where a client hears of everything after that.
pub fn updates(client: &str) -> String {
    format!("internal.updates.{client}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subjects_of_a_client() {
        let client = "9f2c1e7a";
        assert_eq!(start(client), "internal.startClient.9f2c1e7a");
        assert_eq!(updates(client), "internal.updates.9f2c1e7a");
        for (subject, expected) in [
            ("internal.registerClient", Subject::Register),
            (
                "internal_tasks.clientsUpdate.config.9f2c1e7a",
                Subject::Topics(client),
            ),
            (
                "internal_tasks.clientsUpdate.counters.9f2c1e7a",
                Subject::Counters(client),
            ),
            (
                "internal.schema.learnSchema.9f2c1e7a",
                Subject::Sample(client),
            ),
            (
                "internal_tasks.schema.registerSchema.9f2c1e7a",
                Subject::MakeSchema(client),
            ),
            (
                "internal.schema.getSchema.9f2c1e7a",
                Subject::GetSchema(client),
            ),
            ("internal_tasks.clientsUpdate.config.", Subject::Other),
            ("internal_tasks.clientsUpdate.config.a.b", Subject::Other),
            ("internal_tasks.clientsUpdate", Subject::Other),
            ("internal.schema.x.9f2c1e7a", Subject::Other),
        ] {
            assert_eq!(Subject::of(subject), expected, "{subject}");
        }
    }

    #[test]
    fn each_has_a_name_of_its_own() {
        let numbers = [
            Subject::Register,
            Subject::Config,
            Subject::Type,
            Subject::Errors,
            Subject::Sample(""),
            Subject::GetSchema(""),
            Subject::MakeSchema(""),
            Subject::Topics(""),
            Subject::Counters(""),
            Subject::Reports,
            Subject::Goodbye(""),
            Subject::Reconnection,
            Subject::Other,
        ]
        .map(Subject::number);
        assert!(numbers.into_iter().eq(0..NAMES.len()));
    }
}
