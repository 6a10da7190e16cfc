//! Rows that are added to every row, or repeated.

use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::reduce::column_sums;
use burn::Tensor;

/// See [`plus_row`](crate::plus_row).
pub(crate) fn plus_row(x: Tensor<2>, row: Tensor<1>) -> Tensor<2> {
    let y = untaped(&x) + untaped(&row).unsqueeze();
    record([x.into(), row.into()], y, || PlusRow)
}

#[derive(Debug, Clone)]
struct PlusRow;

impl Derivative<2> for PlusRow {
    fn backward(self, gradient: AnyRank, [x, row]: [bool; 2]) -> [Option<AnyRank>; 2] {
        let gradient = gradient.tensor::<2>();
        let [_, width] = gradient.dims();
        let by_row = row.then(|| column_sums(gradient.clone()).reshape([width]).into());
        [x.then(|| gradient.into()), by_row]
    }
}

/// `row` `[1, columns]`, or one number `[1, 1]`, as `[rows, columns]`.
pub(crate) fn repeated(row: Tensor<2>, [rows, columns]: [usize; 2]) -> Tensor<2> {
    let [_, width] = row.dims();
    let y = untaped(&row).expand([rows, columns]);
    record([row.into()], y, || Repeated { width })
}

#[derive(Debug, Clone)]
struct Repeated {
    width: usize,
}

impl Derivative<1> for Repeated {
    fn backward(self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        let sums = column_sums(gradient.tensor());
        let sums = if sums.dims()[1] == self.width { sums } else { sums.sum_dim(1) };
        [Some(sums.into())]
    }
}
