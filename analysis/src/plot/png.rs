//! A picture as PNG, on a light ground: every shape is filled with the coverage of each pixel.

use super::Colour;
use super::font::Piece;
use super::scene::{Scene, Shape};
use ab_glyph_rasterizer::{Point, Rasterizer, point};

/// The picture with `scale` pixels a pixel.
///
/// # Errors
/// If it cannot be encoded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels")]
pub(super) fn png(scene: &Scene, scale: f64, per_metre: Option<u32>) -> Result<Vec<u8>, String> {
    let [width, height] = scene.size.map(|length| (length * scale).round().max(1.0) as usize);
    let mut ground = Ground { pixels: vec![255; width * height * 3], width, height };
    for shape in &scene.shapes {
        match shape {
            Shape::Line { points, colour, width, dash } => {
                for part in dashes(points, dash) {
                    for ends in part.windows(2) {
                        let ends = [ends[0], ends[1]].map(|[x, y]| [x * scale, y * scale]);
                        ground.stroke(ends, (width * scale).max(1.0), *colour);
                    }
                }
            }
            Shape::Area { points, colour, opacity } => {
                let edge: Vec<[f64; 2]> =
                    points.iter().map(|[x, y]| [x * scale, y * scale]).collect();
                ground.fill(&closed(&edge), *colour, *opacity);
            }
            Shape::Circle { at: [x, y], radius, colour } => {
                let corner = |i: u32| {
                    let turn = f64::from(i) * std::f64::consts::TAU / 24.0;
                    [(x + radius * libm::cos(turn)) * scale, (y + radius * libm::sin(turn)) * scale]
                };
                let edge: Vec<[f64; 2]> = (0..24).map(corner).collect();
                ground.fill(&closed(&edge), *colour, 1.0);
            }
            Shape::Text { text, at, place, colour, size, .. } => {
                let ([x, y], upwards) = scene.baseline(text, *at, *place, *size);
                let turn = |[dx, dy]: [f64; 2]| {
                    let [dx, dy] = if upwards { [dy, -dx] } else { [dx, dy] };
                    [(x + dx) * scale, (y + dy) * scale]
                };
                let turned =
                    scene.font.outlines(text, *size).into_iter().map(|piece| match piece {
                        Piece::Move(a) => Piece::Move(turn(a)),
                        Piece::Line(a) => Piece::Line(turn(a)),
                        Piece::Cubic(a, b, c) => Piece::Cubic(turn(a), turn(b), turn(c)),
                    });
                ground.fill(&turned.collect::<Vec<_>>(), *colour, 1.0);
            }
        }
    }
    encode(&ground, per_metre)
}

