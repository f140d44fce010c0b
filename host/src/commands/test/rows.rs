//! The rows of the scripted API, and the pages that are made of them.

use jiff::Timestamp;

/// When the first row was changed: 2025-01-01T00:00:00Z, in the past on every clock.
pub const FIRST: i64 = 1_735_689_600;
/// Between the changes of two rows.
pub const STEP: i64 = 600;
/// How much earlier than the newest row the late one was changed.
pub const LATE: i64 = 60;
/// Rows of the first run.
pub const ROWS: u64 = 12;
/// Rows on a page.
pub const PAGE_ROWS: usize = 4;

/// One row of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub id: u64,
    /// What was written into it: 1 at first.
    pub version: u32,
    /// When it was changed, in seconds since 1970.
    pub updated: i64,
    pub deleted: bool,
}

impl Row {
    /// The row as it is at first.
    pub const fn new(id: u64, updated: i64) -> Self {
        Self {
            id,
            version: 1,
            updated,
            deleted: false,
        }
    }

    /// A text with what is easily broken: several bytes a character, beyond the 16 bits of UTF-16, and what JSON escapes.
    pub fn name(&self) -> String {
        format!(
            "row {}.{}: Zoë 漢字 😀 \"a\"\\b\tc\nd\u{2028}e",
            self.id, self.version
        )
    }

    /// The digits of a number that no double has: an odd one above 2^53, of every third row above 2^64.
    pub fn amount(&self) -> String {
        let id = u128::from(self.id);
        let amount = if id.is_multiple_of(3) {
            (1 << 64) + 1 + id * 2_000_000_000_000
        } else {
            (1 << 53) + 1 + id * 2_000_000
        };
        amount.to_string()
    }

    /// The row as JSON, with `gap` before each member.
    fn json(&self, gap: &str) -> String {
        let mut name = serde_json::to_string(&self.name()).unwrap_or_default();
        if self.id % 2 == 1 {
            name = name.replace('😀', "\\ud83d\\ude00");
        }
        let time = rfc3339(self.updated);
        let members = [
            format!("\"id\":{}", self.id),
            format!("\"name\":{name}"),
            format!("\"amount\":{}", self.amount()),
            format!("\"updated\":\"{time}\""),
            format!("\"updated_epoch\":{}", self.updated),
            format!("\"deleted\":{}", self.deleted),
        ];
        let separator = format!(",{gap}");
        format!("{{{gap}{}{gap}}}", members.join(&separator))
    }
}

/// As many rows as that, a step apart.
pub fn rows(count: u64) -> Vec<Row> {
    rows_every(count, STEP)
}

/// As many rows as that, so many seconds apart.
pub fn rows_every(count: u64, seconds: i64) -> Vec<Row> {
    let times = (0..).map(|row| FIRST + seconds * row);
    let rows = (1..=count).zip(times);
    rows.map(|(id, updated)| Row::new(id, updated)).collect()
}

/// A time as the API writes it.
pub fn rfc3339(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    time.to_string()
}

/// A time as HTTP writes it.
pub fn http_date(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// What `since` or `until` of a request asks for. `None`: it is no time.
pub fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let time: Timestamp = text.parse().ok()?;
    Some(time.as_second())
}

/// A page of these rows: bare, or in an object with the URL of the next one.
pub fn page(rows: &[&Row], next: Option<&str>, is_bare: bool, is_pretty: bool) -> String {
    let gap = if is_pretty { "\r\n    " } else { "" };
    let rows: Vec<String> = rows.iter().map(|row| row.json(gap)).collect();
    let rows = rows.join(&format!(",{gap}"));
    if is_bare {
        return format!("[{gap}{rows}{gap}]");
    }
    let next = serde_json::to_string(&next).unwrap_or_default();
    format!("{{{gap}\"items\":[{gap}{rows}{gap}],{gap}\"next\":{next}{gap}}}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_page_is_json_with_names_and_digits_as_they_are() {
        let rows = rows(ROWS);
        let shown: Vec<&Row> = rows.iter().collect();

        for is_pretty in [false, true] {
            let text = page(&shown, Some("http://a/?page=2"), false, is_pretty);
            let read: Value = serde_json::from_str(&text).unwrap();

            assert_eq!(read["next"], "http://a/?page=2");
            for (row, read) in rows.iter().zip(read["items"].as_array().unwrap()) {
                assert_eq!(read["name"], row.name());
                assert!(text.contains(&row.amount()));
            }
        }
    }

    #[test]
    fn no_double_has_these_numbers() {
        for row in rows(1_000) {
            let exact: u128 = row.amount().parse().unwrap();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a whole number that is not negative"
            )]
            let double = row.amount().parse::<f64>().unwrap() as u128;

            assert_ne!(exact, double, "{}", row.id);
        }
    }

    #[test]
    fn a_date_is_as_http_has_it() {
        assert_eq!(http_date(FIRST), "Wed, 01 Jan 2025 00:00:00 GMT");
    }

    #[test]
    fn a_cursor_is_a_time_of_rfc_3339_or_seconds() {
        assert_eq!(time("2025-01-01T00:00:00Z"), Some(FIRST));
        assert_eq!(time("2025-01-01T01:00:00+01:00"), Some(FIRST));
        assert_eq!(time("1735689600"), Some(FIRST));
        assert_eq!(time("tomorrow"), None);
    }
}
