//! Convolutions as products whose left side is gathered while it is read (implicit GEMM), in f32: the taps of a pixel are
//! never written to memory.
//!
//! A cube computes a tile of pixels and channels. It walks along the sum, `[taps, channels read]`, in chunks: its threads
//! bring a chunk of both sides into shared memory, and each adds their products to a few sums of its own. The order of every
//! sum follows from the shapes.

use super::{MOST, on_gpu, room, tensor, width};
use crate::device::convolution::{Direction, Places};
use burn::Tensor;
use cubecl::prelude::*;

/// Numbers of each sum that are in shared memory at a time.
const CHUNK: usize = 16;

/// What a kernel is compiled for: divisions by sizes that it does not know would take most of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sizes {
    places: Places,
    /// Channels that are read.
    source: usize,
    /// Channels that are written.
    target: usize,
    tile: Tile,
}

/// Rows and columns of a product that a cube computes, and a thread of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Tile {
    rows: usize,
    columns: usize,
    rows_of_thread: usize,
    columns_of_thread: usize,
}

impl Tile {
    /// Rows of shared memory are apart by one more than the threads need: numbers of one column lie in other banks.
    const GAP: usize = 1;

    const fn new(rows: usize, columns: usize, rows_of_thread: usize) -> Self {
        Self { rows, columns, rows_of_thread, columns_of_thread: 4 }
    }

    /// For the pixels of a convolution: tiles become lower where channels are many, since pixels are few there.
    fn of_pixels(channels: usize) -> Self {
        match channels {
            0..=16 => Self::new(128, 16, 8),
            17..=32 => Self::new(64, 32, 4),
            _ => Self::new(32, 64, 4),
        }
    }

    /// For the gradient by weights.
    fn of_weights(channels: usize) -> Self {
        let columns = match channels {
            0..=16 => 16,
            17..=32 => 32,
            _ => 64,
        };
        Self::new(64, columns, 4)
    }

    /// Threads along the columns.
    fn across(&self) -> usize {
        self.columns / self.columns_of_thread
    }

    /// Threads along the rows.
    fn down(&self) -> usize {
        self.rows / self.rows_of_thread
    }

    fn threads(&self) -> usize {
        self.across() * self.down()
    }

    fn dim(&self) -> CubeDim {
        super::cube::dim(self.threads())
    }

    /// Numbers between two rows of shared memory.
    fn stride(&self) -> usize {
        self.rows + Self::GAP
    }
}

impl Sizes {
    fn taps(&self) -> usize {
        self.places.kernel * self.places.kernel
    }

    /// Terms of a sum over taps and the channels that are read.
    fn depth(&self) -> usize {
        self.taps() * self.source
    }

    /// Pixels of an image that are written.
    fn pixels(&self) -> usize {
        let [rows, columns] = self.places.target();
        rows * columns
    }
}

/// The convolution of `image` `[batch, rows, columns, channels]`; backward, the gradient by its image for the one by its
/// result. `weight` is `[output, input, kernel, kernel]` both times.
pub(crate) fn convolution(
    image: &Tensor<4>,
    weight: &Tensor<4>,
    places: Places,
) -> Option<Tensor<4>> {
    let [batch, _, _, source] = image.dims();
    let [output, input, _, _] = weight.dims();
    let target = if places.direction == Direction::Forward { output } else { input };
    let (image, weight) = (on_gpu(image)?, on_gpu(weight)?);
    let sizes = Sizes { places, source, target, tile: Tile::of_pixels(target) };
    let [rows, columns] = places.target();
    let pixels = batch * sizes.pixels();
    if pixels * target > MOST {
        return None;
    }
    let y = room(&image, [batch, rows, columns, target]);
    if pixels * target > 0 {
        let (tiles, across) = (pixels.div_ceil(sizes.tile.rows), target.div_ceil(sizes.tile.columns));
        let (cubes, high) = super::cube::tiles(tiles);
        let client = image.client.clone();
        // SAFETY: every place that is read or written is compared with the sizes of the tensors first.
        unsafe {
            convolution_kernel::launch_unchecked(
                &client,
                CubeCount::Static(cubes, high, u32::try_from(across).ok()?),
                sizes.tile.dim(),
                width(&client, source).min(CHUNK),
                image.into_buffer_arg(),
                weight.into_buffer_arg(),
                y.clone().into_buffer_arg(),
                pixels,
                sizes,
            );
        }
    }
    Some(tensor(y))
}

