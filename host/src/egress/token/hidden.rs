//! From whom tokens are hidden: the logs and the echoes of all runs that use them, whenever each begins.

use std::sync::{Arc, Mutex, PoisonError};

use super::LEARNED_BYTES_MIN;
use crate::egress::echo::Echoes;
use crate::log::Log;
use crate::secret::{Learned, Secret};

/// What is secret, and who has to know it.
#[derive(Default)]
pub(super) struct Hidden(Mutex<Known>);

#[derive(Default)]
struct Known {
    secrets: Vec<(Secret, Learned)>,
    from: Vec<(Arc<Echoes>, Log)>,
}

impl Hidden {
    /// Hides all of it from these, too, whose number it gives.
    pub(super) fn from(&self, echoes: &Arc<Echoes>, log: &Log) -> usize {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (secret, learned) in &known.secrets {
            hide(secret, *learned, (echoes, log));
        }
        known.from.push((echoes.clone(), log.clone()));
        known.from.len()
    }

    /// From here on nobody sees this one.
    pub(super) fn learn(&self, secret: &Secret, learned: Learned) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (echoes, log) in &known.from {
            hide(secret, learned, (echoes, log));
        }
        known.secrets.push((secret.clone(), learned));
    }
}

fn hide(secret: &Secret, learned: Learned, (echoes, log): (&Echoes, &Log)) {
    echoes.learn(secret, learned);
    // A shorter token is no secret: it would only let the token endpoint erase a word of its choice from the log.
    if learned != Learned::Token || secret.expose().len() >= LEARNED_BYTES_MIN {
        log.learn(secret, learned);
    }
}
