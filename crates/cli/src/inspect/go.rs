//! Go's build information, which stays in an executable that is stripped of everything else.

use memchr::memmem;

use super::elf::Elf;

const MODULE: &str = "github.com/confluentinc/confluent-kafka-go";

/// What a Go program tells of its build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// `confluent-kafka-go v2.10.0`, where the program uses it.
    pub client: Option<String>,
}

impl Build {
    pub fn in_brackets(&self) -> String {
        match &self.client {
            Some(client) => format!(" (with {client}, which carries its own librdkafka)"),
            None => String::new(),
        }
    }
}

/// The build of a Go program; `None` for any other.
pub fn build(elf: &Elf<'_>) -> Option<Build> {
    elf.section(".go.buildinfo")?;
    // The list of modules lies elsewhere in older versions of Go, but is text in all of them.
    let line = format!("dep\t{MODULE}");
    let found = memmem::find(elf.content(), line.as_bytes());
    Some(Build {
        client: found.map(|at| {
            let fields =
                elf.content()[at + line.len()..].split(|byte| matches!(byte, b'\t' | b'\n'));
            let version = fields.skip(1).take(1).map(String::from_utf8_lossy);
            format!("confluent-kafka-go {}", version.collect::<String>())
                .trim_end()
                .to_owned()
        }),
    })
}
