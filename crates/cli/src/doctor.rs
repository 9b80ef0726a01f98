//! `superstream doctor`: looks, asks, and tells.

use std::ffi::OsString;
use std::path::Path;

use crate::arguments::Doctor;
use crate::command::CommandError;
use crate::inspect::{self, Findings};
use crate::installation::Installation;
use crate::report;
use crate::service::{self, Answer, Token};
use crate::settings;
use crate::text;
use crate::verdict::{self, Verdict};

const WORKS: u8 = 0;
const WORKS_NOT: u8 = 1;
const USAGE: u8 = 2;

/// What doctor has to say.
pub struct Diagnosis {
    pub findings: Findings,
    pub verdict: Verdict,
    /// `None` where no host is given.
    pub service: Option<Result<Answer, String>>,
}

impl Diagnosis {
    /// Whether Superstream would work, as the exit code tells.
    pub fn works(&self) -> bool {
        self.verdict.way.works()
            && match &self.service {
                None => true,
                Some(asked) => asked.as_ref().is_ok_and(Answer::is_good),
            }
    }
}

impl Diagnosis {
    /// What to do about a service that gives no advice.
    fn mending(&self) -> Option<String> {
        let answer = match &self.service {
            None => return None,
            Some(Err(_)) => return Some("See to it that the service can be asked.".to_owned()),
            Some(Ok(answer)) if answer.is_good() => return None,
            Some(Ok(answer)) => answer,
        };
        let what = match answer.token {
            // The library takes no address for one that it cannot use.
            _ if answer.host.is_empty() => {
                "Correct SUPERSTREAM_HOST: until then programs start with their own configuration."
            }
            Token::Refused => {
                "Give the token that the service's operator hands out, with --token-file."
            }
            Token::NotGiven | Token::Accepted | Token::Unknown => {
                "See to it that the service can be reached from here; until then programs start \
                 with their own configuration."
            }
        };
        Some(what.to_owned())
    }
}

/// Does what the arguments say; the exit code.
pub fn doctor(options: &Doctor) -> u8 {
    let service = match check(options) {
        Ok(service) => service,
        Err(complaint) => {
            text::complain(&complaint);
            return USAGE;
        }
    };
    let findings = match findings(options) {
        Ok(findings) => findings,
        Err(complaint) => {
            text::complain(&complaint);
            if options.json {
                text::print(&report::failure(&complaint));
            }
            return WORKS_NOT;
        }
    };
    let mut diagnosis = Diagnosis {
        verdict: verdict::of(&findings),
        findings,
        service: service.map(|(host, token_file)| {
            if token_file.is_none() {
                settings::check_environment()?;
            }
            let installation = Installation::find()?;
            service::ask(&installation.library, &host, token_file.as_deref())
        }),
    };
    diagnosis.verdict.next.extend(diagnosis.mending());
    let printed = text::print(&match options.json {
        true => report::json(&diagnosis),
        false => report::words(&diagnosis),
    });
    match diagnosis.works() && printed {
        true => WORKS,
        false => WORKS_NOT,
    }
}

type Service = Option<(OsString, Option<std::path::PathBuf>)>;

/// The host and the token's file, where there is a host.
fn check(options: &Doctor) -> Result<Service, String> {
    let token_file = match &options.token_file {
        Some(file) => Some(settings::check_token_file(file)?),
        None => None,
    };
    if let Some(host) = &options.host {
        settings::check_host(host)?;
    }
    let environment = std::env::var_os("SUPERSTREAM_HOST").filter(|host| !host.is_empty());
    let host = options.host.clone().or(environment);
    if host.is_none() && token_file.is_some() {
        return Err("--token-file needs a service to try it on: add --host".to_owned());
    }
    Ok(host.map(|host| (host, token_file)))
}

fn findings(options: &Doctor) -> Result<Findings, String> {
    if let Some(id) = options.pid {
        return inspect::process::process(id);
    }
    let found = match &options.file {
        Some(file) => {
            existing(file).and_then(|()| inspect::file(file).map_err(|e| in_words(&e)))?
        }
        None => inspect::command(&options.command).map_err(|error| in_words(&error))?,
    };
    Ok(found)
}

fn existing(file: &Path) -> Result<(), String> {
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(format!("{} is no regular file", file.display())),
        Err(error) => Err(format!(
            "{}: {error}; a command is given behind `--`, as in `superstream doctor -- {}`",
            file.display(),
            file.display()
        )),
    }
}

/// Why a command has no executable.
pub fn in_words(error: &CommandError) -> String {
    match error {
        CommandError::NotFound(not_found) => not_found.to_string(),
        CommandError::Unreadable(file, error) => {
            format!("{} cannot be read: {error}", file.display())
        }
        CommandError::Loop(file) => {
            format!(
                "{} leads through more scripts than can be meant",
                file.display()
            )
        }
    }
}
