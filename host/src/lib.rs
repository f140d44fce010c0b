//! tidegate: data-sync jobs for cron. A sandboxed component fetches and transforms, this host checks and publishes.
//!
//! `Run::flow` is the table of contents: one direction, each step one folder. How a run is started and reported is `run`'s
//! business.

#![allow(
    missing_docs,
    reason = "a binary's own modules: a document stands where there is a contract, a unit or a limit to state"
)]

pub mod cli;
pub mod commands;
pub mod limits;
pub mod outcome;
pub mod process;
pub mod run;
pub mod sandbox;
pub mod settings;

mod component;
mod egress;
mod folder;
mod given_file;
mod hash;
mod log;
mod records;
mod secret;
mod sink;
mod staging;
mod units;
mod words;

pub use run::{run, run_and_tell};

use outcome::{Committed, Failure, Outcome};
#[cfg(test)]
use process::defect;
use process::stop::Stop;
use run::setup::Job;
use run::{Run, gates, portion};
use settings::host::HostPlan;
use settings::inputs::Inputs;
use settings::plan::Plan;
use sink::{Sink, Totals};
use staging::read;

impl Run<'_> {
    /// One run, step by step. Most components are done after one portion; each is committed by itself.
    ///
    /// `Err`: what readers see is as it was after the last portion, unless it says `committed: unknown`.
    async fn flow(&mut self, given: (Inputs, HostPlan), stop: &Stop) -> Result<Outcome, Failure> {
        let job = Job::with(&self.args.given, given, self.known, stop, self.log).await?;
        let plan = self.usable(&job, stop).await?;
        let host = &job.host;

        let check = || stop.check();
        self.keep_interval(&job, &check)?;
        let Some(mut sink) = self.open(plan, host, &check)? else {
            return Ok(Outcome::Skipped);
        };
        self.ping_start(&mut *sink);
        self.record_beginning(&mut *sink);
        let ended = self.publish(&job, plan, &mut *sink, stop);
        if let Err(failure) = &ended
            && (failure.outcome, failure.committed) == (Outcome::IoFailed, Committed::No)
            && !self.args.dry_run
        {
            // What is no longer to be kept may be what fills the disk.
            sink.retire();
        }
        let ended =
            ended.map_err(|failure| failure.shown(|text| self.log.hide(text), &host.limits));
        self.tell_drift();
        self.record_end(&mut *sink, &ended, &host.limits);
        ended
    }

    /// Portion by portion, each on top of the last commit of `sink`.
    fn publish(
        &mut self,
        job: &Job,
        plan: &Plan,
        sink: &mut dyn Sink,
        stop: &Stop,
    ) -> Result<Outcome, Failure> {
        let host = &job.host;
        self.refuse_changes(plan, sink.last())?;
        let egress = self.egress(job, plan)?;
        self.exchanges = egress.exchanges();

        loop {
            let staging = sink.run_folder()?;
            let (report, meanwhile) = self.fetch(job, plan, &egress, sink, &staging, stop)?;
            #[cfg(test)]
            defect::rehearsed("fetched");
            let more = report.more;

            let staged = read::open(staging.input(), portion::reported(&report), &host.limits)?
                .with_more(more);
            let (looked, begun) = meanwhile.held_against(&staged, sink.last(), host, stop)?;
            let last_records = sink.last().and_then(|last| gates::comparable(plan, last));
            let is_first = sink.last().is_none();
            let taken = sink.take(&staged, &staging, portion::extent(report.extent), begun)?;
            let totals = taken.totals();
            self.summary.set_aside(totals.set_aside);
            self.summary.count(&totals, last_records);
            let (shape, drifted) = self.drift_of(looked, &report, &totals, host);
            // Gates hold for a run, however many portions it has.
            let so_far = Totals {
                staged: self.summary.staged,
                removed: self.summary.deleted,
                rejected: self.summary.rejected,
                ..totals
            };
            let plausible = gates::check(
                &self.gates(plan, host, more, is_first),
                &so_far,
                self.summary.fetched,
                self.summary.last_records,
                taken.first_rejected(),
                taken.first_differing(),
                drifted,
            );
            if let Err(refusal) = plausible {
                return Err(taken.refused(refusal));
            }
            if self.args.dry_run {
                return Ok(self.leave_unpublished(totals, more));
            }

            let draft = self.draft(job, plan, report, shape);
            self.is_committing = true;
            let committed = taken.commit(draft);
            #[cfg(test)]
            defect::rehearsed("swapped");
            self.is_committing = false;
            self.published(committed?);
            sink.retire();
            if !more {
                return Ok(self.outcome());
            }
            stop.check()?;
            sink.go_on()?;
        }
    }
}
