//! Parts of the memory budgets of the server on this thread.

use std::sync::Arc;

use crate::current;
use crate::memory::{Budget, Exhausted};

/// A part of a budget, returned when it is dropped.
#[derive(Debug, Default)]
pub struct Charge {
    budget: Option<Arc<Budget>>,
    bytes: usize,
}

impl Charge {
    /// A part of the budget for encoders; unlimited on a thread without a server.
    pub fn of_encoders(bytes: usize) -> Result<Self, Exhausted> {
        let budget = current::budgets().map(|budgets| budgets.encoders);
        let mut charge = Charge { budget, bytes: 0 };
        charge.take(bytes).map_err(|exhausted| charge.refused(exhausted))?;
        Ok(charge)
    }

    /// Raises the charge of a body to `wanted` bytes, or to `needed` bytes if the budget has no room for `wanted`. Returns the
    /// chosen number.
    pub fn raise_to(&mut self, wanted: usize, needed: usize) -> Result<usize, Exhausted> {
        if wanted <= self.bytes {
            return Ok(wanted);
        }
        if self.budget.is_none() {
            self.budget = current::budgets().map(|budgets| budgets.bodies);
        }
        for bytes in [wanted, needed] {
            if self.take(bytes.saturating_sub(self.bytes)).is_ok() {
                return Ok(bytes);
            }
        }
        Err(self.refused(Exhausted))
    }

    /// Counts that the budget has no room.
    fn refused(&self, exhausted: Exhausted) -> Exhausted {
        if let Some(budget) = &self.budget {
            current::record_limit_hit(budget.limit);
        }
        exhausted
    }

    fn take(&mut self, more: usize) -> Result<(), Exhausted> {
        if let Some(budget) = &self.budget {
            budget.take(more)?;
            self.bytes += more;
        }
        Ok(())
    }

    /// Returns the bytes beyond this number.
    pub fn lower_to(&mut self, bytes: usize) {
        let Some(budget) = &self.budget else { return };
        if bytes < self.bytes {
            budget.give_back(self.bytes - bytes);
            self.bytes = bytes;
        }
    }

    /// Returns whether it holds any bytes.
    pub fn is_some(&self) -> bool {
        self.bytes > 0
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.bytes);
        }
    }
}