#[cube(launch_unchecked)]
fn convolution_kernel<N: Size>(
    image: &[Vector<f32, N>],
    weight: &[f32],
    y: &mut [f32],
    pixels: usize,
    #[comptime] sizes: Sizes,
) {
    let tile = comptime!(sizes.tile);
    let (taps, depth) = comptime!((sizes.taps(), sizes.depth()));
    let mut left = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.stride()));
    let mut right = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.columns));
    let unit = UNIT_POS as usize;
    let cube = CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    let first_pixel = cube * tile.rows;
    let first_channel = CUBE_POS_Z as usize * tile.columns;
    let mut sums = zeros(tile);

    // A thread reads the same part of a chunk for pixels that are apart by so many.
    let width = N::value();
    let vectors = comptime!(CHUNK / width);
    let apart = comptime!(tile.threads() / vectors);
    let loads = comptime!(tile.rows.div_ceil(apart));
    let (part, own_pixel) = (unit % vectors, unit / vectors);
    let mut examples = Array::<usize>::new(loads);
    let mut rows = Array::<usize>::new(loads);
    let mut columns = Array::<usize>::new(loads);
    #[unroll]
    for i in 0..loads {
        let place = Place::of(first_pixel + own_pixel + i * apart, pixels, sizes.places);
        examples[i] = place.example;
        rows[i] = place.row;
        columns[i] = place.column;
    }

    let mut at = comptime!(0usize).runtime();
    while at < depth {
        let term = at + part * width;
        #[unroll]
        for i in 0..loads {
            let row = own_pixel + i * apart;
            if row < tile.rows {
                let place = Place { example: examples[i], row: rows[i], column: columns[i] };
                let read = read_tap::<N>(image, &place, term, sizes);
                #[unroll]
                for j in 0..N::value() {
                    left[(part * width + j) * comptime!(tile.stride()) + row] = read.extract(j);
                }
            }
        }
        #[unroll]
        for i in 0..comptime!((CHUNK * tile.columns).div_ceil(tile.threads())) {
            let place = unit + comptime!(i * tile.threads());
            if place < comptime!(CHUNK * tile.columns) {
                let (term, channel) = (at + place / tile.columns, first_channel + place % tile.columns);
                let mut read = 0.0f32;
                if term < depth && channel < sizes.target {
                    let (tap, from) = (term / sizes.source, term % sizes.source);
                    if comptime!(sizes.places.direction == Direction::Forward) {
                        read = weight[(channel * sizes.source + from) * taps + tap];
                    } else {
                        read = weight[(from * sizes.target + channel) * taps + tap];
                    }
                }
                right[place] = read;
            }
        }
        sync_cube();
        add_products(&left, &right, &mut sums, comptime!(tile.stride()), tile);
        sync_cube();
        at += CHUNK;
    }

    let (own_row, own_column) = (unit / comptime!(tile.across()), unit % comptime!(tile.across()));
    #[unroll]
    for i in 0..comptime!(tile.rows_of_thread) {
        let pixel = first_pixel + own_row + comptime!(i * tile.down());
        #[unroll]
        for j in 0..comptime!(tile.columns_of_thread) {
            let channel = first_channel + own_column + comptime!(j * tile.across());
            if pixel < pixels && channel < sizes.target {
                y[pixel * sizes.target + channel] = sums[comptime!(i * tile.columns_of_thread + j)];
            }
        }
    }
}

/// The gradient by the weights, `[output, input, kernel, kernel]`, of the convolution of `image` for `gradient` by its
/// result, both `[batch, rows, columns, channels]`.
pub(crate) fn convolution_by_weight(
    image: &Tensor<4>,
    gradient: &Tensor<4>,
    places: Places,
) -> Option<Tensor<4>> {
    let [_, _, _, source] = image.dims();
    let [batch, _, _, target] = gradient.dims();
    let (image, gradient) = (on_gpu(image)?, on_gpu(gradient)?);
    let sizes = Sizes { places, source, target, tile: Tile::of_weights(target) };
    let (pixels, depth) = (batch * sizes.pixels(), sizes.depth());
    let (down, across) = (depth.div_ceil(sizes.tile.rows), target.div_ceil(sizes.tile.columns));
    // As many parts as keep a GPU busy, of a few chunks each.
    let parts = (CUBES / (down * across).max(1)).clamp(1, (pixels / (4 * CHUNK)).max(1));
    let of_part = pixels.div_ceil(parts).next_multiple_of(CHUNK).max(CHUNK);
    let parts = pixels.div_ceil(of_part).max(1);
    let client = image.client.clone();
    let sums = room(&image, [parts, depth * target]);
    let y = room(&image, [target, source, places.kernel, places.kernel]);
    if depth * target > 0 {
        // SAFETY: every place that is read or written is compared with the sizes of the tensors first.
        unsafe {
            by_weight_kernel::launch_unchecked(
                &client,
                CubeCount::Static(
                    u32::try_from(parts).ok()?,
                    u32::try_from(down).ok()?,
                    u32::try_from(across).ok()?,
                ),
                sizes.tile.dim(),
                width(&client, source).min(CHUNK),
                image.into_buffer_arg(),
                gradient.into_buffer_arg(),
                sums.clone().into_buffer_arg(),
                pixels,
                of_part,
                sizes,
            );
            sum_of_parts_kernel::launch_unchecked(
                &client,
                super::cube::cubes((depth * target).div_ceil(COLUMNS)),
                super::cube::dim(COLUMNS * LANES),
                sums.into_buffer_arg(),
                y.clone().into_buffer_arg(),
                parts,
                sizes,
            );
        }
    }
    Some(tensor(y))
}

