//! Sums on devices other than the CPU, in stages that follow from the shape alone: always in the same order, and with
//! enough of them side by side where the length has powers of two in it, as those of batches have. Without autotune burn sums a long axis in one thread for each result, and a whole tensor
//! by atomic additions, whose order is chance.

use crate::host::Host;
use burn::Tensor;

/// Partial sums of an axis, at most.
const PARTS: usize = 1024;

/// How many partial sums an axis of `length` has: a power of two that divides it.
pub(crate) fn parts(length: usize) -> usize {
    if length == 0 { 1 } else { 1 << length.trailing_zeros().min(PARTS.trailing_zeros()) }
}

/// Sum of each column of `[rows, columns]`: `[1, columns]`.
pub(crate) fn column_sums(x: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    let parts = parts(rows);
    let sums = x.reshape([parts, rows / parts, columns]).sum_dim(1);
    sums.reshape([parts, columns]).sum_dim(0)
}

/// Sum of all numbers, `[1]`.
pub(crate) fn sum<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let length = x.dims().iter().product();
    let parts = parts(length);
    let sums = x.reshape([parts, length / parts]).sum_dim(1);
    sums.reshape([parts]).sum_dim(0)
}

/// Mean of `x` `[n]`, as `[1]`.
#[must_use]
pub fn mean(x: Tensor<1>) -> Tensor<1> {
    if Host::of(&x).is_some() {
        return x.mean();
    }
    let [n] = x.dims();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let count = n as f64;
    sum(x) / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn stages_sum_everything_once() {
        for rows in [1, 2, 3, 96, 1024, 5000, 4096] {
            let numbers: Vec<f32> = (0..3 * rows).map(|i| i as f32).collect();
            let x = Tensor::<1>::from_floats(numbers.as_slice(), &Device::flex());
            let columns = column_sums(x.clone().reshape([rows, 3]));
            let columns: Vec<f32> = columns.into_data().iter::<f32>().collect();
            for (column, sum) in columns.iter().enumerate() {
                let right: f64 = (0..rows).map(|row| (3 * row + column) as f64).sum();
                assert!((f64::from(*sum) - right).abs() <= 1e-5 * right.max(1.0), "{rows}: {sum}");
            }
            let right: f64 = (0..3 * rows).map(|i| i as f64).sum();
            let given = f64::from(sum(x).into_scalar::<f32>());
            assert!((given - right).abs() <= 1e-5 * right.max(1.0), "{rows}: {given}");
        }
        assert_eq!([0, 1, 6, 131_072].map(parts), [1, 1, 2, 1024]);
    }
}
