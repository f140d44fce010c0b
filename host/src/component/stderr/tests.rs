use super::*;
use crate::log::tests::Sink;

/// What the run's log has of these lines, of which it takes two, when they are read in such pieces.
fn logged(text: &str, piece: usize) -> String {
    let sink = Sink::default();
    let limits = Limits {
        log_lines: 2,
        ..Limits::default()
    };
    let log = sink.log();
    let mut lines = Lines::new(log.clone(), &limits);
    for bytes in text.as_bytes().chunks(piece) {
        lines.take(bytes);
    }
    drop(lines);
    log.component_ended();
    sink.written()
}

#[test]
fn a_dropped_line_is_counted_once_wherever_it_is_cut() {
    for text in [
        "one\ntwo\nthree\nfour\nfive\n",
        "one\ntwo\nthree\nfour\nfive",
    ] {
        for piece in 1..=text.len() {
            let logged = logged(text, piece);

            assert!(logged.contains("\"dropped_lines\":3"), "{piece}: {logged}");
        }
    }
}
