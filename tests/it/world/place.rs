//! Where the data of a job goes. What must hold wherever that is, is tested at every place by one parameter.

use super::Job;
use super::postgres::server;

/// Where the data of a job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `latest.json`.
    Json,
    /// `latest.ndjson`.
    Ndjson,
    /// `latest.ndjson.gz`.
    Gzip,
    /// `latest.csv`, and under upsert the records beside it.
    Csv,
    /// A table in `data.db` in OUTPUT_DIR.
    Sqlite,
    /// A table in a database of its own.
    Postgres,
}

/// Makes tests of functions that take a [`Place`]: of each at every place, or at those that are named.
macro_rules! at {
    ($($test:ident at $($place:ident)+;)+) => {
        $(mod $test {
            $(
                #[test]
                fn $place() {
                    super::$test($crate::world::Place::named(stringify!($place)));
                }
            )+
        })+
    };
    (every place: $($test:ident)+) => {
        $crate::world::place::at! { $($test at json gzip csv sqlite postgres;)+ }
    };
}
pub(crate) use at;

impl Place {
    /// The place that tests call so.
    pub fn named(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            "ndjson" => Self::Ndjson,
            "gzip" => Self::Gzip,
            "csv" => Self::Csv,
            "sqlite" => Self::Sqlite,
            "postgres" => Self::Postgres,
            _ => panic!("no place is called {name}"),
        }
    }

    /// Whether it is a table.
    pub const fn is_table(self) -> bool {
        matches!(self, Self::Sqlite | Self::Postgres)
    }

    /// Whether a record is kept as the text that it came as, and not as what that says.
    pub const fn keeps_text(self) -> bool {
        !matches!(self, Self::Postgres)
    }

    /// What readers open in OUTPUT_DIR; none of a table.
    pub const fn latest(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("latest.json"),
            Self::Ndjson => Some("latest.ndjson"),
            Self::Gzip => Some("latest.ndjson.gz"),
            Self::Csv => Some("latest.csv"),
            Self::Sqlite | Self::Postgres => None,
        }
    }

    /// What a run leaves in OUTPUT_DIR, but for `segments`.
    pub fn left(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::Sqlite => &["data.db"],
            Self::Postgres => &[],
            Self::Json | Self::Ndjson | Self::Gzip | Self::Csv => &["current", "generations"],
        };
        let mut left = [&[".lock", "last-run.json", "runs.ndjson"], own].concat();
        left.sort_unstable();
        left
    }
}

impl Job {
    /// With its data going there.
    pub fn at(self, place: Place) -> Self {
        let job = match place {
            Place::Json => self,
            Place::Ndjson => self.set("OUTPUT_FORMAT", "ndjson"),
            Place::Gzip => self
                .set("OUTPUT_FORMAT", "ndjson")
                .set("OUTPUT_COMPRESSION", "gzip"),
            Place::Csv => self.set("OUTPUT_FORMAT", "csv"),
            Place::Sqlite => self.sqlite(),
            Place::Postgres => self.postgres(server().database()),
        };
        Self { place, ..job }
    }
}
