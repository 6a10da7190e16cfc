//! Memory that is used again: a training step takes the same sizes as the one before it.

use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty, Bytes};
use std::collections::BTreeMap;
use std::mem::{MaybeUninit, size_of};
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// One cache line, so that a buffer begins at one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// Sizes of buffers between a power of two and the next one, so that batches of nearly one size take the same ones.
const SIZES: usize = 16;

/// Lines of a buffer of `len` numbers.
fn lines(len: usize) -> usize {
    let lines = len.div_ceil(LINE);
    lines.next_multiple_of((lines.next_power_of_two() / 2 / SIZES).max(1))
}

// SAFETY: an array of f32, 64 bytes long and aligned to 64, has no padding and any bits are valid.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for Line {}

/// Idle buffers, by their number of lines.
#[derive(Default)]
struct Pool {
    idle: BTreeMap<usize, Vec<Vec<Line>>>,
    idle_lines: usize,
    used_lines: usize,
    most_used_lines: usize,
}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

fn pool() -> MutexGuard<'static, Pool> {
    // Every change of the pool is complete before it could panic.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// An idle buffer of so many `lines`, or of a quarter more: batches of text take other sizes in each step, and
    /// would else keep buffers of every one of them.
    fn take(&mut self, lines: usize) -> Option<Vec<Line>> {
        let mut fitting = self.idle.range_mut(lines..=lines + lines / 4);
        let buffer = fitting.find_map(|(_, buffers)| buffers.pop());
        let taken = buffer.as_ref().map_or(lines, Vec::len);
        self.idle_lines -= if buffer.is_some() { taken } else { 0 };
        self.used_lines += taken;
        self.most_used_lines = self.most_used_lines.max(self.used_lines);
        buffer
    }

    /// Keeps `buffer`, or hands back those to be freed: idle memory never exceeds twice what was once
    /// in use together. (All buffers of a step are more than those in use at any one time.)
    fn give(&mut self, buffer: Vec<Line>) -> Vec<Vec<Line>> {
        let lines = buffer.len();
        self.used_lines -= lines;
        if self.idle_lines + lines <= 2 * self.most_used_lines {
            self.idle_lines += lines;
            self.idle.entry(lines).or_default().push(buffer);
            return Vec::new();
        }
        // What is idle is of sizes of the past: begin anew.
        self.idle_lines = 0;
        self.most_used_lines = self.used_lines + lines;
        let mut freed: Vec<_> = std::mem::take(&mut self.idle).into_values().flatten().collect();
        freed.push(buffer);
        freed
    }
}

/// Fills what is idle with NaN, which shows up where it is read.
#[cfg(test)]
pub(crate) fn spoil_idle() {
    pool().idle.values_mut().flatten().flatten().for_each(|line| line.0.fill(f32::NAN));
}

/// f32 numbers in memory from the pool, to which it goes back. A fresh buffer holds
/// earlier numbers: its user writes all of it.
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` numbers of any value.
    pub(crate) fn take(len: usize) -> Self {
        let count = lines(len);
        let pooled = pool().take(count);
        let lines = pooled.unwrap_or_else(|| bytemuck::zeroed_vec(count));
        Self { lines, len }
    }

    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut buffer = Self::take(len);
        buffer.fill(0.0);
        buffer
    }

    /// The memory as a tensor's.
    pub(crate) fn into_bytes(self) -> Bytes {
        let len = self.len * size_of::<f32>();
        // SAFETY: the first `len` bytes are initialized, as all of a buffer is.
        unsafe { Bytes::from_controller(Box::new(Controller(self)), len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let freed = pool().give(std::mem::take(&mut self.lines));
        drop(freed);
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

/// Gives the memory back when the tensor goes.
struct Controller(Buffer);

impl AllocationController for Controller {
    fn alloc_align(&self) -> usize {
        align_of::<Line>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(
        &mut self,
        _: AccessPolicy,
    ) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.0.lines);
        // SAFETY: the caller promises to write initialized bytes only.
        Ok(unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes: &[u8] = bytemuck::cast_slice(&self.0.lines);
        // SAFETY: initialized bytes may be seen as bytes that may not be.
        Ok(unsafe { &*(std::ptr::from_ref(bytes) as *const [MaybeUninit<u8>]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back() {
        let mut pool = Pool::default();
        assert!(pool.take(3).is_none());
        assert!(pool.give(bytemuck::zeroed_vec(3)).is_empty());
        assert!(pool.take(2).is_none());
        assert_eq!(pool.take(3).map(|buffer| buffer.len()), Some(3));
        assert_eq!((pool.idle_lines, pool.used_lines), (0, 5));
    }

    #[test]
    fn a_buffer_that_is_a_little_longer_will_do() {
        let mut pool = Pool::default();
        assert!(pool.take(100).is_none());
        assert!(pool.give(bytemuck::zeroed_vec(100)).is_empty());
        for lines in [79, 101] {
            assert!(pool.take(lines).is_none());
            pool.used_lines -= lines;
        }
        assert_eq!(pool.take(80).map(|buffer| buffer.len()), Some(100));
        assert_eq!((pool.idle_lines, pool.used_lines), (0, 100));
        assert!(pool.take(80).is_none());
    }

    #[test]
    fn idle_memory_is_bounded() {
        let mut pool = Pool::default();
        for lines in 1..100 {
            assert!(pool.take(lines).is_none());
            let freed: usize = pool.give(bytemuck::zeroed_vec(lines)).iter().map(Vec::len).sum();
            assert!(pool.idle_lines <= 2 * pool.most_used_lines);
            assert!(pool.idle_lines + freed >= lines);
        }
    }

    #[test]
    fn sizes_are_few() {
        for len in (0..3_000_usize).chain((3_000..3_000_000).step_by(997)) {
            let exact = len.div_ceil(LINE);
            assert!(lines(len) >= exact && lines(len) - exact <= exact / SIZES, "{len}");
        }
        let mut all: Vec<usize> = (1 << 20..1 << 21).map(lines).collect();
        all.dedup();
        assert_eq!(all.len(), SIZES + 1);
    }

    #[test]
    fn a_tensor_sees_the_numbers() {
        let mut buffer = Buffer::take(5);
        buffer.copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        let bytes = buffer.into_bytes();
        assert_eq!(bytes.len(), 20);
        assert_eq!(bytemuck::cast_slice::<u8, f32>(&bytes), [1.0, 2.0, 3.0, 4.0, 5.0]);
        let copy = bytes.clone();
        assert_eq!(&copy[..], &bytes[..]);
    }
}
