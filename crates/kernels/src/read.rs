//! What the host reads from a device. Each read waits until the device has computed all that came before, so several steps of
//! training share one.

use burn::Tensor;
use burn::tensor::{TensorData, Transaction};
use std::cell::Cell;

thread_local! {
    static READS: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has read from a device.
#[must_use]
pub fn reads() -> u64 {
    READS.get()
}

/// The numbers of a tensor.
#[must_use]
pub fn read<const D: usize>(tensor: Tensor<D>) -> TensorData {
    READS.set(READS.get() + 1);
    tensor.into_data()
}

/// The numbers of several tensors, in their order.
#[must_use]
pub fn read_at_once(tensors: Transaction) -> Vec<TensorData> {
    READS.set(READS.get() + 1);
    tensors.execute()
}
