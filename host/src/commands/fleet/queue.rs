//! Which job is next: tenants take turns, and none has more than its share of the jobs that run. Jobs that run together are
//! one here, which may have several places.
//!
//! A tenant with a thousand jobs, or with jobs that never end, delays a neighbour by one turn and no more.

use std::collections::VecDeque;
use std::time::Duration;

/// The jobs that wait, by tenant. Jobs are known by their index.
pub struct Queue {
    tenants: Vec<Tenant>,
    /// Of each job, its tenant.
    tenant_of: Vec<usize>,
    /// Of each job that runs, its places.
    places: Vec<usize>,
    /// Whose turn it is.
    turn: usize,
    per_tenant: usize,
}

struct Tenant {
    name: String,
    /// Each with the time before which it does not start.
    waiting: VecDeque<(usize, Duration)>,
    running: usize,
}

impl Queue {
    /// The jobs of these tenants, in this order. Each may start once `not_before` it has passed; at most `per_tenant` of one
    /// tenant run at the same time.
    pub fn new<'t>(jobs: impl IntoIterator<Item = (&'t str, Duration)>, per_tenant: usize) -> Self {
        let mut queue = Self {
            tenants: Vec::new(),
            tenant_of: Vec::new(),
            places: Vec::new(),
            turn: 0,
            per_tenant,
        };
        for (job, (tenant, not_before)) in jobs.into_iter().enumerate() {
            let known = queue.tenants.iter().position(|known| known.name == tenant);
            let index = known.unwrap_or_else(|| {
                queue.tenants.push(Tenant {
                    name: tenant.to_owned(),
                    waiting: VecDeque::new(),
                    running: 0,
                });
                queue.tenants.len() - 1
            });
            queue.tenants[index].waiting.push_back((job, not_before));
            queue.tenant_of.push(index);
            queue.places.push(0);
        }
        queue
    }

    /// Takes the next job that may start now, and counts it as running.
    pub fn next(&mut self, now: Duration) -> Option<usize> {
        for step in 0..self.tenants.len() {
            let index = (self.turn + step) % self.tenants.len();
            let tenant = &mut self.tenants[index];
            if tenant.running >= self.per_tenant {
                continue;
            }
            let mut waiting = tenant.waiting.iter();
            if let Some(at) = waiting.position(|(_, not_before)| *not_before <= now) {
                let (job, _) = tenant.waiting.remove(at)?;
                tenant.running += 1;
                self.places[job] = 1;
                self.turn = index + 1;
                return Some(job);
            }
        }
        None
    }

    /// Gives a job that was taken so many places in all, or as many as are left of its tenant's share.
    pub fn widen(&mut self, job: usize, wanted: usize) -> usize {
        let tenant = &mut self.tenants[self.tenant_of[job]];
        let left = self.per_tenant.saturating_sub(tenant.running);
        let more = wanted.saturating_sub(self.places[job]).min(left);
        tenant.running += more;
        self.places[job] += more;
        self.places[job]
    }

    /// A job has ended that was taken before.
    pub fn ended(&mut self, job: usize) {
        let tenant = &mut self.tenants[self.tenant_of[job]];
        tenant.running = tenant.running.saturating_sub(self.places[job]);
        self.places[job] = 0;
    }

    /// When the next job may start, if none ends before; none where all wait for an end.
    pub fn next_at(&self) -> Option<Duration> {
        let may = |tenant: &&Tenant| tenant.running < self.per_tenant;
        let waiting = self.tenants.iter().filter(may);
        waiting
            .flat_map(|tenant| tenant.waiting.iter().map(|(_, not_before)| *not_before))
            .min()
    }

    /// Whether every job was taken.
    pub fn is_empty(&self) -> bool {
        self.tenants.iter().all(|tenant| tenant.waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn queue(tenants: &[&'static str], per_tenant: usize) -> Queue {
        Queue::new(tenants.iter().map(|tenant| (*tenant, NOW)), per_tenant)
    }

    #[test]
    fn tenants_take_turns() {
        let mut queue = queue(&["a", "a", "a", "b", "c", "c"], 10);

        let order: Vec<usize> = std::iter::from_fn(|| queue.next(NOW)).collect();

        assert_eq!(order, [0, 3, 4, 1, 5, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_tenant_with_its_share_waits_until_one_of_its_jobs_ends() {
        let mut queue = queue(&["a", "a", "b"], 1);
        assert_eq!(queue.next(NOW), Some(0));
        assert_eq!(queue.next(NOW), Some(2));
        assert_eq!(queue.next(NOW), None);
        queue.ended(2);
        assert_eq!(queue.next(NOW), None);

        queue.ended(0);

        assert_eq!(queue.next(NOW), Some(1));
    }

    #[test]
    fn jobs_that_run_together_have_no_more_places_than_their_tenants_share() {
        let mut queue = queue(&["a", "a", "a"], 4);
        assert_eq!((queue.next(NOW), queue.widen(0, 2)), (Some(0), 2));
        assert_eq!((queue.next(NOW), queue.widen(1, 9)), (Some(1), 2));
        assert_eq!(queue.next(NOW), None);

        queue.ended(1);

        assert_eq!((queue.next(NOW), queue.widen(2, 1)), (Some(2), 1));
    }

    #[test]
    fn a_job_waits_for_its_time_and_others_go_before_it() {
        let later = Duration::from_secs(5);
        let mut queue = Queue::new([("a", later), ("a", NOW), ("b", later * 2)], 10);

        assert_eq!(queue.next(NOW), Some(1));
        assert_eq!(queue.next(NOW), None);
        assert_eq!(queue.next_at(), Some(later));
        assert_eq!(queue.next(later), Some(0));
        assert_eq!(queue.next(later * 2), Some(2));
    }

    proptest! {
        #[test]
        fn every_job_is_taken_once_and_no_tenant_has_more_than_its_share(
            tenants in proptest::collection::vec(0_u8..5, 0..40),
            per_tenant in 1_usize..4,
            ends in proptest::collection::vec(any::<prop::sample::Index>(), 100),
        ) {
            let names: Vec<String> = tenants.iter().map(u8::to_string).collect();
            let mut queue = Queue::new(names.iter().map(|name| (name.as_str(), NOW)), per_tenant);
            let (mut running, mut taken) = (Vec::new(), Vec::new());
            let mut ends = ends.iter();

            while !queue.is_empty() {
                while let Some(job) = queue.next(NOW) {
                    running.push(job);
                    taken.push(job);
                }
                for tenant in &names {
                    let of_tenant = running.iter().filter(|job| names[**job] == *tenant).count();
                    prop_assert!(of_tenant <= per_tenant);
                }
                prop_assert!(!running.is_empty() || queue.is_empty(), "nobody ends, and nobody starts");
                if let Some(end) = ends.next().filter(|_| !running.is_empty()) {
                    queue.ended(running.remove(end.index(running.len())));
                }
            }

            taken.sort_unstable();
            prop_assert_eq!(taken, (0..names.len()).collect::<Vec<_>>());
        }
    }
}
