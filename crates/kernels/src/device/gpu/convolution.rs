//! Convolutions as products whose left side is gathered while it is read (implicit GEMM): the taps of a pixel are
//! never written to memory.
//! The order of every sum follows from the shapes. In half precision both sides are rounded as they are read and the result
//! as it is written; sums are f32.

use super::sums::sum_of_parts;
use super::tile::{CHUNK, Parts, Tile, add_products, rounded, zeros};
use super::{MOST, on_gpu, room, tensor, width};
use crate::device::convolution::{Direction, Places};
use crate::mixed::Precision;
use burn::Tensor;
use cubecl::prelude::*;

/// What a kernel is compiled for: divisions by sizes that it does not know would take most of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sizes {
    places: Places,
    /// Channels that are read.
    source: usize,
    /// Channels that are written.
    target: usize,
    /// What both sides are rounded to as they are read, and the result as it is written.
    precision: Precision,
    tile: Tile,
}

impl Sizes {
    fn taps(&self) -> usize {
        self.places.kernel * self.places.kernel
    }

    /// Terms of a sum over taps and the channels that are read.
    fn depth(&self) -> usize {
        self.taps() * self.source
    }
}

/// The convolution of `image` `[batch, rows, columns, channels]`; backward, the gradient by its image for the one by its
/// result. `weight` is `[output, input, kernel, kernel]` both times.
pub(crate) fn convolution(
    precision: Precision,
    image: &Tensor<4>,
    weight: &Tensor<4>,
    places: Places,
) -> Option<Tensor<4>> {
    let [batch, _, _, source] = image.dims();
    let [output, input, _, _] = weight.dims();
    let target = if places.direction == Direction::Forward { output } else { input };
    let (image, weight) = (on_gpu(image)?, on_gpu(weight)?);
    let [rows, columns] = places.target();
    let pixels = batch * rows * columns;
    if pixels * target > MOST || source == 0 {
        return None;
    }
    let tile = Tile::of_product(1, pixels, target);
    let sizes = Sizes { places, source, target, precision, tile };
    let y = room(&image, [batch, rows, columns, target]);
    if pixels * target > 0 {
        let (wide, high) = super::cube::tiles(pixels.div_ceil(tile.rows));
        let client = image.client.clone();
        // SAFETY: every place that is read or written is compared with the sizes of the tensors first.
        unsafe {
            convolution_kernel::launch_unchecked(
                &client,
                CubeCount::Static(wide, high, u32::try_from(target.div_ceil(tile.columns)).ok()?),
                tile.dim(),
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
    let width = N::value();
    let (tile, depth) = comptime!((sizes.tile, sizes.depth()));
    let mut left = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.left_stride()));
    let mut right = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.right_stride()));
    let unit = UNIT_POS as usize;
    let cube = CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    let first_pixel = cube * tile.rows;
    let first_channel = CUBE_POS_Z as usize * tile.columns;
    let mut sums = zeros(tile);

    // A thread reads the same part of every chunk, for pixels that are apart by so many.
    let vectors = comptime!(CHUNK / width);
    let apart = comptime!(tile.threads() / vectors);
    let loads = comptime!(tile.rows.div_ceil(apart));
    let weights = comptime!((CHUNK * tile.columns).div_ceil(tile.threads()));
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

    // What comes next is on its way while the products of a chunk are added.
    let mut next_left = Array::<Vector<f32, N>>::new(loads);
    let mut next_right = Array::<f32>::new(weights);
    let mut at = comptime!(0usize).runtime();
    while at < comptime!(depth + CHUNK) {
        if at > 0 {
            #[unroll]
            for i in 0..loads {
                let row = own_pixel + i * apart;
                if row < tile.rows {
                    #[unroll]
                    for j in 0..width {
                        left[(part * width + j) * comptime!(tile.left_stride()) + row] =
                            rounded(next_left[i].extract(j), sizes.precision);
                    }
                }
            }
            #[unroll]
            for i in 0..weights {
                let place = unit + comptime!(i * tile.threads());
                if place < comptime!(CHUNK * tile.columns) {
                    let spot = Weight::of(place, sizes);
                    right[spot.term * comptime!(tile.right_stride()) + spot.channel] =
                        rounded(next_right[i], sizes.precision);
                }
            }
        }
        sync_cube();
        if at < depth {
            #[unroll]
            for i in 0..loads {
                let place = Place { example: examples[i], row: rows[i], column: columns[i] };
                next_left[i] = read_tap::<N>(image, &place, at + part * width, sizes);
            }
            #[unroll]
            for i in 0..weights {
                let place = unit + comptime!(i * tile.threads());
                let spot = Weight::of(place, sizes);
                let (term, channel) = (at + spot.term, first_channel + spot.channel);
                next_right[i] = read_weight(weight, term, channel, sizes);
            }
        }
        if at > 0 {
            add_products(&left, &right, &mut sums, tile);
        }
        sync_cube();
        at += CHUNK;
    }

    let own_row = unit / comptime!(tile.across());
    let own_column = unit % comptime!(tile.across());
    #[unroll]
    for i in 0..comptime!(tile.rows_of_thread) {
        let pixel = first_pixel + own_row + comptime!(i * tile.down());
        #[unroll]
        for j in 0..comptime!(tile.columns_of_thread) {
            let channel = first_channel + own_column + comptime!(j * tile.across());
            if pixel < pixels && channel < sizes.target {
                let sum = sums[comptime!(i * tile.columns_of_thread + j)];
                y[pixel * sizes.target + channel] = rounded(sum, sizes.precision);
            }
        }
    }
}