/// Cubes that keep every GPU busy.
const CUBES: usize = 512;

#[cube(launch_unchecked)]
fn by_weight_kernel<N: Size>(
    image: &[Vector<f32, N>],
    gradient: &[f32],
    parts: &mut [f32],
    pixels: usize,
    of_part: usize,
    #[comptime] sizes: Sizes,
) {
    let tile = comptime!(sizes.tile);
    let depth = comptime!(sizes.depth());
    let mut left = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.stride()));
    let mut right = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.columns));
    let unit = UNIT_POS as usize;
    let part = CUBE_POS_X as usize;
    let first_term = CUBE_POS_Y as usize * tile.rows;
    let first_channel = CUBE_POS_Z as usize * tile.columns;
    let mut sums = zeros(tile);

    let width = N::value();
    let vectors = comptime!(tile.rows / width);
    let mut at = part * of_part;
    let end = min(at + of_part, pixels);
    while at < end {
        #[unroll]
        for i in 0..comptime!((CHUNK * vectors).div_ceil(tile.threads())) {
            let load = unit + comptime!(i * tile.threads());
            if load < comptime!(CHUNK * vectors) {
                let (row, vector) = (load / vectors, load % vectors);
                let place = Place::of(at + row, end, sizes.places);
                let read = read_tap::<N>(image, &place, first_term + vector * width, sizes);
                #[unroll]
                for j in 0..N::value() {
                    left[row * comptime!(tile.stride()) + vector * width + j] = read.extract(j);
                }
            }
        }
        #[unroll]
        for i in 0..comptime!((CHUNK * tile.columns).div_ceil(tile.threads())) {
            let load = unit + comptime!(i * tile.threads());
            if load < comptime!(CHUNK * tile.columns) {
                let (pixel, channel) = (at + load / tile.columns, first_channel + load % tile.columns);
                let mut read = 0.0f32;
                if pixel < end && channel < sizes.target {
                    read = gradient[pixel * sizes.target + channel];
                }
                right[load] = read;
            }
        }
        sync_cube();
        add_products(&left, &right, &mut sums, comptime!(tile.stride()), tile);
        sync_cube();
        at += CHUNK;
    }

    let (own_row, own_column) = (unit / comptime!(tile.across()), unit % comptime!(tile.across()));
    #[unroll]
    for i in 0..comptime!(tile.rows_of_thread) {
        let term = first_term + own_row + comptime!(i * tile.down());
        #[unroll]
        for j in 0..comptime!(tile.columns_of_thread) {
            let channel = first_channel + own_column + comptime!(j * tile.across());
            if term < depth && channel < sizes.target {
                parts[(part * depth + term) * sizes.target + channel] =
                    sums[comptime!(i * tile.columns_of_thread + j)];
            }
        }
    }
}

/// Weights that a cube adds up the parts of, and threads for each.
const COLUMNS: usize = 32;
const LANES: usize = 8;

