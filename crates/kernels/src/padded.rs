//! Sizes of a convolution, and images with zeros around them.

use crate::buffer::Buffer;
use crate::product::LANES;

/// Tasks that a batch is cut into. It is fixed, since sums over the batch are made of theirs.
const TASKS: usize = 16;

/// Numbers that the tasks' sums of gradients by the weights may take together: wide layers are cut into
/// fewer tasks.
const SUMS: usize = 1 << 26;

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

impl Shape {
    pub(crate) fn rows(&self) -> usize {
        self.height.div_ceil(self.stride)
    }

    pub(crate) fn columns(&self) -> usize {
        self.width.div_ceil(self.stride)
    }

    pub(crate) fn images_a_task(&self) -> usize {
        self.batch.div_ceil(TASKS).max(1)
    }

    /// Images of a task whose sum of gradients by the weights takes `size` numbers.
    pub(crate) fn images_a_sum(&self, size: usize) -> usize {
        let tasks = (SUMS / size.max(1)).clamp(1, TASKS);
        self.batch.div_ceil(tasks).max(1)
    }

    pub(crate) fn image(&self) -> usize {
        self.height * self.width * self.input
    }

    pub(crate) fn result(&self) -> usize {
        self.rows() * self.columns() * self.output
    }

    /// Where `weight[output][input][row][column]` lies.
    pub(crate) fn weight(&self, output: usize, input: usize, row: usize, column: usize) -> usize {
        ((output * self.input + input) * self.kernel + row) * self.kernel + column
    }

    pub(crate) fn border(&self) -> Border {
        let half = self.kernel / 2;
        // The last window may end before the last pixel, or after it.
        let after = |size: usize, count: usize| {
            ((count.max(1) - 1) * self.stride + self.kernel).saturating_sub(half + size)
        };
        Border {
            before: half,
            after_rows: after(self.height, self.rows()),
            after_columns: after(self.width, self.columns()),
        }
    }
}

/// Zeros around an image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Border {
    pub(crate) before: usize,
    pub(crate) after_rows: usize,
    pub(crate) after_columns: usize,
}

/// One image with zeros around it, written again for each image.
pub(crate) struct Padded {
    pub(crate) numbers: Buffer,
    border: Border,
    rows: usize,
    columns: usize,
    channels: usize,
    /// Numbers of a row with its border.
    pub(crate) stride: usize,
}

/// Pixels, one behind another, in rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pixels<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) channels: usize,
    /// Numbers of a row.
    pub(crate) stride: usize,
}

impl Padded {
    pub(crate) fn new(rows: usize, columns: usize, channels: usize, border: Border) -> Self {
        let stride = (columns + border.before + border.after_columns) * channels;
        let height = rows + border.before + border.after_rows;
        // A register that begins at the last channel ends in the buffer.
        let numbers = Buffer::zeros(height * stride + LANES);
        Self { numbers, border, rows, columns, channels, stride }
    }

    pub(crate) fn pixels(&self) -> Pixels<'_> {
        Pixels { numbers: &self.numbers, channels: self.channels, stride: self.stride }
    }

    pub(crate) fn load(&mut self, image: &[f32]) {
        let row = self.columns * self.channels;
        if row == 0 {
            return;
        }
        let from = self.border.before * (self.stride + self.channels);
        let rows = self.numbers[from..].chunks_mut(self.stride).take(self.rows);
        rows.zip(image.chunks_exact(row)).for_each(|(to, from)| to[..row].copy_from_slice(from));
    }
}
