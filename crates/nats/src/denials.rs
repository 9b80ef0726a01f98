//! What the server has refused: it says so when it likes, and goes on.

use crate::error::Error;

/// Whoever asks for hundreds of forbidden subjects at once learns of some.
const MAX: usize = 32;

/// No subject of ours is longer.
const MAX_SUBJECT: usize = 1024;

/// A refusal of one subject.
const FORBIDDEN: &str = "permissions violation";
/// A refusal of the last subscription, whichever that was.
const TOO_MANY: &str = "maximum subscriptions exceeded";

/// A refusal.
struct Denial {
    number: u64,
    /// What was refused, where the server says it.
    subject: Option<String>,
    text: String,
}

/// Refusals that nobody was told of yet.
#[derive(Default)]
pub struct Denials {
    denials: Vec<Denial>,
    /// How many there ever were.
    count: u64,
}

impl Denials {
    /// Whether the text of an `-ERR` is about one subject alone.
    pub fn is_one(text: &str) -> bool {
        let begins = |words: &&str| {
            let start = text.get(..words.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(words))
        };
        [FORBIDDEN, TOO_MANY].iter().any(begins)
    }

    /// Takes the text of an `-ERR`, as it came, and as it is told.
    pub fn push(&mut self, text: &str, told: String) {
        if self.denials.len() == MAX {
            self.denials.remove(0);
        }
        // `Permissions Violation for Publish to "a.b"`
        let subject = text.split('"').nth(1);
        let subject = subject.filter(|subject| subject.len() <= MAX_SUBJECT);
        self.count += 1;
        self.denials.push(Denial {
            number: self.count,
            subject: subject.map(str::to_owned),
            text: told,
        });
    }

    /// Where we are: what comes later is after this.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The refusal of one subject, where it came after so many others.
    pub fn take_of(&mut self, subject: &str, after: u64) -> Option<Error> {
        let is_its =
            |denial: &Denial| denial.number > after && denial.subject.as_deref() == Some(subject);
        let at = self.denials.iter().position(is_its)?;
        Some(Error::Denied(self.denials.remove(at).text))
    }

    /// The refusal of the last subscription, where it came after so many others.
    pub fn take_nameless(&mut self, after: u64) -> Option<Error> {
        let is_it = |denial: &Denial| denial.number > after && denial.subject.is_none();
        let at = self.denials.iter().position(is_it)?;
        Some(Error::Denied(self.denials.remove(at).text))
    }

    /// All of them: the first in its words.
    pub fn take_all(&mut self) -> Option<Error> {
        let mut denials = std::mem::take(&mut self.denials).into_iter();
        let mut text = denials.next()?.text;
        if denials.len() > 0 {
            text += &format!(" (and {} more)", denials.len());
        }
        Some(Error::Denied(text))
    }
}
