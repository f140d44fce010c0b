//! What the cursor is, in records or as a token of the source's own, and how it is asked from.

use super::description::{Setting, Staging, optional};
use super::{Given, not_one_of};
use crate::cursor::{
    Asking, CursorSettings, Form, Kind, Lookback, Missing, Order, Pattern, TOKEN_BYTES_MAX,
    TokenPage, TokenSettings, VALUE_BYTES_MAX, Zone, window_seconds,
};
use crate::failure::quoted;
use crate::source::{BodyFormat, CURSOR, PageFrom, RecordsFrom, To, form_holds_cursor};

/// A day, which is what a cursor of days is counted in.
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// What two clocks may differ by, and so the least look-back where one of them is the cursor.
const CLOCK_BACK_SECONDS: u64 = 5 * 60;

/// What is said of values that are compared, which a token never is.
const OF_VALUES: [&str; 9] = [
    "SOURCE_CURSOR_FORMAT",
    "SOURCE_CURSOR_ZONE",
    "SOURCE_CURSOR_SEND",
    "SOURCE_LOOKBACK",
    "SOURCE_CURSOR_MISSING",
    "SOURCE_CURSOR_ORDER",
    "SOURCE_CURSOR_CHECK",
    "SOURCE_WINDOW",
    "SOURCE_CURSOR_END_TO",
];

