//! What the cursor is, and how it is asked from.

use super::described::{Setting, optional};
use super::{Given, not_one_of};
use crate::cursor::{CursorSettings, Kind, Lookback, VALUE_BYTES_MAX, start_point};

impl Given<'_> {
    pub(super) fn cursor(&mut self) -> Option<CursorSettings> {
        if self.get("SOURCE_CURSOR").is_none() {
            for name in [
                "SOURCE_CURSOR_TO",
                "SOURCE_CURSOR_KIND",
                "SOURCE_CURSOR_START",
                "SOURCE_LOOKBACK",
            ] {
                if self.get(name).is_some() {
                    self.wrong(name, "means nothing without SOURCE_CURSOR");
                }
            }
            return None;
        }
        let pointer = self.pointer("SOURCE_CURSOR");
        let query_name = self.get("SOURCE_CURSOR_TO");
        if query_name.is_some_and(|name| name.starts_with('/')) {
            self.wrong("SOURCE_CURSOR_TO", "a JSON Pointer into SOURCE_BODY is not yet supported in this version: give the name of a query parameter");
        }
        let kind = self
            .get("SOURCE_CURSOR_KIND")
            .and_then(|word| self.kind(word));
        let start = self.get("SOURCE_CURSOR_START");
        if start.is_some_and(|start| start.len() > VALUE_BYTES_MAX) {
            self.wrong(
                "SOURCE_CURSOR_START",
                format!("is longer than {VALUE_BYTES_MAX} bytes"),
            );
        } else if let (Some(kind), Some(start)) = (kind, start) {
            self.kept("SOURCE_CURSOR_START", start_point(kind, start));
        }
        let lookback = self.get("SOURCE_LOOKBACK").map(|text| {
            let fits = |lookback: Lookback| {
                kind.map_or(Ok(lookback), |kind| lookback.of(kind).map(|_| lookback))
            };
            Lookback::parse(text).and_then(fits)
        });
        let lookback = lookback.map_or(Some(Lookback::Default), |read| {
            self.kept("SOURCE_LOOKBACK", read)
        });
        Some(CursorSettings {
            pointer: pointer?,
            query_name: query_name.map(str::to_owned),
            kind,
            start: start.map(str::to_owned),
            lookback: lookback.unwrap_or_default(),
        })
    }

    fn kind(&mut self, word: &str) -> Option<Kind> {
        let kind = Kind::named(word);
        match word {
            "token" => self.wrong(
                "SOURCE_CURSOR_KIND",
                "`token` is not yet supported in this version",
            ),
            other if kind.is_none() => {
                let words = Kind::ALL.map(Kind::word);
                self.wrong("SOURCE_CURSOR_KIND", not_one_of(other, &words));
            }
            _ => {}
        }
        kind
    }
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    vec![
        optional(
            "SOURCE_CURSOR",
            "JSON Pointer in a record to its change time, sequence or id; without it, every run fetches everything.",
            "",
            "/updated_at",
        ),
        optional(
            "SOURCE_CURSOR_TO",
            "The query parameter that takes the cursor; without it, older records are fetched and left out.",
            "",
            "updated_since",
        ),
        optional(
            "SOURCE_CURSOR_KIND",
            "What the cursor is: `rfc3339`, `date`, `epoch`, `epoch-ms`, `integer` or `text`; told from the first value, epochs never.",
            "",
            "epoch-ms",
        ),
        optional(
            "SOURCE_CURSOR_START",
            "The cursor of a first run.",
            "",
            "2026-01-01T00:00:00Z",
        ),
        optional(
            "SOURCE_LOOKBACK",
            "How far back to ask again, for records that were committed late: `90s`, `5m`, `2h`, `7d`, or a number of integers; 5m for times.",
            "",
            "1h",
        ),
    ]
}