/// Which weight of a chunk a thread brings.
#[derive(CubeType)]
struct Weight {
    term: usize,
    channel: usize,
}

#[cube]
impl Weight {
    /// Neighbours bring what are neighbours in memory, but for the taps between them.
    fn of(place: usize, #[comptime] sizes: Sizes) -> Weight {
        if comptime!(sizes.places.direction == Direction::Forward) {
            Weight { term: place % CHUNK, channel: place / CHUNK }
        } else {
            let columns = comptime!(sizes.tile.columns);
            Weight { term: place / columns, channel: place % columns }
        }
    }
}

/// The weight of a term of `[taps, channels read]` for a channel that is written; zero where there is none.
#[cube]
fn read_weight(weight: &[f32], term: usize, channel: usize, #[comptime] sizes: Sizes) -> f32 {
    let mut read = 0.0f32;
    if term < comptime!(sizes.depth()) && channel < sizes.target {
        let (tap, from) = (term / sizes.source, term % sizes.source);
        let place = if comptime!(sizes.places.direction == Direction::Forward) {
            channel * sizes.source + from
        } else {
            from * sizes.target + channel
        };
        read = weight[place * comptime!(sizes.taps()) + tap];
    }
    read
}

/// The gradient by the weights, `[output, input, kernel, kernel]`, of the convolution of `image` for `gradient` by its
/// result, both `[batch, rows, columns, channels]`.
pub(crate) fn convolution_by_weight(
    precision: Precision,
    image: &Tensor<4>,
    gradient: &Tensor<4>,
    places: Places,
) -> Option<Tensor<4>> {
    let [_, _, _, source] = image.dims();
    let [batch, rows, columns, target] = gradient.dims();
    let (image, gradient) = (on_gpu(image)?, on_gpu(gradient)?);
    if source == 0 {
        return None;
    }
    let tile = Tile::of_parts(target);
    let sizes = Sizes { places, source, target, precision, tile };
    let (pixels, depth) = (batch * rows * columns, sizes.depth());
    let parts = Parts::of(pixels, tile.cubes(depth, target));
    let client = image.client.clone();
    let sums = room(&image, [parts.count, depth * target]);
    if depth * target > 0 {
        // SAFETY: every place that is read or written is compared with the sizes of the tensors first.
        unsafe {
            by_weight_kernel::launch_unchecked(
                &client,
                CubeCount::Static(
                    u32::try_from(parts.count).ok()?,
                    u32::try_from(depth.div_ceil(tile.rows)).ok()?,
                    u32::try_from(target.div_ceil(tile.columns)).ok()?,
                ),
                tile.dim(),
                width(&client, source).min(CHUNK),
                image.into_buffer_arg(),
                gradient.into_buffer_arg(),
                sums.clone().into_buffer_arg(),
                pixels,
                parts.terms,
                sizes,
            );
        }
    }
    let shape = [target, source, places.kernel, places.kernel];
    Some(tensor::<1>(sum_of_parts(sums, parts.count, precision)).reshape(shape))
}

