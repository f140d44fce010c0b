//! One portion: what its commit records, and what the run makes of it.

use serde_json::json;

use crate::component::{self, Report};
use crate::outcome::Outcome;
use crate::records::shape::Shape;
use crate::run::Run;
use crate::run::setup::Job;
use crate::settings::plan::Plan;
use crate::sink::Commit;
use crate::sink::manifest::{Component, Window};
use crate::sink::{Draft, Extent, Totals};
use crate::staging::read;

impl Run<'_> {
    /// What a commit records besides the data.
    pub(crate) fn draft(
        &self,
        job: &Job,
        plan: &Plan,
        report: Report,
        shape: Option<Shape>,
    ) -> Draft {
        Draft {
            job: self.summary.job.clone(),
            component: Component {
                name: job.description.name.clone(),
                sha256: job.connector.sha256.clone(),
            },
            started: self.summary.started.clone(),
            fetched: report.fetched,
            pages: report.pages,
            window: self.args.range().map(|(start, end)| Window {
                start: start.to_owned(),
                end: end.to_owned(),
            }),
            cursor: report.cursor,
            state: report.state,
            shape,
            settings: plan.fingerprint.clone(),
        }
    }

    /// Takes the commit of a portion over into the summary.
    pub(crate) fn published(&mut self, commit: Commit) {
        self.summary.records = commit.records;
        self.summary.generation = Some(commit.generation);
        self.summary.portions += 1;
        self.summary.published |= !commit.unchanged;
    }

    /// How a run ended whose portions are all published.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.summary.published {
            Outcome::Published
        } else {
            Outcome::NothingNew
        }
    }

    /// Says what a commit would have published.
    pub(crate) fn leave_unpublished(&mut self, totals: Totals, more: bool) -> Outcome {
        self.log.info(
            "dry run, nothing published",
            json!({ "records": totals.records, "unchanged": totals.unchanged, "more_portions": more }),
        );
        self.summary.records = totals.records;
        self.summary.published = !totals.unchanged;
        Outcome::DryRun
    }
}

/// What the component said it staged, as the sink has it.
pub fn extent(extent: component::Extent) -> Extent {
    match extent {
        component::Extent::Everything => Extent::Everything,
        component::Extent::Changes => Extent::Changes,
        component::Extent::NothingNew => Extent::NothingNew,
    }
}

/// The lines that the component says it staged.
pub fn reported(report: &Report) -> read::Counts {
    read::Counts {
        staged: report.staged,
        deleted: report.deleted,
        rejected: report.rejected,
    }
}