fn encode(ground: &Ground, per_metre: Option<u32>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let side = |length: usize| u32::try_from(length).map_err(|error| error.to_string());
    let mut encoder = png::Encoder::new(&mut bytes, side(ground.width)?, side(ground.height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_pixel_dims(per_metre.map(|per_metre| png::PixelDimensions {
        xppu: per_metre,
        yppu: per_metre,
        unit: png::Unit::Meter,
    }));
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    writer.write_image_data(&ground.pixels).map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// A polygon as pieces.
fn closed(points: &[[f64; 2]]) -> Vec<Piece> {
    let Some((first, rest)) = points.split_first() else { return Vec::new() };
    let lines = rest.iter().map(|point| Piece::Line(*point));
    [Piece::Move(*first)].into_iter().chain(lines).chain([Piece::Line(*first)]).collect()
}

/// The drawn parts of a dashed line; all of it without dashes.
fn dashes(points: &[[f64; 2]], dash: &[f64]) -> Vec<Vec<[f64; 2]>> {
    if dash.is_empty() {
        return vec![points.to_vec()];
    }
    let (mut parts, mut place, mut left) = (Vec::new(), 0, dash[0]);
    let mut part: Vec<[f64; 2]> = points.first().copied().into_iter().collect();
    for ends in points.windows(2) {
        let (mut from, to) = (ends[0], ends[1]);
        let mut length = libm::hypot(to[0] - from[0], to[1] - from[1]);
        while length > left {
            let share = left / length;
            from = [0, 1].map(|i| from[i] + (to[i] - from[i]) * share);
            length -= left;
            if place % 2 == 0 {
                part.push(from);
                parts.push(std::mem::take(&mut part));
            }
            place = (place + 1) % dash.len();
            left = dash[place];
            if place % 2 == 0 {
                part = vec![from];
            }
        }
        left -= length;
        if place % 2 == 0 {
            part.push(to);
        }
    }
    parts.push(part);
    parts.retain(|part| part.len() > 1);
    parts
}

struct Ground {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Ground {
    /// A straight line with round ends.
    fn stroke(&mut self, [a, b]: [[f64; 2]; 2], width: f64, colour: Colour) {
        let half = width / 2.0;
        let angle = libm::atan2(b[1] - a[1], b[0] - a[0]);
        let arc = |centre: [f64; 2], from: f64| {
            (0..=6).map(move |i| {
                let turn = from + f64::from(i) * std::f64::consts::PI / 6.0;
                [centre[0] + half * libm::cos(turn), centre[1] + half * libm::sin(turn)]
            })
        };
        let quarter = std::f64::consts::FRAC_PI_2;
        let edge: Vec<[f64; 2]> = arc(b, angle - quarter).chain(arc(a, angle + quarter)).collect();
        self.fill(&closed(&edge), colour, 1.0);
    }

    /// Fills an outline, as far as it lies within the picture.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "pixels within the picture"
    )]
    fn fill(&mut self, pieces: &[Piece], colour: Colour, opacity: f64) {
        let corners = || {
            pieces.iter().flat_map(|piece| match piece {
                Piece::Move(a) | Piece::Line(a) => vec![*a],
                Piece::Cubic(a, b, c) => vec![*a, *b, *c],
            })
        };
        if corners().any(|corner| corner.iter().any(|value| !value.is_finite())) {
            return;
        }
        let low = [0, 1].map(|i| corners().map(|c| c[i]).fold(f64::INFINITY, f64::min).floor());
        let high = [0, 1].map(|i| corners().map(|c| c[i]).fold(f64::NEG_INFINITY, f64::max).ceil());
        // The rasterizer does not clip: it gets all of the outline, and pixels beyond the picture are dropped below.
        let most = 4.0 * self.width.max(self.height) as f64;
        let size = [0, 1].map(|i| (high[i] - low[i]).clamp(0.0, most) as usize);
        if size[0] == 0 || size[1] == 0 || low.iter().zip(high).any(|(low, high)| high - low > most)
        {
            return;
        }
        let at = |p: [f64; 2]| -> Point { point((p[0] - low[0]) as f32, (p[1] - low[1]) as f32) };
        let mut raster = Rasterizer::new(size[0], size[1]);
        let mut last = [0.0; 2];
        for piece in pieces {
            match piece {
                Piece::Move(a) => last = *a,
                Piece::Line(a) => {
                    raster.draw_line(at(last), at(*a));
                    last = *a;
                }
                Piece::Cubic(a, b, c) => {
                    raster.draw_cubic(at(last), at(*a), at(*b), at(*c));
                    last = *c;
                }
            }
        }
        let ink = colour.rgb();
        let (width, height) = (self.width, self.height);
        let within =
            |at: f64, limit: usize| (at >= 0.0 && at < limit as f64).then_some(at as usize);
        raster.for_each_pixel_2d(|x, y, coverage| {
            let cover = f64::from(coverage.abs().min(1.0)) * opacity;
            let x = within(low[0] + f64::from(x), width);
            let y = within(low[1] + f64::from(y), height);
            let (Some(x), Some(y), true) = (x, y, cover > 0.0) else { return };
            let place = 3 * (y * width + x);
            for (under, ink) in self.pixels[place..place + 3].iter_mut().zip(ink) {
                let mixed = f64::from(*under) * (1.0 - cover) + 255.0 * ink * cover;
                *under = mixed.round() as u8;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_leave_gaps_of_their_length() {
        let parts = dashes(&[[0.0, 0.0], [10.0, 0.0]], &[3.0, 2.0]);
        let ends: Vec<[f64; 2]> =
            parts.iter().map(|part| [part[0][0], part[part.len() - 1][0]]).collect();
        assert_eq!(ends, [[0.0, 3.0], [5.0, 8.0]]);
        assert_eq!(dashes(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], &[5.0, 1.0]).len(), 1);
    }
}
