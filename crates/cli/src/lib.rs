//! Brings Superstream to any program, and shows beforehand whether it will work.
//!
//! | module | |
//! |---|---|
//! | `arguments` | the command line |
//! | `run` | `superstream run`: checks a command, and becomes it |
//! | `doctor` | `superstream doctor`: what would happen, in words and as JSON |
//! | `status` | `superstream status`: what a running process asked, got, changed and refused |
//! | `top` | `superstream top`: what the live clients of a service do, and what they save |
//! | `command` | from a command as typed to the executable that will carry it |
//! | `inspect` | what can be known of a program from its files: [`inspect::Findings`] |
//! | `obstacle` | why Superstream cannot enter a program, and what to do then |
//! | `verdict` | from findings to the way in: pure |
//! | `service` | what the service answers, asked through the library itself |
//! | `settings`, `preload`, `installation` | what a command gets into its environment |
//!
//! Nothing here runs a line of the program that is looked at.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod arguments;
mod command;
mod doctor;
mod inspect;
mod installation;
mod numbers;
mod obstacle;
mod preload;
mod report;
mod run;
mod service;
mod settings;
mod status;
mod text;
mod top;
mod verdict;

use std::ffi::OsString;

use arguments::Task;

/// Does what the arguments say; the exit code.
pub fn superstream(arguments: impl Iterator<Item = OsString>) -> u8 {
    match arguments::parse(arguments) {
        Ok(Task::Run(options)) => run::run(&options),
        Ok(Task::Doctor(options)) => {
            text::open_streams();
            doctor::doctor(&options)
        }
        Ok(Task::Status(options)) => {
            text::open_streams();
            status::status(&options)
        }
        Ok(Task::Top(options)) => {
            text::open_streams();
            top::top(&options)
        }
        Err(code) => code,
    }
}
