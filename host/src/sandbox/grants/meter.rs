//! The component's memory: its own, and what the host holds for it, together within `MEMORY_LIMIT`.
//!
//! What the host is about to hold is counted first. Nothing is counted back: when the sum is too large, the table of
//! handles is looked through ([`HeldBytes`]), and what is really there is what counts from then on. So a call costs an addition,
//! and no way of letting a thing go can be forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::component::ResourceTable;

use super::exceeded::Exceeded;
use super::held::HeldBytes;
use crate::limits::Limits;

/// Upper bound of the bytes of one element of a table.
const ELEMENT_BYTES: usize = 16;

/// The component's use of memory, and which limit it ran into.
pub struct Meter {
    bytes_max: usize,
    table_elements_max: usize,
    requests_pending_max: usize,
    /// Core instances, memories and tables, each.
    pub instances_max: usize,
    /// Text of one part of a request's head.
    pub request_head_bytes: usize,
    /// What a request that is under way may hold, and what its answer may bring.
    pub exchange_bytes: usize,
    answer_head_bytes: usize,
    bodies_open_max: usize,
    /// Memories and tables, as they are now.
    own_bytes: usize,
    /// The largest its memories and tables have been, together.
    pub memory_peak_bytes: usize,
    /// The most entries that one of its tables had.
    pub table_peak_elements: usize,
    /// Upper bound of what the host holds.
    held_bytes: usize,
    pending: Arc<AtomicUsize>,
    /// Why a memory or a table was refused to grow: what the component made of it may be any trap.
    pub exceeded: Option<Exceeded>,
}

impl Meter {
    /// Nothing used yet, of `bytes_max`.
    pub fn new(bytes_max: u64, limits: &Limits) -> Self {
        let request = limits.request_head_bytes as u64 + limits.request_body_bytes;
        let request = usize::try_from(request).unwrap_or(usize::MAX);
        Self {
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            table_elements_max: limits.table_elements,
            requests_pending_max: limits.requests_pending,
            instances_max: limits.instances,
            request_head_bytes: limits.request_head_bytes,
            exchange_bytes: request.saturating_add(limits.response_head_bytes),
            answer_head_bytes: limits.response_head_bytes,
            bodies_open_max: limits.requests_open,
            own_bytes: 0,
            memory_peak_bytes: 0,
            table_peak_elements: 0,
            held_bytes: 0,
            pending: Arc::default(),
            exceeded: None,
        }
    }

    /// Counts `bytes` that the host is about to hold for what is in `table`. `Err`: that would be too much.
    pub fn charge(&mut self, bytes: usize, table: &mut ResourceTable) -> Result<(), Exceeded> {
        self.held_bytes = self.held_bytes.saturating_add(bytes);
        if self.fits(0) {
            return Ok(());
        }
        let held = self.look_through(table);
        self.held_bytes = self.held_bytes.saturating_add(bytes);
        if self.fits(0) {
            return Ok(());
        }
        Err(self.out_of_memory(held))
    }

    /// Counts one request more that is under way. `Err`: there are too many.
    pub fn charge_exchange(&mut self, table: &mut ResourceTable) -> Result<(), Exceeded> {
        if self.pending() >= self.requests_pending_max {
            return Err(Exceeded::RequestsPending(self.requests_pending_max));
        }
        self.charge(self.exchange_bytes, table)
    }

    /// Where requests that are under way are counted.
    pub fn pending_requests(&self) -> Pending {
        Pending(Arc::clone(&self.pending))
    }

    /// Whether a memory may grow.
    ///
    /// Beyond the maximum of its own type it fails in any case, and wasmtime asks all the same: that is not counted.
    pub fn grow_memory(&mut self, growth: Growth, table: &mut ResourceTable) -> bool {
        !growth.is_beyond_its_maximum() && self.grow(growth.more(), table)
    }

    fn grow(&mut self, bytes: usize, table: &mut ResourceTable) -> bool {
        if !self.fits(bytes) {
            let held = self.look_through(table);
            if !self.fits(bytes) {
                self.exceeded = Some(self.out_of_memory(held));
                return false;
            }
        }
        self.own_bytes = self.own_bytes.saturating_add(bytes);
        self.memory_peak_bytes = self.memory_peak_bytes.max(self.own_bytes);
        true
    }

    /// Whether a table may grow, in elements; beyond its own maximum as with a memory.
    pub fn grow_table(&mut self, growth: Growth, table: &mut ResourceTable) -> bool {
        if growth.is_beyond_its_maximum() {
            return false;
        }
        if growth.desired > self.table_elements_max {
            self.exceeded = Some(Exceeded::TableElements(self.table_elements_max));
            return false;
        }
        let grows = self.grow(growth.more().saturating_mul(ELEMENT_BYTES), table);
        if grows {
            self.table_peak_elements = self.table_peak_elements.max(growth.desired);
        }
        grows
    }

    fn fits(&self, more: usize) -> bool {
        let together = self.own_bytes.saturating_add(self.held_bytes);
        together.saturating_add(more) <= self.bytes_max
    }

    fn look_through(&mut self, table: &mut ResourceTable) -> HeldBytes {
        let mut held = HeldBytes::in_table(table, self.answer_head_bytes, self.bodies_open_max);
        let under_way = self.pending().saturating_mul(self.exchange_bytes);
        held.requests = held.requests.saturating_add(under_way);
        self.held_bytes = held.bytes();
        held
    }

    fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    fn out_of_memory(&self, held: HeldBytes) -> Exceeded {
        Exceeded::Memory {
            bytes_max: self.bytes_max as u64,
            held,
        }
    }
}

/// What a memory or a table is asked to grow to: bytes, or elements.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    current: usize,
    desired: usize,
    maximum: Option<usize>,
}

impl Growth {
    /// `maximum` is that of its type, or the engine's.
    pub fn new(current: usize, desired: usize, maximum: Option<usize>) -> Self {
        Self {
            current,
            desired,
            maximum,
        }
    }

    fn more(self) -> usize {
        self.desired.saturating_sub(self.current)
    }

    fn is_beyond_its_maximum(self) -> bool {
        self.maximum.is_some_and(|maximum| self.desired > maximum)
    }
}

/// Counts requests that are under way.
#[derive(Clone)]
pub struct Pending(Arc<AtomicUsize>);

impl Pending {
    /// One more, until what this returns is dropped.
    pub fn one(&self) -> UnderWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.0))
    }
}

/// A request that is under way.
pub struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growth_that_fails_at_the_memorys_own_maximum_is_not_counted() {
        let (mut meter, mut table) = (Meter::new(100, &Limits::default()), ResourceTable::new());
        let growth = Growth::new;

        assert!(meter.grow_memory(growth(0, 60, Some(60)), &mut table));
        let refused =
            (0..1_000).filter(|_| meter.grow_memory(growth(60, 70, Some(60)), &mut table));
        assert_eq!(refused.count(), 0);
        assert!(!meter.grow_table(growth(0, 3, Some(2)), &mut table));

        assert_eq!(meter.memory_peak_bytes, 60);
        assert!(meter.exceeded.is_none());
        assert!(meter.grow_memory(growth(60, 100, None), &mut table));
        assert!(!meter.grow_memory(growth(100, 101, None), &mut table));
        assert!(meter.exceeded.is_some());
    }
}
