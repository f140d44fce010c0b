use super::*;
use crate::secret::Secret;

/// Keeps what a log writes.
#[derive(Clone, Default)]
pub struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    /// A log in JSON that writes here.
    pub fn log(&self) -> Log {
        self.log_as(Format::Json)
    }

    fn log_as(&self, format: Format) -> Log {
        Log::to(
            format,
            Map::new(),
            Redactor::new([Secret::from("k9!")]),
            Box::new(self.clone()),
        )
    }

    /// All that was written so far.
    pub fn written(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, secrets: &[&str], fields: Value) -> String {
    let sink = Sink::default();
    let redactor = Redactor::new(secrets.iter().map(|s| Secret::from(*s)));
    let context = Map::from_iter([("job".to_owned(), json!("orders"))]);
    Log::to(format, context, redactor, Box::new(sink.clone())).info("page fetched", fields);
    sink.written()
}

#[test]
fn a_json_line_has_the_fields_and_the_context() {
    let line = logged(Format::Json, &[], json!({"page": 2}));

    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["level"], "info");
    assert_eq!(value["msg"], "page fetched");
    assert_eq!(value["page"], 2);
    assert_eq!(value["job"], "orders");
    assert!(value["ts"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn on_a_terminal_progress_is_written_over_by_what_comes_next() {
    let sink = Sink::default();
    let log = sink.log_as(Format::Terminal);

    log.progress("component", json!({ "text": "x".repeat(200) }));
    log.progress("component", json!({ "text": "page2" }));
    log.info("run finished", Value::Null);

    let text = sink.written();
    let shown: Vec<&str> = text.split(CLEAR_LINE).collect();
    assert_eq!(shown[0].chars().count(), PROGRESS_CHARS_MAX);
    assert!(shown[1].ends_with("component text=page2"), "{text}");
    assert!(shown[2].ends_with("run finished\n"), "{text}");
    assert_eq!(text.matches('\n').count(), 1);
}

/// What is written at this level of one line of each kind.
fn at(format: Format, least: Level, has_colours: bool) -> String {
    let sink = Sink::default();
    let log = sink.log_as(format).showing(least, has_colours);
    let limits = Limits::default();
    log.component("debug: page 1", None, &limits);
    log.info("info", Value::Null);
    log.warn("warned", Value::Null);
    log.error("failed", Value::Null);
    sink.written()
}

#[test]
fn what_is_below_the_level_is_left_out() {
    for (least, lines) in [
        (Level::Debug, 4),
        (Level::Info, 3),
        (Level::Warn, 2),
        (Level::Error, 1),
    ] {
        let written = at(Format::Json, least, true);

        assert_eq!(written.lines().count(), lines, "{written}");
        assert!(
            written.contains(r#""level":"error","msg":"failed""#),
            "{written}"
        );
        assert!(!written.contains('\u{1b}'), "{written}");
    }
    assert!(at(Format::Json, Level::Debug, false).contains(r#""level":"debug""#));
}

#[test]
fn a_terminal_shows_a_page_as_progress_and_colours_where_it_may() {
    let shown = at(Format::Terminal, Level::Info, true);
    let plain = at(Format::Terminal, Level::Info, false);

    assert!(plain.contains(" page 1\r\u{1b}[K"), "{plain:?}");
    assert!(
        shown.contains("\u{1b}[33mwarn\u{1b}[0m warned"),
        "{shown:?}"
    );
    assert!(
        shown.contains("\u{1b}[31merror\u{1b}[0m failed"),
        "{shown:?}"
    );
    assert!(plain.contains(" warn warned"), "{plain:?}");
    assert!(at(Format::Terminal, Level::Debug, false).contains("page 1\"\n"));
}

#[test]
fn elsewhere_progress_is_a_line_like_any_other() {
    let sink = Sink::default();
    let log = sink.log();

    log.progress("component", json!({ "text": "page 2" }));

    let line: Value = serde_json::from_str(&sink.written()).unwrap();
    assert_eq!(line["level"], "info");
}

#[test]
fn a_secret_of_any_length_is_hidden() {
    let line = logged(Format::Json, &["k9!"], json!({"text": "key k9! sent"}));

    assert!(!line.contains("k9!"), "{line}");
    assert!(line.contains("key REDACTED sent"), "{line}");
}

#[test]
fn a_line_cannot_be_forged_or_steer_a_terminal() {
    let hostile = json!({"text": "\u{1b}[31m\n{\"level\":\"error\"}\u{202e}\u{9b}"});

    let json_line = logged(Format::Json, &[], hostile.clone());
    let text_line = logged(Format::Text, &[], hostile);

    for line in [json_line, text_line] {
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(!line.trim_end().chars().any(steers));
    }
}

/// What is written of these lines of a component, under these limits.
fn component(lines: &[&str], limits: &Limits) -> String {
    let sink = Sink::default();
    let log = sink.log();
    for line in lines {
        log.clone().component(line, None, limits);
    }
    log.component_ended();
    sink.written()
}

#[test]
fn a_line_of_a_component_is_cut_by_what_is_written_of_it() {
    let limits = Limits::default();

    let written = component(&[&"\u{1b}".repeat(4_000)], &limits);

    assert!(written.len() < 5_000, "{} bytes", written.len());
    assert!(written.contains("… (cut, 4000 bytes)"), "{written}");
}

#[test]
fn a_secret_at_the_cut_is_hidden_whole() {
    let limits = Limits {
        log_line_bytes: 100,
        ..Limits::default()
    };

    // The cut comes after the first two characters of the secret.
    let written = component(
        &[&format!("{}-k9!-{}", "x".repeat(57), "y".repeat(100))],
        &limits,
    );

    assert!(!written.contains("-k9"), "{written}");
}

#[test]
fn lines_and_bytes_of_a_component_end_for_all_handles_of_a_log() {
    let lines = Limits {
        log_lines: 2,
        ..Limits::default()
    };
    let bytes = Limits {
        log_bytes: 200,
        ..Limits::default()
    };

    for limits in [lines, bytes] {
        let written = component(&["one", "warn: two", "three", "four"], &limits);

        assert_eq!(
            written.matches("\"msg\":\"component\"").count(),
            2,
            "{written}"
        );
        assert!(written.contains("component log cut"), "{written}");
        assert!(written.contains("\"dropped_lines\":2"), "{written}");
    }
}

#[test]
fn a_failure_quotes_what_was_written_last_in_its_own_call() {
    let log = Log::silent();
    let write = |lines: &[&str]| {
        let _call = log.reader();
        for line in lines {
            log.component(line, None, &Limits::default());
        }
        log.last_of_component()
    };

    let warned = write(&["page 1", "warn: answered 500"]);
    assert_eq!(warned.as_deref(), Some("its last warning: `answered 500`"));
    assert_eq!(write(&[]), None);
    let line = write(&["warn: answered 500", "no such day"]);
    assert_eq!(line.as_deref(), Some("its last log line: `no such day`"));
}