#[cube(launch_unchecked)]
fn by_weight_kernel<N: Size>(
    image: &[Vector<f32, N>],
    gradient: &[f32],
    parts: &mut [f32],
    pixels: usize,
    of_part: usize,
    #[comptime] sizes: Sizes,
) {
    let width = N::value();
    let (tile, depth) = comptime!((sizes.tile, sizes.depth()));
    let mut left = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.left_stride()));
    let mut right = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.right_stride()));
    let unit = UNIT_POS as usize;
    let part = CUBE_POS_X as usize;
    let first_term = CUBE_POS_Y as usize * tile.rows;
    let first_channel = CUBE_POS_Z as usize * tile.columns;
    let mut sums = zeros(tile);

    let vectors = comptime!(tile.rows / width);
    let loads = comptime!((CHUNK * vectors).div_ceil(tile.threads()));
    let gradients = comptime!((CHUNK * tile.columns).div_ceil(tile.threads()));
    let mut next_left = Array::<Vector<f32, N>>::new(loads);
    let mut next_right = Array::<f32>::new(gradients);
    let first = part * of_part;
    let end = min(first + of_part, pixels);
    let mut at = first;
    // What comes next is on its way while the products of a chunk are added.
    while at < end + CHUNK {
        if at > first {
            #[unroll]
            for i in 0..loads {
                let load = unit + comptime!(i * tile.threads());
                if load < comptime!(CHUNK * vectors) {
                    let (row, vector) = (load / vectors, load % vectors);
                    #[unroll]
                    for j in 0..width {
                        left[row * comptime!(tile.left_stride()) + vector * width + j] =
                            rounded(next_left[i].extract(j), sizes.precision);
                    }
                }
            }
            #[unroll]
            for i in 0..gradients {
                let load = unit + comptime!(i * tile.threads());
                if load < comptime!(CHUNK * tile.columns) {
                    let (row, column) = (load / tile.columns, load % tile.columns);
                    right[row * comptime!(tile.right_stride()) + column] =
                        rounded(next_right[i], sizes.precision);
                }
            }
        }
        sync_cube();
        if at < end {
            #[unroll]
            for i in 0..loads {
                let load = unit + comptime!(i * tile.threads());
                let place = Place::of(at + load / vectors, end, sizes.places);
                let term = first_term + load % vectors * width;
                next_left[i] = read_tap::<N>(image, &place, term, sizes);
            }
            #[unroll]
            for i in 0..gradients {
                let load = unit + comptime!(i * tile.threads());
                let pixel = at + load / tile.columns;
                let channel = first_channel + load % tile.columns;
                let mut read = 0.0f32;
                if pixel < end && channel < sizes.target {
                    read = gradient[pixel * sizes.target + channel];
                }
                next_right[i] = read;
            }
        }
        if at > first {
            add_products(&left, &right, &mut sums, tile);
        }
        sync_cube();
        at += CHUNK;
    }

    let own_row = unit / comptime!(tile.across());
    let own_column = unit % comptime!(tile.across());
    #[unroll]
    for i in 0..comptime!(tile.rows_of_thread) {
        let term = first_term + own_row + comptime!(i * tile.down());
        let (tap, from) = (term / sizes.source, term % sizes.source);
        #[unroll]
        for j in 0..comptime!(tile.columns_of_thread) {
            let channel = first_channel + own_column + comptime!(j * tile.across());
            if term < depth && channel < sizes.target {
                let place = (channel * sizes.source + from) * comptime!(sizes.taps()) + tap;
                parts[part * comptime!(depth * sizes.target) + place] =
                    sums[comptime!(i * tile.columns_of_thread + j)];
            }
        }
    }
}

/// A pixel of what the convolution gives, or backward of its image.
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
        let inside =
            down >= border && down < rows + border && right >= border && right < columns + border;
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