impl Given<'_> {
    /// The cursor that stands in records; `None` as well where it is a token.
    pub(super) fn cursor(&mut self) -> Option<CursorSettings> {
        if self.get("SOURCE_CURSOR").is_none() && !self.is_clock() {
            let all = described();
            for Setting { name, .. } in all {
                if self.get(&name).is_some() {
                    self.wrong(&name, "has no effect without SOURCE_CURSOR");
                }
            }
            return None;
        }
        if self.is_token() {
            return None;
        }
        let pointer = self.pointer("SOURCE_CURSOR");
        let to = self.asking();
        if self.is_clock() {
            self.refuse_beside_clock(&to);
        }
        let end_to = self.end_to(&to);
        let kind = self.kind();
        let zone = self.zone(kind);
        let send = self.send(kind, zone).or_else(|| self.http_date(kind, &to));
        self.start(kind, zone);
        let start = self.get("SOURCE_CURSOR_START").map(str::to_owned);
        // What people may write in a plainer way is kept as the source writes it.
        let form = kind.map(|kind| Form { kind, zone });
        let start = start.map(|start| match form.map(|form| form.given_text(&start)) {
            Some(Ok(text)) => text,
            _ => start,
        });
        if to == Asking::Template && start.is_none() {
            self.wrong(
                "SOURCE_CURSOR_START",
                format!("is not set, but `{CURSOR}` needs a value in the first run too"),
            );
        }
        let lookback = match (self.lookback(kind), zone) {
            (Lookback::Default, Some(Zone::Fixed(offset))) if offset != jiff::tz::Offset::UTC => {
                Lookback::Repeated
            }
            (lookback, _) => lookback,
        };
        let missing = self.missing();
        let order = self.order();
        let is_checked = self.is_checked();
        let window_seconds = self.window(kind, send.map(|send| send.kind), lookback);
        if self.is_clock() && lookback.seconds(Kind::Clock) < CLOCK_BACK_SECONDS {
            self.wrong(
                "SOURCE_LOOKBACK",
                "is less than 5m, but with SOURCE_CURSOR_KIND `clock` two clocks are compared, which may be 5 minutes apart",
            );
        }
        if self.get("SOURCE_CURSOR_PAGE").is_some() {
            self.wrong(
                "SOURCE_CURSOR_PAGE",
                "has no effect without SOURCE_CURSOR_KIND `token`",
            );
        }
        if pointer.is_none() && !self.is_clock() {
            return None;
        }
        Some(CursorSettings {
            pointer,
            to,
            end_to,
            kind,
            zone,
            send,
            start,
            lookback,
            missing,
            order,
            is_checked: is_checked && !self.is_clock(),
            window_seconds,
        })
    }

    /// What takes the cursor.
    pub(super) fn asking(&mut self) -> Asking {
        let in_url = self.url_holds_cursor();
        let in_body = self
            .get("SOURCE_BODY")
            .is_some_and(|body| match self.written_as() {
                BodyFormat::Json => body.contains(CURSOR),
                BodyFormat::Form => form_holds_cursor(body),
            });
        if self.get("SOURCE_CURSOR_TO").is_none() {
            return if in_url || in_body {
                Asking::Template
            } else {
                Asking::Nowhere
            };
        }
        if in_url {
            self.wrong(
                "SOURCE_CURSOR_TO",
                format!("is set, and `{CURSOR}` is in SOURCE_API_URL too: remove one of them"),
            );
        }
        match self.to("SOURCE_CURSOR_TO") {
            Some(to) => Asking::At(to),
            None => Asking::Nowhere,
        }
    }

    fn end_to(&mut self, to: &Asking) -> Option<To> {
        let end_to = self.to("SOURCE_CURSOR_END_TO")?;
        if matches!(to, Asking::At(to) if *to == end_to) {
            self.wrong(
                "SOURCE_CURSOR_END_TO",
                "is the same as SOURCE_CURSOR_TO: each needs its own place",
            );
        }
        Some(end_to)
    }

    /// Whether the cursor is the source's clock.
    pub(super) fn is_clock(&self) -> bool {
        self.get("SOURCE_CURSOR_KIND") == Some("clock")
    }

    /// No record has the clock: what is said of values in records has no effect.
    fn refuse_beside_clock(&mut self, to: &Asking) {
        if self.get("SOURCE_CURSOR").is_some() {
            self.wrong(
                "SOURCE_CURSOR",
                "has no effect with SOURCE_CURSOR_KIND `clock`, where records have no cursor: remove one of them",
            );
        }
        if *to == Asking::Nowhere && self.get("SOURCE_CURSOR_TO").is_none() {
            self.wrong(
                "SOURCE_CURSOR_TO",
                "is not set, but with SOURCE_CURSOR_KIND `clock` only the source can filter: name what takes the time from which it answers",
            );
        }
        for name in [
            "SOURCE_CURSOR_FORMAT",
            "SOURCE_CURSOR_MISSING",
            "SOURCE_CURSOR_ORDER",
            "SOURCE_CURSOR_CHECK",
        ] {
            if self.get(name).is_some() {
                self.wrong(
                    name,
                    "has no effect with SOURCE_CURSOR_KIND `clock`: remove it",
                );
            }
        }
    }

    /// What `If-Modified-Since` takes where nothing else is said: servers ignore what is no HTTP date.
    fn http_date(&mut self, kind: Option<Kind>, to: &Asking) -> Option<Form> {
        let is_since = matches!(to, Asking::At(To::Header(name)) if name == "if-modified-since");
        if !is_since || self.get("SOURCE_CURSOR_SEND").is_some() {
            return None;
        }
        if let Some(kind) = kind.filter(|kind| !kind.is_time()) {
            let kind = kind.word();
            self.wrong(
                "SOURCE_CURSOR_TO",
                format!("is `If-Modified-Since`, which takes a time, and SOURCE_CURSOR_KIND `{kind}` is none"),
            );
        }
        Some(Form::to_send(Kind::Rfc2822, None))
    }

    fn pattern(&mut self) -> Option<Kind> {
        const NAME: &str = "SOURCE_CURSOR_FORMAT";
        let text = self.get(NAME)?;
        if let Some(kind) = self.get("SOURCE_CURSOR_KIND") {
            self.wrong(
                NAME,
                format!(
                    "is a form of its own, and so is SOURCE_CURSOR_KIND {}: remove one of them",
                    quoted(kind)
                ),
            );
        }
        let pattern = self.kept(NAME, Pattern::new(text))?;
        let needs_zone = pattern.is_naive() && !pattern.is_of_days();
        if needs_zone && self.get("SOURCE_CURSOR_ZONE").is_none() {
            self.wrong(
                "SOURCE_CURSOR_ZONE",
                "is not set, but SOURCE_CURSOR_FORMAT has no offset (`%z`): give the time zone of the times, such as `UTC` or `Europe/Berlin`",
            );
        }
        Some(Kind::Pattern(pattern))
    }

    fn kind(&mut self) -> Option<Kind> {
        if self.get("SOURCE_CURSOR_FORMAT").is_some() && !self.is_clock() {
            return self.pattern();
        }
        let word = self.get("SOURCE_CURSOR_KIND")?;
        let kind = Kind::named(word);
        if kind.is_none() {
            let words = Kind::ALL.map(Kind::word);
            self.wrong("SOURCE_CURSOR_KIND", not_one_of(word, &words));
        }
        kind
    }

    fn zone(&mut self, kind: Option<Kind>) -> Option<Zone> {
        const NAME: &str = "SOURCE_CURSOR_ZONE";
        let text = self.get(NAME)?;
        let is_sent = matches!(self.get("SOURCE_CURSOR_SEND"), Some(send) if send.contains('%'));
        if let Some(kind) = kind.filter(|kind| !kind.may_be_naive() && !is_sent) {
            let kind = kind.word();
            self.wrong(
                NAME,
                format!("has no effect with SOURCE_CURSOR_KIND `{kind}`: remove it"),
            );
        }
        self.kept(NAME, Zone::read(text))
    }

    fn send(&mut self, kind: Option<Kind>, zone: Option<Zone>) -> Option<Form> {
        const NAME: &str = "SOURCE_CURSOR_SEND";
        let word = self.get(NAME)?;
        let is_sent = |kind: &Kind| kind.is_time() && *kind != Kind::Clock;
        let send = if word.contains('%') {
            let pattern = self.kept(NAME, Pattern::new(word));
            pattern.map(Kind::Pattern)
        } else {
            let times = Kind::ALL.into_iter().filter(is_sent);
            let words: Vec<&str> = times.map(Kind::word).collect();
            let send = Kind::named(word).filter(is_sent);
            if send.is_none() {
                let others = not_one_of(word, &words);
                self.wrong(
                    NAME,
                    format!("{others}, nor a pattern such as `%Y-%m-%d %H:%M:%S`"),
                );
            }
            send
        };
        match kind {
            _ if send.is_none() => {}
            Some(kind) if !kind.is_time() => {
                let kind = kind.word();
                self.wrong(
                    NAME,
                    format!(
                        "is a time, but SOURCE_CURSOR_KIND `{kind}` is not, and is sent unchanged: remove it"
                    ),
                );
            }
            None if self.get("SOURCE_CURSOR_KIND").is_none()
                && self.get("SOURCE_CURSOR_FORMAT").is_none() =>
            {
                self.wrong(
                    NAME,
                    "needs SOURCE_CURSOR_KIND: set it to the type of the cursor",
                );
            }
            _ => {}
        }
        send.map(|send| Form::to_send(send, zone))
    }

    fn start(&mut self, kind: Option<Kind>, zone: Option<Zone>) {
        const NAME: &str = "SOURCE_CURSOR_START";
        match (kind, self.get(NAME)) {
            (_, Some(start)) if start.len() > VALUE_BYTES_MAX => {
                self.wrong(NAME, format!("is longer than {VALUE_BYTES_MAX} bytes"));
            }
            (Some(kind), Some(start)) => {
                self.kept(NAME, Form { kind, zone }.given_text(start));
            }
            _ => {}
        }
    }

    fn lookback(&mut self, kind: Option<Kind>) -> Lookback {
        const NAME: &str = "SOURCE_LOOKBACK";
        let Some(text) = self.get(NAME) else {
            return Lookback::Default;
        };
        let fits = |lookback: Lookback| {
            kind.map_or(Ok(lookback), |kind| lookback.of(kind).map(|_| lookback))
        };
        let read = Lookback::parse(text).and_then(fits);
        self.kept(NAME, read).unwrap_or_default()
    }

    fn missing(&mut self) -> Missing {
        const NAME: &str = "SOURCE_CURSOR_MISSING";
        match self.get(NAME).unwrap_or("fail") {
            "fail" => Missing::Fail,
            "keep" => Missing::Keep,
            "drop" => Missing::Drop,
            other => {
                self.wrong(NAME, not_one_of(other, &["fail", "keep", "drop"]));
                Missing::Fail
            }
        }
    }

    fn is_checked(&mut self) -> bool {
        const NAME: &str = "SOURCE_CURSOR_CHECK";
        match self.get(NAME).unwrap_or("yes") {
            "yes" => true,
            "no" => false,
            other => {
                self.wrong(NAME, not_one_of(other, &["yes", "no"]));
                true
            }
        }
    }

    fn order(&mut self) -> Option<Order> {
        const NAME: &str = "SOURCE_CURSOR_ORDER";
        let word = self.get(NAME)?;
        let all = [Order::Ascending, Order::Descending];
        let order = all.into_iter().find(|order| order.word() == word);
        if order.is_none() {
            self.wrong(NAME, not_one_of(word, &all.map(Order::word)));
        }
        order
    }

    fn window(
        &mut self,
        kind: Option<Kind>,
        send: Option<Kind>,
        lookback: Lookback,
    ) -> Option<u64> {
        const NAME: &str = "SOURCE_WINDOW";
        let text = self.get(NAME)?;
        let read = self.kept(NAME, window_seconds(text));
        for needed in [
            "SOURCE_CURSOR_KIND",
            "SOURCE_CURSOR_START",
            "SOURCE_CURSOR_END_TO",
        ] {
            let is_formed = needed == "SOURCE_CURSOR_KIND" && kind.is_some();
            if self.get(needed).is_none() && !is_formed {
                self.wrong(NAME, format!("needs {needed}, which is not set"));
            }
        }
        let (seconds, kind) = (read?, kind?);
        if !kind.is_time() {
            let kind = kind.word();
            self.wrong(
                NAME,
                format!("is a time, but SOURCE_CURSOR_KIND `{kind}` is not: remove it"),
            );
            return None;
        }
        let back = lookback.seconds(kind);
        let least = if kind.is_of_days() || send.is_some_and(Kind::is_of_days) {
            // Both ends are days: the look-back takes whole ones, and one must be left.
            back.div_ceil(DAY_SECONDS) * DAY_SECONDS + DAY_SECONDS
        } else {
            back + 1
        };
        if seconds < least {
            self.wrong(
                NAME,
                format!(
                    "is not longer than the look-back, so no run would make progress: at least {least}s are needed (SOURCE_LOOKBACK is {back}s)"
                ),
            );
        }
        Some(seconds)
    }

    /// Whether the cursor is a token.
    pub(super) fn is_token(&self) -> bool {
        self.get("SOURCE_CURSOR_KIND") == Some("token")
    }

    /// The token; `None` where the cursor is another one, or there is none.
    pub(super) fn cursor_token(&mut self, records: Option<&RecordsFrom>) -> Option<TokenSettings> {
        if !self.is_token() || self.get("SOURCE_CURSOR").is_none() {
            return None;
        }
        let from = self.token_from(records);
        let to = self.asking();
        if to == Asking::Nowhere && self.get("SOURCE_CURSOR_TO").is_none() {
            self.wrong(
                "SOURCE_CURSOR_TO",
                format!("is not set, and no `{CURSOR}` is in SOURCE_API_URL: name the query parameter that takes the token, its place in SOURCE_BODY, or a header (`header:NAME`)"),
            );
        }
        for name in OF_VALUES {
            if self.get(name).is_some() {
                self.wrong(
                    name,
                    "has no effect with SOURCE_CURSOR_KIND `token`: remove it",
                );
            }
        }
        let start = self.get("SOURCE_CURSOR_START").map(str::to_owned);
        if start
            .as_ref()
            .is_some_and(|start| start.len() > TOKEN_BYTES_MAX)
        {
            self.wrong(
                "SOURCE_CURSOR_START",
                format!("is longer than {TOKEN_BYTES_MAX} bytes"),
            );
        }
        if to == Asking::Template && start.is_none() {
            self.wrong(
                "SOURCE_CURSOR_START",
                format!("is not set, but `{CURSOR}` needs a value in the first run too"),
            );
        }
        Some(TokenSettings {
            from: from?,
            page: self.token_page()?,
            to,
            start,
        })
    }

    fn token_page(&mut self) -> Option<TokenPage> {
        const NAME: &str = "SOURCE_CURSOR_PAGE";
        match self.get(NAME) {
            Some("first") => Some(TokenPage::First),
            Some("last") => Some(TokenPage::Last),
            Some(other) => {
                self.wrong(NAME, not_one_of(other, &["first", "last"]));
                None
            }
            None => {
                self.wrong(
                    NAME,
                    "is not set: give `first` or `last`, the page that has the token for the next run",
                );
                None
            }
        }
    }

    fn token_from(&mut self, records: Option<&RecordsFrom>) -> Option<PageFrom> {
        self.page_from("SOURCE_CURSOR", records)
    }
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    let rows = [
        (
            "SOURCE_CURSOR",
            "JSON Pointer in a record to its change time, sequence number or id. Without it, every run fetches everything.",
            "/updated_at",
        ),
        (
            "SOURCE_CURSOR_TO",
            "Where the cursor is sent: a query parameter, a JSON Pointer into SOURCE_BODY, `form:FIELD` or `header:NAME`. Or write `{cursor}` into the query of SOURCE_API_URL. Without both, older records are fetched and dropped.",
            "updated_since",
        ),
        (
            "SOURCE_CURSOR_KIND",
            "Type of the cursor: `rfc3339`, `date`, `epoch`, `epoch-ms`, `rfc2822` (as in HTTP), `ms-json` (`/Date(…)/`), `integer`, `text`, `clock` or `token`. Default: detected from the first value where that is certain, never as an epoch or a token; else the run fails. With `clock` records have no cursor: each run asks from the source's time at the last one. With `token` (an opaque sync token), SOURCE_CURSOR is a JSON Pointer into the page, `header:NAME` or a jq program.",
            "epoch-ms",
        ),
        (
            "SOURCE_CURSOR_FORMAT",
            "Form of times that no SOURCE_CURSOR_KIND reads, as a strftime pattern. Without an offset (`%z`) in it, SOURCE_CURSOR_ZONE is required, unless it names days only.",
            "%d/%m/%Y %H:%M:%S",
        ),
        (
            "SOURCE_CURSOR_ZONE",
            "Time zone of times without a UTC offset: an IANA name, `UTC` or a fixed offset. Without it, such a time fails the run. With a name, an hour that occurs twice where clocks go back is requested again from its first occurrence.",
            "Europe/Berlin",
        ),
        (
            "SOURCE_CURSOR_SEND",
            "Format in which a time cursor is sent, rounded down: a time kind of SOURCE_CURSOR_KIND, or a strftime pattern such as `%Y-%m-%d %H:%M:%S`. In UTC; a pattern without an offset in SOURCE_CURSOR_ZONE, if that is set. Default: as it was read.",
            "date",
        ),
        (
            "SOURCE_CURSOR_START",
            "Cursor of the first run.",
            "2026-01-01T00:00:00Z",
        ),
        (
            "SOURCE_LOOKBACK",
            "How far before the cursor each run asks, to catch records that were committed late: `90s`, `5m`, `2h`, `7d`, or a number for integer cursors. Default for times: 5m; 65m with a fixed offset other than UTC in SOURCE_CURSOR_ZONE, as an hour occurs twice where clocks go back.",
            "1h",
        ),
        (
            "SOURCE_CURSOR_MISSING",
            "What happens to a record whose cursor is missing or null: `fail` (default) ends the run, `keep` stages the record, `drop` leaves it out.",
            "keep",
        ),
        (
            "SOURCE_CURSOR_ORDER",
            "Sort order that the source promises: `asc` or `desc`. It is checked. With `asc` and SOURCE_CURSOR_TO a long load is published in portions, so that a failure keeps what came before it. With `desc` the fetch ends at the first older record.",
            "desc",
        ),
        (
            "SOURCE_CURSOR_CHECK",
            "What happens when an incremental run receives no record: `yes` (default) asks further back, one page each, until one arrives. If only a request without SOURCE_CURSOR_TO has records, or none has, the run fails. `no` accepts it.",
            "no",
        ),
        (
            "SOURCE_CURSOR_PAGE",
            "The page whose token is kept for the next run: `first` or `last`. Required with SOURCE_CURSOR_KIND `token`.",
            "last",
        ),
        (
            "SOURCE_WINDOW",
            "Maximum time range of one fetch, such as `12h` or `30d`. A long first load is fetched and published window by window. Needs SOURCE_CURSOR_KIND, SOURCE_CURSOR_START and SOURCE_CURSOR_END_TO.",
            "30d",
        ),
        (
            "SOURCE_CURSOR_END_TO",
            "Where the end of a window, or of a range given by `--from` and `--to`, is sent: a query parameter, a JSON Pointer into SOURCE_BODY, `form:FIELD` or `header:NAME`.",
            "updated_before",
        ),
    ];
    rows.into_iter()
        .map(|(name, doc, example)| Setting {
            shapes_records: [
                "SOURCE_CURSOR",
                "SOURCE_CURSOR_KIND",
                "SOURCE_CURSOR_FORMAT",
            ]
            .contains(&name),
            stages: match name {
                // The kind `clock` needs no SOURCE_CURSOR.
                "SOURCE_CURSOR" | "SOURCE_CURSOR_KIND" => Staging::CHANGES,
                "SOURCE_CURSOR_ORDER" | "SOURCE_WINDOW" => Staging::PORTIONS,
                _ => Staging::NOTHING,
            },
            ..optional(name, doc, "", example)
        })
        .collect()
}

#[cfg(test)]
mod tests;
