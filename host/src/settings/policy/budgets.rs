//! What a tenant's run may use up in all: limits for which there is no setting. No job can ask for more, so none is refused; the
//! run ends where one is used up.

use std::time::Duration;

use toml_edit::Item;

use super::apply::Verdict;
use crate::limits::Limits;
use crate::units;

/// The budgets of a tenant; one that the policy does not name is the host's own limit.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Budgets {
    requests: Option<u64>,
    requests_per_second: Option<f64>,
    connections: Option<u64>,
    response_bytes: Option<u64>,
    staged_bytes: Option<u64>,
}

/// Their names in the policy.
pub const NAMES: [&str; 5] = [
    "requests",
    PER_SECOND,
    "connections",
    "response_bytes",
    "staged_bytes",
];
const PER_SECOND: &str = "requests_per_second";

impl Budgets {
    /// Takes one. `Err` says what it takes; a name that there is not is the caller's to refuse.
    pub fn take(&mut self, name: &str, item: &Item) -> Result<(), String> {
        if name == PER_SECOND {
            let whole = item
                .as_integer()
                .and_then(|whole| i32::try_from(whole).ok());
            let rate = item.as_float().or(whole.map(f64::from));
            let rate = rate.filter(|rate| (0.001..=1000.0).contains(rate));
            self.requests_per_second = Some(rate.ok_or("takes a number from 0.001 to 1000")?);
            return Ok(());
        }
        let is_size = name.ends_with("_bytes");
        let takes = if is_size {
            "takes a size from 1, such as \"1GiB\""
        } else {
            "takes a whole number from 1"
        };
        let number = item
            .as_integer()
            .and_then(|number| u64::try_from(number).ok());
        let size = item.as_str().filter(|_| is_size);
        let most = size.map_or(number, |text| units::bytes(text).ok());
        let most = most.filter(|most| *most > 0).ok_or(takes)?;
        *match name {
            "requests" => &mut self.requests,
            "connections" => &mut self.connections,
            "response_bytes" => &mut self.response_bytes,
            _ => &mut self.staged_bytes,
        } = Some(most);
        Ok(())
    }

    /// Lowers the limits of a run to these; none is raised.
    pub fn lower(&self, limits: &mut Limits, out: &mut Vec<Verdict>) {
        if let Some(rate) = self.requests_per_second {
            limits.request_pause = Duration::from_secs_f64(1.0 / rate);
            out.push(Verdict {
                setting: format!("budgets.{PER_SECOND}"),
                asked: "no limit".to_owned(),
                allowed: format!("at most {rate}"),
                got: Some(rate.to_string()),
            });
        }
        let mut lower = |name: &str, limit: &mut u64, budget: Option<u64>| {
            if let Some(budget) = budget {
                let got = budget.min(*limit);
                out.push(Verdict {
                    setting: format!("budgets.{name}"),
                    asked: limit.to_string(),
                    allowed: format!("at most {budget}"),
                    got: Some(got.to_string()),
                });
                *limit = got;
            }
        };
        lower("requests", &mut limits.requests, self.requests);
        let mut open = limits.requests_open as u64;
        lower("connections", &mut open, self.connections);
        limits.requests_open = usize::try_from(open).unwrap_or(limits.requests_open);
        lower(
            "response_bytes",
            &mut limits.run_decoded_bytes,
            self.response_bytes,
        );
        lower("staged_bytes", &mut limits.staged_bytes, self.staged_bytes);
    }
}
