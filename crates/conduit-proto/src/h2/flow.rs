//! Flow control (RFC 9113, section 5.2).

/// The initial size of a window (RFC 9113, section 6.9.2).
pub(super) const DEFAULT_WINDOW: u32 = 65_535;
/// The maximum size of a window (RFC 9113, section 6.9.1).
pub(super) const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The window for DATA from the peer.
///
/// A received byte is outstanding until the reader has consumed it, then unannounced until a WINDOW_UPDATE. Half of the
/// window is announced at once, so that updates are few and the peer always has at least half of it, unless the reader
/// is slow. A peer that has used the whole window waits, so everything is announced once the reader has consumed all: over a
/// link with high latency the peer then sends a whole window in each round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReceiveWindow {
    size: u32,
    /// The maximum size of the window.
    max_size: u32,
    /// The number of bytes that the peer may send; negative after a setting that reduces the window (RFC 9113, section
    /// 6.9.2).
    available: i32,
    /// The number of received bytes that are not consumed.
    outstanding: u32,
    /// The peer has used the whole window since the reader had last consumed everything.
    is_used_up: bool,
}

impl ReceiveWindow {
    pub(super) fn new(size: u32, max_size: u32) -> Self {
        Self {
            size,
            max_size: max_size.clamp(size, MAX_WINDOW),
            available: size as i32,
            outstanding: 0,
            is_used_up: false,
        }
    }

    /// Counts received bytes; returns false if they exceed the window.
    #[must_use]
    pub(super) fn receive(&mut self, bytes: u32) -> bool {
        // DATA without bytes may end a stream whose window is negative.
        if bytes > 0 && i64::from(bytes) > i64::from(self.available) {
            return false;
        }
        self.available -= bytes as i32;
        self.outstanding += bytes;
        self.is_used_up |= self.is_exhausted();
        true
    }

    /// Returns whether the peer may send no byte now.
    pub(super) fn is_exhausted(&self) -> bool {
        self.available <= 0
    }

    /// Replaces the initial size `old` by a smaller one, `new`, which the peer has acknowledged (RFC 9113, section
    /// 6.9.2). Returns the increment to announce, if any: the peer may wait for it.
    #[must_use]
    pub(super) fn reduce(&mut self, old: u32, new: u32, max_size: u32) -> Option<u32> {
        let reduction = old.saturating_sub(new);
        self.size -= reduction;
        self.max_size = max_size.clamp(self.size, MAX_WINDOW);
        self.available -= reduction as i32;
        self.is_used_up |= self.is_exhausted();
        self.consume(0)
    }

    /// Counts consumed bytes. Returns the increment to announce, if any.
    ///
    /// A window whose reader consumes everything limits the throughput of a link with high latency, so its size
    /// doubles.
    #[must_use]
    pub(super) fn consume(&mut self, bytes: u32) -> Option<u32> {
        let bytes = bytes.min(self.outstanding);
        self.outstanding -= bytes;
        let is_all_due = self.outstanding == 0 && std::mem::take(&mut self.is_used_up);
        let mut increment = self.unannounced();
        if increment == 0 || !(is_all_due || increment >= self.size.div_ceil(2)) {
            return None;
        }
        if self.outstanding == 0 && self.size < self.max_size {
            self.size = self.size.saturating_mul(2).min(self.max_size);
            increment = self.unannounced();
        }
        self.available += increment as i32;
        Some(increment)
    }

    /// The number of consumed bytes that are not announced to the peer.
    fn unannounced(&self) -> u32 {
        let bytes = i64::from(self.size) - i64::from(self.available) - i64::from(self.outstanding);
        bytes.min(MAX_WINDOW.into()) as u32
    }

    /// The number of received bytes that are not consumed.
    pub(super) fn outstanding(&self) -> u32 {
        self.outstanding
    }
}

/// The window for DATA to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SendWindow {
    /// Negative after a setting that reduces the window (RFC 9113, section 6.9.2).
    available: i64,
}

impl SendWindow {
    pub(super) fn new(size: u32) -> Self {
        Self {
            available: i64::from(size),
        }
    }

    /// The number of bytes that may be sent.
    #[inline]
    pub(super) fn available(&self) -> usize {
        usize::try_from(self.available).unwrap_or(0)
    }

    /// Counts sent bytes.
    #[inline]
    pub(super) fn send(&mut self, bytes: usize) {
        self.available -= bytes as i64;
    }

    /// Changes the size; returns false if it exceeds the maximum.
    #[must_use]
    pub(super) fn grow(&mut self, change: i64) -> bool {
        self.available += change;
        self.available <= i64::from(MAX_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn update_is_due_at_half_of_the_window() {
        let mut window = ReceiveWindow::new(100, 100);
        assert!(window.receive(100));
        assert!(!window.receive(1));
        assert_eq!(window.consume(49), None);
        assert_eq!(window.consume(1), Some(50));
        assert!(window.receive(50));
        assert!(!window.receive(1));
        assert_eq!(window.outstanding(), 100);
        assert_eq!(window.consume(1000), Some(100), "no more than has arrived");
        assert_eq!(window.consume(1), None);
    }

    #[test]
    fn used_window_is_announced_as_a_whole() {
        let mut window = ReceiveWindow::new(100, 100);
        assert!(window.receive(100));
        assert_eq!(window.consume(60), Some(60));
        assert_eq!(window.consume(39), None, "a byte is outstanding");
        assert_eq!(window.consume(1), Some(40));
        assert!(window.receive(99));
        assert_eq!(window.consume(60), Some(60));
        assert_eq!(window.consume(39), None, "the peer has used less than the window");
    }

    #[test]
    fn window_grows_while_its_reader_consumes_everything() {
        let mut window = ReceiveWindow::new(100, 350);
        assert!(window.receive(60));
        assert_eq!(window.consume(50), Some(50), "ten bytes are outstanding");
        assert!(window.receive(60));
        assert_eq!(window.consume(70), Some(70 + 100));
        assert!(window.receive(200));
        assert_eq!(window.consume(200), Some(200 + 150));
        assert!(window.receive(350));
        assert!(!window.receive(1));
    }

    #[test]
    fn reduced_window_may_be_negative_and_is_announced() {
        // The peer has sent more than the new size, and waits.
        let mut window = ReceiveWindow::new(100, 100);
        assert!(window.receive(40));
        assert_eq!(window.consume(40), None);
        assert_eq!(window.reduce(100, 30, 30), Some(40));
        assert!(window.receive(30));
        assert!(!window.receive(1));
        assert_eq!(window.consume(30), Some(30), "the window does not grow");
        // The reader has not consumed it yet.
        let mut window = ReceiveWindow::new(100, 100);
        assert!(window.receive(40));
        assert_eq!(window.reduce(100, 30, 30), None);
        assert!(window.is_exhausted() && window.receive(0) && !window.receive(1));
        assert_eq!(window.consume(40), Some(40));
        assert!(window.receive(30));
    }

    #[test]
    fn send_window_may_be_negative() {
        let mut window = SendWindow::new(10);
        window.send(10);
        assert!(window.grow(-5));
        assert_eq!(window.available(), 0);
        assert!(window.grow(6));
        assert_eq!(window.available(), 1);
        assert!(!window.grow(i64::from(MAX_WINDOW)));
    }
}