/// Adds the parts of each weight: those of a thread in their order, then threads by halves.
#[cube(launch_unchecked)]
fn sum_of_parts_kernel(parts: &[f32], y: &mut [f32], count: usize, #[comptime] sizes: Sizes) {
    let mut shared = Shared::<[f32]>::new_slice(comptime!(COLUMNS * LANES));
    let unit = UNIT_POS as usize;
    let (column, lane) = (unit % COLUMNS, unit / COLUMNS);
    let place = CUBE_POS * COLUMNS + column;
    let weights = comptime!(sizes.depth() * sizes.target);
    let mut sum = 0.0f32;
    if place < weights {
        let mut part = lane;
        while part < count {
            sum += parts[part * weights + place];
            part += LANES;
        }
    }
    shared[unit] = sum;
    sync_cube();
    if lane == 0 && place < weights {
        let mut sum = 0.0f32;
        #[unroll]
        for lane in 0..LANES {
            sum += shared[lane * COLUMNS + column];
        }
        let (term, to) = (place / sizes.target, place % sizes.target);
        let (tap, from) = (term / sizes.source, term % sizes.source);
        y[(to * sizes.source + from) * comptime!(sizes.taps()) + tap] = sum;
    }
}

#[cube]
fn zeros(#[comptime] tile: Tile) -> Array<f32> {
    let count = comptime!(tile.rows_of_thread * tile.columns_of_thread);
    let mut sums = Array::<f32>::new(count);
    #[unroll]
    for i in 0..count {
        sums[i] = 0.0f32;
    }
    sums
}

/// Adds the products of a chunk to the sums of a thread: its rows and columns are apart by the threads of the cube, so that
/// neighbours read neighbours.
#[cube]
fn add_products(
    left: &[f32],
    right: &[f32],
    sums: &mut Array<f32>,
    #[comptime] stride: usize,
    #[comptime] tile: Tile,
) {
    let unit = UNIT_POS as usize;
    let (own_row, own_column) = (unit / comptime!(tile.across()), unit % comptime!(tile.across()));
    let mut rows = Array::<f32>::new(comptime!(tile.rows_of_thread));
    #[unroll]
    for k in 0..CHUNK {
        #[unroll]
        for i in 0..comptime!(tile.rows_of_thread) {
            rows[i] = left[own_row + comptime!(k * stride + i * tile.down())];
        }
        #[unroll]
        for j in 0..comptime!(tile.columns_of_thread) {
            let column = right[own_column + comptime!(k * tile.columns + j * tile.across())];
            #[unroll]
            for i in 0..comptime!(tile.rows_of_thread) {
                let at = comptime!(i * tile.columns_of_thread + j);
                sums[at] = fma(rows[i], column, sums[at]);
            }
        }
    }
}

/// A pixel that is written.
#[derive(CubeType)]
struct Place {
    example: usize,
    /// Far below the image where there is no such pixel.
    row: usize,
    column: usize,
}

/// A row that no image has.
const NOWHERE: usize = 1 << 24;

#[cube]
impl Place {
    fn of(pixel: usize, pixels: usize, #[comptime] places: Places) -> Place {
        let [rows, columns] = comptime!(places.target());
        let mut row = (pixel / columns) % rows;
        if pixel >= pixels {
            row = comptime!(NOWHERE).runtime();
        }
        Place { example: pixel / comptime!(rows * columns), row, column: pixel % columns }
    }
}

/// What a pixel's taps read, from `term` of `[taps, channels]` on; zeros beside the image.
#[cube]
fn read_tap<N: Size>(
    image: &[Vector<f32, N>],
    place: &Place,
    term: usize,
    #[comptime] sizes: Sizes,
) -> Vector<f32, N> {
    let places = comptime!(sizes.places);
    let [rows, columns] = comptime!(places.source());
    let (kernel, stride, border) = comptime!((places.kernel, places.stride, places.kernel / 2));
    let mut read = Vector::<f32, N>::zeroed();
    let (tap, channel) = (term / sizes.source, term % sizes.source);
    let (tap_row, tap_column) = (tap / kernel, tap % kernel);
    // Places are compared before they are subtracted: they are unsigned.
    if comptime!(places.direction == Direction::Forward) {
        let down = place.row * stride + tap_row;
        let right = place.column * stride + tap_column;
        let inside = down >= border && down < rows + border && right >= border && right < columns + border;
        if inside && term < comptime!(sizes.depth()) {
            let at = (place.example * rows + down - border) * columns + right - border;
            read = image[(at * sizes.source + channel) / N::value()];
        }
    } else {
        let down = place.row + border;
        let right = place.column + border;
        if down >= tap_row && right >= tap_column && term < comptime!(sizes.depth()) {
            let (down, right) = (down - tap_row, right - tap_column);
            let (from_row, from_column) = (down / stride, right / stride);
            let read_by = down % stride == 0 && right % stride == 0;
            if read_by && from_row < rows && from_column < columns {
                let at = (place.example * rows + from_row) * columns + from_column;
                read = image[(at * sizes.source + channel) / N::value()];
            }
        }
    }
    read
}
