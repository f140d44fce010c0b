//! The files of a published set, written together: the data file, and the records themselves where it does not hold them.

use std::fs::File;

use serde_json::json;

use crate::folder::Folder;
use crate::log::Log;
use crate::outcome::Failure;
use crate::settings::data_file::{RECORDS_FILE, name};
use crate::settings::host::OutputPlan;
use crate::sink::manifest::{CsvLayout, FileRecord};

use super::csv::CsvFile;
use super::{BARE, Framing, Output};
use crate::settings::data_file::Compression;

/// A set that is being written.
pub struct SetOutput {
    data_file: &'static str,
    table: Option<CsvFile>,
    /// The data file of a format that holds records, or the records beside a table.
    records: Option<Output>,
}

/// One of its files.
pub struct SetFile {
    pub name: &'static str,
    /// What the manifest says of it.
    pub record: FileRecord,
    /// It, still open as it was written; none when it is the last generation's.
    pub file: Option<File>,
}

impl SetOutput {
    /// New files in `folder`; a csv file is laid out by `csv`, and has the records beside it where it `keeps_records`.
    pub fn create(
        folder: &Folder,
        plan: &OutputPlan,
        keeps_records: bool,
        csv: Option<&CsvLayout>,
    ) -> Result<Self, Failure> {
        let data_file = name(plan.format, plan.compression);
        Self::create_as(data_file, folder, plan, keeps_records, csv)
    }

    /// The same with another name for the data file.
    pub fn create_as(
        data_file: &'static str,
        folder: &Folder,
        plan: &OutputPlan,
        keeps_records: bool,
        csv: Option<&CsvLayout>,
    ) -> Result<Self, Failure> {
        let (compression, mode) = (plan.compression, plan.file_mode);
        let framing = Framing::of(plan.format);
        let Some(layout) = csv else {
            let records = Output::create(folder, data_file, framing, compression, mode)?;
            return Ok(Self {
                data_file,
                table: None,
                records: Some(records),
            });
        };
        let output = Output::create(folder, data_file, BARE, compression, mode)?;
        let records = keeps_records
            .then(|| Output::create(folder, RECORDS_FILE, framing, Compression::None, mode));
        Ok(Self {
            data_file,
            table: Some(CsvFile::new(output, layout)?),
            records: records.transpose()?,
        })
    }

    /// Records written so far.
    pub fn records(&self) -> u64 {
        let beside = || self.records.as_ref().map_or(0, Output::records);
        self.table.as_ref().map_or_else(beside, CsvFile::records)
    }

    /// Adds `records` records, already joined by the separator of the format.
    pub fn write(&mut self, joined: &[u8], records: u64) -> Result<(), Failure> {
        if records == 0 {
            return Ok(());
        }
        if let Some(output) = &mut self.records {
            output.write(joined, records)?;
        }
        self.table
            .as_mut()
            .map_or(Ok(()), |table| table.write(joined))
    }

    /// Says where half of a surrogate pair could not be kept: a csv file is UTF-8, which has no character for one.
    pub fn tell(&self, log: &Log) {
        let texts = self.table.as_ref().map_or(0, CsvFile::replaced);
        if texts > 0 {
            let told = json!({ "texts": texts });
            log.warn(
                "half of a surrogate pair replaced by U+FFFD in csv, repair the texts at the source or in TRANSFORM",
                told,
            );
        }
    }

    /// Forgets everything written so far.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.records.as_mut().map_or(Ok(()), Output::restart)?;
        self.table.as_mut().map_or(Ok(()), CsvFile::restart)
    }

    /// Ends the files, the data file first. They are not yet synced.
    pub fn finish(self) -> Result<Vec<SetFile>, Failure> {
        let records_name = match &self.table {
            Some(_) => RECORDS_FILE,
            None => self.data_file,
        };
        let table = self.table.map(CsvFile::finish).transpose()?;
        let records = self.records.map(Output::finish).transpose()?;
        let named = table.map(|made| (self.data_file, made));
        let files = named
            .into_iter()
            .chain(records.map(|made| (records_name, made)));
        Ok(files
            .map(|(name, (file, record))| SetFile {
                name,
                record,
                file: Some(file),
            })
            .collect())
    }
}
