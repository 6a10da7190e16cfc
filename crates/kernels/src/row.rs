//! A row that is added to every row.

use crate::buffer::Buffer;
use crate::device;
use crate::host::{Host, Operation, Values, record};
use crate::linear::column_sums;
use burn::Tensor;
use rayon::prelude::*;

/// Numbers that one task takes on.
const TASK: usize = 1 << 16;

/// `row` `[width]` added to every row of `x` `[rows, width]`.
///
/// # Panics
/// If the sizes do not agree.
#[must_use]
pub fn plus_row(x: Tensor<2>, row: Tensor<1>) -> Tensor<2> {
    let [rows, width] = x.dims();
    assert_eq!(row.dims(), [width], "a number for each column");
    let (Some(host), Some(host_row)) = (Host::of(&x), Host::of(&row)) else {
        return device::row::plus_row(x, row);
    };
    let (x, row) = (host.values(), host_row.values());
    let mut y = Buffer::take(rows * width);
    let step = width.max(1);
    let task = (TASK / step).max(1) * step;
    y.par_chunks_mut(task).zip(x.slice().par_chunks(task)).for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(step).zip(x.chunks_exact(step)) {
            y.iter_mut().zip(x.iter().zip(row.slice())).for_each(|(y, (x, row))| *y = x + row);
        }
    });
    let y = Values::from_buffer(y, &x.shape());
    record([host, host_row], y, || PlusRow(width)).into_tensor()
}

#[derive(Debug, Clone)]
struct PlusRow(usize);

impl Operation<2> for PlusRow {
    fn backward(self, gradient: Values, [x, row]: [bool; 2]) -> [Option<Values>; 2] {
        let by_row = row.then(|| column_sums(gradient.slice(), self.0));
        [x.then_some(gradient), by_row]
    }
}
