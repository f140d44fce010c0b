//! How the csv file of a new generation is laid out: by OUTPUT_COLUMNS, or by the members of the records.
//!
//! The header comes first and has to know every record. A column that was there stays in its place, so what is new can only
//! be among the staged records: they are read once more for their members. The last set is read for its own only when it
//! was laid out in another way.

use crate::outcome::Failure;
use crate::records::changes::{check_at, line_failure};
use crate::settings::data_file::OutputFormat;
use crate::settings::plan::WriteMode;
use crate::sink::builds_on::BuildsOn;
use crate::sink::files::generation::Generation;
use crate::sink::files::published_set::{LastRecords, damaged};
use crate::sink::files::write::MemberNames;
use crate::sink::manifest::CsvLayout;
use crate::staging::read::{RECORDS, Staged, object};

use super::Next;
use super::data::records_of;

impl Next<'_> {
    /// The layout; none where no csv file is made.
    pub(super) fn layout(
        &self,
        staged: &Staged,
        base: BuildsOn,
    ) -> Result<Option<CsvLayout>, Failure> {
        let (plan, mode) = (self.files.output, self.files.mode);
        if plan.format != OutputFormat::Csv {
            return Ok(None);
        }
        let form = plan.csv;
        let laid_out = |columns, pointers| CsvLayout {
            columns,
            pointers,
            formulas: form.formulas.word().to_owned(),
            delimiter: form.delimiter.word().to_owned(),
            has_mark: form.has_mark,
        };
        if !plan.columns.is_empty() {
            let columns = plan.columns.iter();
            return Ok(Some(laid_out(
                columns.clone().map(|column| column.name.clone()).collect(),
                Some(columns.map(|column| column.pointer.clone()).collect()),
            )));
        }
        let last = self.files.last.as_ref();
        let known = last.and_then(|last| last.manifest.csv.as_ref());
        let set = self
            .files
            .last_set()
            .filter(|_| base == BuildsOn::LastCommit);
        let mut names = match (known.filter(|known| known.pointers.is_none()), set) {
            (Some(known), _) => MemberNames::of(&known.columns),
            // A segment has nothing of what was there before.
            (None, Some(set)) if mode != WriteMode::Append => self.members_of(set.generation)?,
            (None, _) => MemberNames::default(),
        };
        self.see_staged(staged, &mut names)?;
        Ok(Some(laid_out(names.into_names(), None)))
    }

    /// The members of the last set's records.
    fn members_of(&self, last: &Generation) -> Result<MemberNames, Failure> {
        let context = &self.files.context;
        let name = records_of(last)?;
        let file = last.open(name)?;
        let mut records = LastRecords::new(last, name, &file, context.limits)?;
        let mut names = MemberNames::default();
        while let Some(block) = records.next_block()? {
            (context.check)()?;
            for index in 0..block.len() {
                let text =
                    std::str::from_utf8(block.record(index)).map_err(|error| error.to_string());
                text.and_then(|text| names.see(text, context.limits))
                    .map_err(|what| damaged(last, name, &what))?;
                names.fit(context.limits)?;
            }
        }
        Ok(names)
    }

    fn see_staged(&self, staged: &Staged, names: &mut MemberNames) -> Result<(), Failure> {
        let context = &self.files.context;
        let mut lines = staged.records();
        loop {
            let number = lines.number() + 1;
            let line = lines
                .next_line()
                .map_err(|error| line_failure(RECORDS, error))?;
            let Some(line) = line else {
                return Ok(());
            };
            check_at(context.check, number, line.len())?;
            let text = object(RECORDS, number, line)?;
            names.see(text, context.limits).map_err(|what| {
                Failure::broken(format!(
                    "line {number} of `{RECORDS}` is not one JSON object: {what}"
                ))
            })?;
            names.fit(context.limits)?;
        }
    }
}
