//! What our library tells otherwise than the SDK does, and why. It is complete: a test fails for a
//! difference that is not here, and for one that is here and does not occur.

use crate::compare::{Fields, Listed, Of};
use crate::messages::{BROKERS, CONFIG, REGISTER, TOPICS, TYPE};
use crate::properties::{
    EVERY_CLIENT_HAS, OF_CONSUMERS, OF_PRODUCERS, WITH_A_TOPICS_DEFAULTS, WITHOUT_A_VALUE,
};
use crate::scene::PASSWORD;

const REGISTERED: &str = "internal.registerClient/config";
const EFFECTIVE: &str = "internal.clientConfigUpdate/config";

const MASKED: &str =
    "a secret stays in its process, and so does what is not on the list of what may be shown";
const WORD: &str = "librdkafka's own word for it";
const ALIAS: &str =
    "beside librdkafka's own names stand the aliases that the deployed service knows best";
const NO_ALIAS: &str = "our service is told a property once, by librdkafka's own name for it";
const WHOLE: &str =
    "librdkafka is asked for all that the client would run with; the SDK repeats what was set";
const TOPICAL: &str =
    "a property of topics: librdkafka tells of it where the application has set one for all topics";
const TRUE: &str =
    "librdkafka is asked what the client runs with; the SDK fills in a table of its own";
const MORE: &str = "our service is told more, and a deployed one ignores what it does not know";

const fn listed(of: Of, within: &'static str, fields: Fields, why: &'static str) -> Listed {
    Listed {
        of,
        within,
        fields,
        why,
    }
}

