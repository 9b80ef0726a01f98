//! From findings to the way in: pure.

use crate::inspect::parts::{Bound, Part, Role, Use};
use crate::inspect::runtime::Runtime;
use crate::inspect::{Findings, Found, Kind};

/// The ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Preload,
    /// With the second library, that has hooks on `dlsym` and `dlopen`.
    PreloadWithHooks,
    /// The drop-in is in place already.
    DropIn,
    None,
    /// No librdkafka was found, which need not mean that there is none.
    Unknown,
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::Preload => "preload",
            Self::PreloadWithHooks => "preload-with-hooks",
            Self::DropIn => "drop-in",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }

    pub fn in_words(self) -> &'static str {
        match self {
            Self::Preload => "preload",
            Self::PreloadWithHooks => "preload, with the second library (hooks)",
            Self::DropIn => "the drop-in, which is in place",
            Self::None => "none",
            Self::Unknown => "not known",
        }
    }

    pub fn works(self) -> bool {
        !matches!(self, Self::None | Self::Unknown)
    }
}

/// What follows from the findings.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub way: Way,
    pub reasons: Vec<String>,
    /// Other ways that would work too.
    pub others: Vec<(&'static str, String)>,
    pub next: Vec<String>,
}

/// Judges what was found.
pub fn of(findings: &Findings) -> Verdict {
    let mut verdict = Verdict {
        way: Way::Unknown,
        reasons: Vec::new(),
        others: Vec::new(),
        next: Vec::new(),
    };
    if !findings.obstacles.is_empty() {
        verdict.way = Way::None;
        for (file, obstacle) in &findings.obstacles {
            let reason = obstacle.reason();
            verdict.reasons.push(match *file == findings.executable {
                true => reason,
                false => format!("{}: {reason}", file.display()),
            });
            verdict.next.push(obstacle.next());
        }
    } else if let Some(part) = &findings.itself {
        verdict.judge_library(part);
    } else if findings.found.is_empty() {
        verdict.judge_nothing(findings);
    } else {
        verdict.judge_uses(findings);
    }
    verdict.reasons.dedup();
    verdict.next.dedup();
    verdict
}

impl Verdict {
    fn judge_uses(&mut self, findings: &Findings) {
        self.way = Way::None;
        for found in &findings.found {
            let way = way_of(found, findings.runtime);
            self.way = better(self.way, way);
            self.reasons.push(reason(found, way, findings));
            self.others.extend(others(found, way));
        }
        self.others.dedup();
        let sealed = |found: &&Found| found.used.bound == Bound::Inside;
        if let Some(found) = findings.found.iter().find(sealed) {
            self.next.push(unsealing(found, findings));
        }
        match (self.way, findings.kind) {
            (Way::None | Way::Unknown, _) => {}
            (Way::DropIn, _) => self
                .next
                .push("Set SUPERSTREAM_HOST where it starts; nothing else is needed.".to_owned()),
            (Way::PreloadWithHooks, Kind::Process(_))
                if findings.has_superstream && !findings.has_hooks =>
            {
                self.next.push(
                    "Superstream is in this process, but without the second library: start it anew \
                     with `superstream run --hooks always -- COMMAND`."
                        .to_owned(),
                );
            }
            (_, Kind::Process(id)) if findings.has_superstream => self.next.push(format!(
                "Superstream is in this process already: `superstream status --pid {id}` shows \
                 what it did."
            )),
            (_, Kind::Process(_)) => self.next.push(
                "Start it anew with `superstream run --host URL -- COMMAND`; it cannot be brought \
                 into a running process."
                    .to_owned(),
            ),
            (_, Kind::File) if findings.is_library => self.next.push(
                "Start what uses it with `superstream run --host URL -- COMMAND`.".to_owned(),
            ),
            (_, Kind::Command | Kind::File) => self.next.push(format!(
                "Start it with `superstream run --host URL -- {} …`.",
                findings.name
            )),
        }
    }

    fn judge_library(&mut self, part: &Part) {
        (self.way, self.reasons) = match part.role {
            Role::DropIn => (
                Way::DropIn,
                vec!["This is the drop-in: a librdkafka with Superstream inside.".to_owned()],
            ),
            Role::Superstream => (
                Way::Preload,
                vec!["This is Superstream's own preload library.".to_owned()],
            ),
            _ => (
                Way::Preload,
                vec![
                    "This is librdkafka itself: a preload comes before it in every program that \
                     is linked to it."
                        .to_owned(),
                ],
            ),
        };
        self.next
            .push("Give the program that uses it, to be sure.".to_owned());
    }

