//! A program of the operator's that prints a secret, or that gets how a run ended. It is started without a shell, with the environment that it is given, and
//! ends within a time; what it prints is limited.

use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use crate::limits::{COMMAND_BYTES_MAX, COMMAND_MAX};
use crate::process::stop::Stop;
use crate::units::spoken;

/// Between two looks at what it prints.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const PIECE_BYTES: usize = 4 * 1024;

/// The words of a command line: separated by blanks; quotes of both kinds keep blanks, and between double quotes, or outside of
/// any, a backslash keeps the next character. Nothing else has a meaning. `Err` completes a sentence about the line.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                let kept = chars.next().ok_or("ends with a backslash")?;
                word.get_or_insert_default().push(kept);
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("has a quote that is not closed".to_owned());
    }
    words.extend(word);
    match words.first() {
        None => Err("names no program".to_owned()),
        Some(program) if program.is_empty() => Err("names no program".to_owned()),
        Some(_) => Ok(words),
    }
}

/// The line of these words, as [`words`] reads it.
pub fn line<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,~".contains(c);
    let words = words.into_iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            return word.to_owned();
        }
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What the program of these words prints on its standard output. `Err` says how it failed. Nothing that it printed is in there:
/// its errors can have the secret, as those of `curl -v` and of `sh -x` do.
pub fn output(
    words: &[String],
    environment: &[(String, String)],
    stop: &Stop,
) -> Result<Zeroizing<String>, String> {
    let (program, args) = words.split_first().ok_or("names no program")?;
    let child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let mut child = Started(child.map_err(|error| format!("cannot be started: {error}"))?);
    let Some(mut stdout) = child.0.stdout.take() else {
        return Err("cannot be read from".to_owned());
    };
    let flags = fcntl_getfl(&stdout).map_err(|error| error.to_string())?;
    fcntl_setfl(&stdout, flags | OFlags::NONBLOCK).map_err(|error| error.to_string())?;
    // Room for all of it from the beginning: what is grown leaves copies behind.
    let mut printed = Zeroizing::new(Vec::with_capacity(COMMAND_BYTES_MAX + PIECE_BYTES));
    let begun = Instant::now();
    let status = loop {
        stop.check().map_err(|failure| failure.message)?;
        // What it printed before its end is read after it.
        let ended = child.0.try_wait().map_err(|error| error.to_string())?;
        read(&mut stdout, &mut printed, COMMAND_BYTES_MAX);
        if printed.len() > COMMAND_BYTES_MAX {
            return Err(format!(
                "printed more than {} KiB",
                COMMAND_BYTES_MAX / 1024
            ));
        }
        if let Some(status) = ended {
            break status;
        }
        if begun.elapsed() > COMMAND_MAX {
            return Err(format!("did not end within {}", spoken(COMMAND_MAX)));
        }
        thread::sleep(LOOK_EVERY);
    };
    if !status.success() {
        return Err(format!(
            "ended with {status}; run it by hand to see why: what it prints is not shown here, as it can have the secret"
        ));
    }
    let text = std::str::from_utf8(&printed).map_err(|_| "printed what is not UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Starts the program of these words with `input` on its standard input, and waits for its end. `Err` says how it failed; what it
/// prints goes nowhere. After `limit` it is killed, with all that it started.
pub fn told<'e>(
    words: &[String],
    environment: impl IntoIterator<Item = (&'e str, &'e str)>,
    mut input: &[u8],
    limit: Duration,
) -> Result<(), String> {
    let (program, args) = words.split_first().ok_or("names no program")?;
    let child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let mut child = Started(child.map_err(|error| format!("cannot be started: {error}"))?);
    let mut stdin = child.0.stdin.take();
    if let Some(stdin) = &stdin {
        let flags = fcntl_getfl(stdin).map_err(|error| error.to_string())?;
        fcntl_setfl(stdin, flags | OFlags::NONBLOCK).map_err(|error| error.to_string())?;
    }
    let begun = Instant::now();
    loop {
        // A program that does not read it is as good as one that does.
        let written = match &mut stdin {
            Some(open) if !input.is_empty() => open.write(input),
            _ => Ok(0),
        };
        match written {
            Ok(count) => input = &input[count..],
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => input = &[],
        }
        if input.is_empty() {
            // Its end is where the input ends.
            stdin = None;
        }
        if let Some(status) = child.0.try_wait().map_err(|error| error.to_string())? {
            return if status.success() {
                Ok(())
            } else {
                Err(format!("ended with {status}; run it by hand to see why"))
            };
        }
        if begun.elapsed() > limit {
            return Err(format!("did not end within {}", spoken(limit)));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A program that is killed, with all that it started, unless it has ended.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// Adds what there is to read; what is beyond `most` is read, and not kept but for a piece.
fn read(stream: &mut impl Read, into: &mut Vec<u8>, most: usize) {
    let mut piece = Zeroizing::new([0; PIECE_BYTES]);
    loop {
        match stream.read(&mut *piece) {
            Ok(0) => return,
            Ok(_) if into.len() > most => {}
            Ok(count) => into.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;
    use crate::limits::Limits;

    fn ran(line: &str) -> Result<String, String> {
        let stop = Stop::unwatched(Limits::default().run_deadline);
        let environment = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        output(&words(line).unwrap(), &environment, &stop).map(|text| text.to_string())
    }

    #[test]
    fn a_line_is_split_by_blanks_outside_of_quotes() {
        for (line, wanted) in [
            ("pass show  api", vec!["pass", "show", "api"]),
            (r#"a "b c" 'd "e'f g\ h"#, vec!["a", "b c", "d \"ef", "g h"]),
            (
                r#"a "" '\' "\"$HOME;`id`""#,
                vec!["a", "", "\\", "\"$HOME;`id`"],
            ),
        ] {
            assert_eq!(words(line).unwrap(), wanted);
            assert_eq!(words(&super::line(wanted.iter().copied())).unwrap(), wanted);
        }
        for line in ["", " ", "a \"b", "a \\", "\"\" a"] {
            assert!(words(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_it_prints_is_read_and_no_shell_is_there() {
        assert_eq!(ran("printf '%s\n' $HOME;").unwrap(), "$HOME;\n");
        let environment = ran("env").unwrap();
        assert_eq!(environment, "PATH=/usr/bin:/bin\n");
    }

    #[test]
    fn a_failure_says_how_and_nothing_of_what_was_printed() {
        let failed = ran("sh -c 'echo secret-1; echo secret-2 >&2; exit 3'").unwrap_err();
        assert!(failed.starts_with("ended with exit status: 3; run it by hand"));
        assert!(!failed.contains("secret-"), "{failed}");
        assert!(
            ran("/nowhere/vault")
                .unwrap_err()
                .contains("cannot be started")
        );
        assert!(
            ran("cat /dev/zero")
                .unwrap_err()
                .contains("printed more than 64 KiB")
        );
        assert!(ran("printf '\\377'").unwrap_err().contains("not UTF-8"));
    }

    #[test]
    fn a_program_is_told_what_is_on_its_stdin_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let heard = folder.path().join("heard");
        let line = format!("sh -c 'cat > {0}; env >> {0}'", heard.display());
        let text = "x".repeat(200_000);
        let environment = [("PATH", "/usr/bin:/bin"), ("A", "b")];
        let limit = Duration::from_mins(1);

        told(&words(&line).unwrap(), environment, text.as_bytes(), limit).unwrap();
        let deaf = told(&words("true").unwrap(), environment, text.as_bytes(), limit);

        let heard = std::fs::read_to_string(heard).unwrap();
        let (input, environment) = heard.split_at(text.len());
        assert_eq!(input, text);
        assert!(environment.contains("A=b"), "{environment}");
        assert!(!environment.contains("HOME="), "{environment}");
        assert_eq!(deaf, Ok(()));
    }

    #[test]
    fn a_program_that_is_told_and_fails_or_does_not_end_is_named_by_how() {
        let environment = [("PATH", "/usr/bin:/bin")];
        let told = |line: &str| {
            let words = words(line).unwrap();
            told(&words, environment, b"{}", Duration::from_millis(200)).unwrap_err()
        };

        assert!(told("sh -c 'echo s3cret; exit 3'").starts_with("ended with exit status: 3"));
        assert!(told("sleep 600").contains("did not end within"));
        assert!(told("/nowhere/notify").contains("cannot be started"));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_what_it_started() {
        let stop = Stop::unwatched(Duration::ZERO);
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("alive");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        // Both hold the pipe open for writing until they are gone.
        let script = format!("sh -c 'exec 3<>{0}; sleep 600 & sleep 600'", pipe.display());
        let environment = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())];

        let ended = output(&words(&script).unwrap(), &environment, &stop).unwrap_err();

        assert!(ended.contains("RUN_DEADLINE"), "{ended}");
        // While anybody has it open for writing, a read would block. Whoever was killed may need a moment to be gone.
        let is_closed = || {
            let mut read = Vec::new();
            let file = std::fs::File::options()
                .read(true)
                .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
                .open(&pipe);
            file.unwrap().read_to_end(&mut read).is_ok()
        };
        let is_gone = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(50));
            is_closed()
        });
        assert!(is_gone, "somebody still has it open");
    }
}
