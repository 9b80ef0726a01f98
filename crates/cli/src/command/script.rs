//! The first line of a script: who runs it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The command that a script stands for; `None` for what is neither a script nor, by its look, a
/// text that `execvp` gives to the shell.
pub fn interpreter(head: &[u8], file: &Path, arguments: &[OsString]) -> Option<Vec<OsString>> {
    let mut command = match head.strip_prefix(b"#!") {
        Some(rest) => first_line(rest)?,
        None if head.contains(&0) || head.is_empty() => return None,
        None => vec![OsString::from("/bin/sh")],
    };
    // pip and others write this where the path of the interpreter is too long for a first line.
    if let Some(interpreter) = behind_the_shell(head) {
        command = vec![interpreter];
    }
    command.push(file.as_os_str().to_owned());
    command.extend(arguments.iter().skip(1).cloned());
    Some(command)
}

/// Who usually runs a file that nobody has marked as executable, and that does not say itself.
pub fn usual_interpreter(head: &[u8], file: &Path) -> Option<Vec<OsString>> {
    let command = match file.extension()?.to_str()? {
        "py" => &["python3"][..],
        "js" | "mjs" | "cjs" => &["node"],
        "rb" => &["ruby"],
        "php" => &["php"],
        "pl" => &["perl"],
        "sh" => &["sh"],
        "jar" => &["java", "-jar"],
        "dll" => &["dotnet"],
        _ => return None,
    };
    (!head.starts_with(b"#!")).then(|| {
        let words = command.iter().map(OsString::from);
        words.chain([file.as_os_str().to_owned()]).collect()
    })
}

/// The kernel takes the first word as the interpreter and the rest of the line, whatever is in it,
/// as one argument.
fn first_line(rest: &[u8]) -> Option<Vec<OsString>> {
    let line = rest.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let end = line
        .iter()
        .position(|byte| byte.is_ascii_whitespace())
        .unwrap_or(line.len());
    let (interpreter, argument) = line.split_at(end);
    let words = [interpreter, argument.trim_ascii()];
    let words: Vec<OsString> = words
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    (!words.is_empty()).then_some(words)
}

/// `'''exec' "/a long path/python" "$0" "$@"`, a line that the shell and Python both understand.
fn behind_the_shell(head: &[u8]) -> Option<OsString> {
    let mut lines = head.split(|byte| *byte == b'\n');
    if !lines.next()?.ends_with(b"/sh") {
        return None;
    }
    let rest = lines.next()?.strip_prefix(b"'''exec' ")?;
    let path = match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|byte| *byte == b'"').next()?,
        None => rest.split(|byte| *byte == b' ').next()?,
    };
    Some(OsStr::from_bytes(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &str, arguments: &[&str]) -> Option<Vec<String>> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let command = interpreter(head.as_bytes(), Path::new("/s"), &arguments)?;
        Some(
            command
                .into_iter()
                .map(|word| word.into_string().unwrap())
                .collect(),
        )
    }

    #[test]
    fn the_first_line_is_read_as_the_kernel_does() {
        for (head, expected) in [
            ("#!/bin/sh\necho", &["/bin/sh", "/s", "-x"][..]),
            ("#! /bin/sh -e\n", &["/bin/sh", "-e", "/s", "-x"]),
            (
                "#!/usr/bin/env -S python3 -u\n",
                &["/usr/bin/env", "-S python3 -u", "/s", "-x"],
            ),
            ("#!/usr/bin/python3", &["/usr/bin/python3", "/s", "-x"]),
            ("echo hello\n", &["/bin/sh", "/s", "-x"]),
            (
                "#!/bin/sh\n'''exec' \"/a b/python\" \"$0\" \"$@\"\n",
                &["/a b/python", "/s", "-x"],
            ),
        ] {
            assert_eq!(of(head, &["script", "-x"]).unwrap(), expected, "{head}");
        }
    }

    #[test]
    fn what_is_no_script_is_told() {
        assert_eq!(of("", &["s"]), None);
        assert_eq!(of("#!\n", &["s"]), None);
        assert_eq!(of("PK\u{3}\u{4}\0\0", &["s"]), None);
    }
}