/// Whatever the service is.
pub const ALWAYS: &[Listed] = &[
    // The registration.
    listed(
        Of::Each,
        REGISTER,
        Fields::Vary(&["nats_connection_id"]),
        "each has a connection of its own",
    ),
    listed(
        Of::Each,
        REGISTER,
        Fields::Vary(&["client_ip"]),
        "the SDK resolves the host's name, often to 127.0.0.1; ours names an address of an interface",
    ),
    listed(
        Of::Each,
        REGISTER,
        Fields::Values(&[("learning_factor", "20", "0")]),
        "our library never learns a schema",
    ),
    listed(
        Of::Each,
        REGISTER,
        Fields::Values(&[("version", "2.4.0.4", env!("CARGO_PKG_VERSION"))]),
        "each has a version of its own",
    ),
    listed(
        Of::Each,
        REGISTER,
        Fields::OursOnly(&[
            "addresses",
            "client_software_name",
            "client_software_version",
            "engine_file",
            "engine_version",
            "pid",
            "registration_id",
            "type",
        ]),
        MORE,
    ),
    listed(
        Of::Each,
        REGISTERED,
        Fields::SdkOnly(&[
            "superstream.host",
            "superstream.token",
            "superstream.learning.factor",
            "superstream.reduction.enabled",
            "superstream.tags",
        ]),
        "no configuration of Kafka, and one of them is the token",
    ),
    // The first client of a process, which does not know the service yet.
    listed(
        Of::Producers,
        REGISTERED,
        Fields::OursOnly(&[
            "compression.type",
            "max.in.flight",
            "max.partition.fetch.bytes",
            "retries",
            "sasl.mechanism",
        ]),
        ALIAS,
    ),
    listed(
        Of::Producers,
        REGISTERED,
        Fields::AsText,
        "librdkafka tells every value as a text",
    ),
    listed(
        Of::Consumers,
        REGISTERED,
        Fields::Values(&[("auto.offset.reset", "earliest", "smallest")]),
        WORD,
    ),
    listed(
        Of::Each,
        REGISTERED,
        Fields::OursOnly(EVERY_CLIENT_HAS),
        WHOLE,
    ),
    listed(
        Of::Producers,
        REGISTERED,
        Fields::OursOnly(&["dr_msg_cb"]),
        WHOLE,
    ),
    listed(
        Of::Consumers,
        REGISTERED,
        Fields::OursOnly(WITH_A_TOPICS_DEFAULTS),
        TOPICAL,
    ),
    listed(
        Of::Each,
        REGISTERED,
        Fields::Masked(&[("sasl.password", PASSWORD)]),
        MASKED,
    ),
    // What it runs with.
    listed(
        Of::Each,
        CONFIG,
        Fields::OursOnly(&["changes", "refusals", "mode"]),
        MORE,
    ),
    listed(
        Of::Each,
        EFFECTIVE,
        Fields::AsText,
        "librdkafka tells every value as a text",
    ),
    listed(
        Of::Producers,
        EFFECTIVE,
        Fields::OursOnly(OF_CONSUMERS),
        WHOLE,
    ),
    listed(
        Of::Consumers,
        EFFECTIVE,
        Fields::OursOnly(OF_PRODUCERS),
        WHOLE,
    ),
    listed(
        Of::Each,
        EFFECTIVE,
        Fields::OursOnly(&[
            "client.software.name",
            "client.software.version",
            "enable.sparse.connections",
            "enable_sasl_queue",
            "metadata.request.timeout.ms",
            "test.mock.broker.rtt",
            "test.mock.num.brokers",
        ]),
        "the SDK's table does not have them",
    ),
    listed(
        Of::Each,
        EFFECTIVE,
        Fields::OursOnly(&["socket.receive.buffer.bytes", "socket.send.buffer.bytes"]),
        "the SDK's table has the two joined into one name, of which it tells nothing",
    ),
    listed(
        Of::Each,
        EFFECTIVE,
        Fields::SdkOnly(&["enable.metrics.push"]),
        "librdkafka 2.4.0 does not have it",
    ),
    listed(
        Of::Each,
        EFFECTIVE,
        Fields::SdkOnly(WITHOUT_A_VALUE),
        "librdkafka tells nothing of what has no value; the SDK's table has empty texts",
    ),
    listed(
        Of::Producers,
        EFFECTIVE,
        Fields::SdkOnly(&[
            "dr_cb",
            "msg_order_cmp",
            "partitioner_cb",
            "transactional.id",
        ]),
        "librdkafka tells nothing of what has no value; the SDK's table has empty texts",
    ),
    listed(
        Of::Consumers,
        EFFECTIVE,
        Fields::SdkOnly(&["consume_cb", "group.instance.id", "group.remote.assignor"]),
        "librdkafka tells nothing of what has no value; the SDK's table has empty texts",
    ),
    listed(
        Of::Producers,
        EFFECTIVE,
        Fields::Values(&[
            ("compression.codec", "inherit", "zstd"),
            ("queue.buffering.max.ms", "5", "50"),
        ]),
        "the advice; the SDK has it under the alias alone, and a default here",
    ),
    listed(
        Of::Consumers,
        EFFECTIVE,
        Fields::Values(&[("auto.offset.reset", "earliest", "smallest")]),
        WORD,
    ),
    listed(
        Of::Each,
        EFFECTIVE,
        Fields::Values(&[("metadata.broker.list", "", BROKERS)]),
        TRUE,
    ),
    listed(
        Of::Producers,
        EFFECTIVE,
        Fields::SdkOnly(&[
            "acks",
            "compression.level",
            "default_topic_conf",
            "delivery.timeout.ms",
            "message.timeout.ms",
            "partitioner",
            "produce.offset.report",
            "queuing.strategy",
            "request.required.acks",
            "request.timeout.ms",
        ]),
        TOPICAL,
    ),
    listed(
        Of::Producers,
        EFFECTIVE,
        Fields::Values(&[
            ("allow.auto.create.topics", "false", "true"),
            // It follows `linger.ms`.
            ("sticky.partitioning.linger.ms", "10", "100"),
        ]),
        TRUE,
    ),
    listed(
        Of::Each,
        EFFECTIVE,
        Fields::Values(&[(
            "builtin.features",
            "gzip,snappy,ssl,sasl,regex,lz4,sasl_gssapi,sasl_plain,sasl_scram,plugins,zstd,\
             sasl_oauthbearer,http,oidc",
            "gzip,snappy,ssl,sasl,regex,lz4,sasl_plain,sasl_scram,plugins,zstd,sasl_oauthbearer,\
             http,oidc",
        )]),
        TRUE,
    ),
    listed(
        Of::Each,
        EFFECTIVE,
        Fields::Masked(&[
            ("sasl.password", PASSWORD),
            ("enable.sasl.oauthbearer.unsecure.jwt", "false"),
            ("error_cb", ""),
            ("log_cb", ""),
            ("opaque", ""),
            ("open_cb", ""),
            (
                "sasl.kerberos.kinit.cmd",
                r#"":"kinit-t"%{sasl.kerberos.keytab}"-k%{sasl.kerberos.principal}"#,
            ),
            ("sasl.kerberos.min.time.before.relogin", "60000"),
            ("sasl.kerberos.principal", "kafkaclient"),
            ("sasl.kerberos.service.name", "kafka"),
            ("sasl.oauthbearer.method", "default"),
            ("socket_cb", ""),
            ("ssl.ca.certificate.stores", "Root"),
            ("ssl.endpoint.identification.algorithm", "https"),
            ("ssl.engine.id", "dynamic"),
        ]),
        MASKED,
    ),
    listed(
        Of::Producers,
        EFFECTIVE,
        Fields::Masked(&[("dr_msg_cb", "")]),
        MASKED,
    ),
    listed(
        Of::Consumers,
        EFFECTIVE,
        Fields::Masked(&[
            ("default_topic_conf", ""),
            ("offset.store.path", "."),
            ("offset.store.sync.interval.ms", "-1"),
            ("offset_commit_cb", ""),
            ("rebalance_cb", ""),
        ]),
        MASKED,
    ),
];