    fn judge_nothing(&mut self, findings: &Findings) {
        let trace = "No trace of librdkafka was found";
        self.reasons.push(match (findings.runtime, findings.kind) {
            (Some(Runtime::Shell), Kind::Command | Kind::File) => {
                "It is run by a shell, and what that starts shows only then.".to_owned()
            }
            (Some(Runtime::Java), _) => format!(
                "{trace}. Java's usual client (kafka-clients) is none: it is written in Java, and \
                 Superstream has an agent of its own for it."
            ),
            (Some(runtime), Kind::Command | Kind::File) => format!(
                "{trace} where {} would look for a binding to it.",
                runtime.name()
            ),
            (_, Kind::Process(_)) => format!("{trace} in what the process has loaded so far."),
            (None, _) => {
                format!("{trace} in its files. It may open one as a module or plugin when it runs.")
            }
        });
        if let Some(why) = findings.runtime.and_then(Runtime::need_of_hooks) {
            self.reasons.push(format!(
                "Should it use librdkafka: {why}, and `superstream run` adds the second library."
            ));
        }
        self.next.push(match (findings.runtime, findings.kind) {
            (_, Kind::Process(_)) => {
                "Look again once it has made its Kafka client; look at its child processes too."
                    .to_owned()
            }
            (Some(Runtime::Shell), _) => {
                "Give the program that it starts, or start it and use `superstream doctor --pid N` \
                 on that."
                    .to_owned()
            }
            _ => "Start it as usual and use `superstream doctor --pid N` once it has made its \
                  Kafka client."
                .to_owned(),
        });
    }
}

fn way_of(found: &Found, runtime: Option<Runtime>) -> Way {
    let role = found.used.engine.as_ref().map(|engine| engine.role);
    if role == Some(Role::DropIn) {
        return Way::DropIn;
    }
    let needs_hooks = runtime.is_some_and(|runtime| runtime.need_of_hooks().is_some());
    match found.used.bound {
        Bound::Inside => Way::None,
        Bound::Fetched => Way::PreloadWithHooks,
        Bound::Dynamically | Bound::InsideOpenly if needs_hooks => Way::PreloadWithHooks,
        Bound::Dynamically | Bound::InsideOpenly => Way::Preload,
    }
}

/// The way that serves both uses.
fn better(one: Way, other: Way) -> Way {
    let rank = |way| match way {
        Way::Unknown => 0,
        Way::None => 1,
        Way::DropIn => 2,
        Way::Preload => 3,
        Way::PreloadWithHooks => 4,
    };
    if rank(one) >= rank(other) { one } else { other }
}

fn reason(found: &Found, way: Way, findings: &Findings) -> String {
    let Use { bound, by, .. } = &found.used;
    let caller = by.file.display();
    if way == Way::DropIn {
        return format!("{caller} gets the drop-in: Superstream is inside it.");
    }
    let hooks = findings.runtime.and_then(Runtime::need_of_hooks);
    match bound {
        Bound::Dynamically => match hooks {
            Some(why) => format!("{why}; the second library sees to it."),
            None => format!(
                "{caller} asks the loader for rd_kafka_new, and a preloaded library comes first."
            ),
        },
        Bound::InsideOpenly => match hooks {
            Some(why) => format!("{why}; the second library sees to it."),
            None => format!(
                "librdkafka is inside {caller}, which asks the loader for rd_kafka_new all the \
                 same, and a preloaded library comes first."
            ),
        },
        Bound::Inside => format!(
            "librdkafka is inside {caller} and bound there for good: nothing can come between."
        ),
        Bound::Fetched => format!(
            "{}: a preload alone is passed by; the second library takes these look-ups.",
            hooks.map_or_else(
                || format!("{caller} opens librdkafka and fetches its functions with dlsym"),
                str::to_owned
            )
        ),
    }
}

/// The ways besides the one that `superstream run` takes.
fn others(found: &Found, way: Way) -> Vec<(&'static str, String)> {
    let mut others = Vec::new();
    let Some(engine) = &found.used.engine else {
        return others;
    };
    if matches!(way, Way::None | Way::DropIn | Way::Unknown) {
        return others;
    }
    let usual = "librdkafka.so.1";
    let by = &found.used.by;
    match found.used.bound {
        Bound::Dynamically
            if engine.soname.as_deref() == Some(usual)
                && by.needed.iter().any(|name| name == usual)
                && !by.has_rpath =>
        {
            others.push((
                "drop-in",
                "LD_LIBRARY_PATH with the drop-in's folder gives it the drop-in's librdkafka \
                 instead of its own."
                    .to_owned(),
            ));
        }
        Bound::Fetched if found.binding.is_some() => others.push((
            "drop-in",
            format!("put the drop-in in the place of {}.", engine.file.display()),
        )),
        _ => {}
    }
    let has_plugins = |features: &Vec<String>| features.iter().any(|name| name == "plugins");
    if engine.features.as_ref().is_some_and(has_plugins) {
        others.push((
            "plugin",
            "plugin.library.paths=libsuperstream-plugin in its Kafka configuration; less of what \
             is advised can be applied that way."
                .to_owned(),
        ));
    }
    others
}

/// What to do about a librdkafka that is inside for good.
fn unsealing(found: &Found, findings: &Findings) -> String {
    if findings.go.is_some() {
        return "Build it with `-tags dynamic`: then Go's client uses the system's librdkafka, or \
                the drop-in."
            .to_owned();
    }
    format!(
        "Link {} dynamically with librdkafka (Rust: the feature `dynamic-linking` of rdkafka; C and \
         C++: -lrdkafka instead of librdkafka.a), or with the drop-in.",
        found.used.by.file.display()
    )
}