/// With a service that knows the SDK alone, and the names of properties that the SDK has.
pub const WITH_A_DEPLOYED_SERVICE: &[Listed] = &[
    listed(
        Of::Consumers,
        REGISTERED,
        Fields::OursOnly(&[
            "acks",
            "compression.type",
            "delivery.timeout.ms",
            "linger.ms",
            "max.in.flight",
            "max.partition.fetch.bytes",
            "retries",
            "sasl.mechanism",
        ]),
        ALIAS,
    ),
    listed(
        Of::Producers,
        EFFECTIVE,
        Fields::OursOnly(&["max.partition.fetch.bytes"]),
        ALIAS,
    ),
    listed(
        Of::Consumers,
        EFFECTIVE,
        Fields::OursOnly(&[
            "acks",
            "compression.type",
            "delivery.timeout.ms",
            "linger.ms",
            "retries",
        ]),
        ALIAS,
    ),
];

/// With our service, which takes in one message what a deployed one takes in several.
pub const WITH_OUR_SERVICE: &[Listed] = &[
    listed(
        Of::Consumers,
        REGISTERED,
        Fields::SdkOnly(&["bootstrap.servers"]),
        NO_ALIAS,
    ),
    listed(
        Of::Each,
        EFFECTIVE,
        Fields::SdkOnly(&["bootstrap.servers", "max.in.flight", "sasl.mechanism"]),
        NO_ALIAS,
    ),
    listed(
        Of::Producers,
        EFFECTIVE,
        Fields::SdkOnly(&["compression.type", "linger.ms", "retries"]),
        NO_ALIAS,
    ),
    listed(
        Of::Consumers,
        EFFECTIVE,
        Fields::SdkOnly(&["max.partition.fetch.bytes"]),
        NO_ALIAS,
    ),
    listed(
        Of::Each,
        "",
        Fields::SdkOnly(&[TYPE]),
        "the type stands in the registration",
    ),
    listed(
        Of::Each,
        "",
        Fields::SdkOnly(&[TOPICS]),
        "topics stand in the reports",
    ),
    listed(
        Of::Each,
        "",
        Fields::OursOnly(&["internal_tasks.clientsUpdate.reports"]),
        "what clients do is measured, and told of all of them at once",
    ),
];
