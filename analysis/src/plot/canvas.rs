//! Pixels to draw on, of whichever kind.

use super::Colour;
use plotters::coord::Shift;
use plotters::prelude::{
    Circle, DrawingArea, DrawingBackend, FontStyle, FontTransform, IntoFont, PathElement, Polygon,
    RGBColor, Rectangle, Text, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, ShapeStyle, register_font};
use std::sync::Once;

/// Name of the font; a viewer of an SVG takes its own of this kind.
const FONT: &str = "sans-serif";
/// Size of words.
const SIZE: f64 = 15.0;

/// How a text lies at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The point is in the middle of its left side.
    Right,
    /// The point is in the middle of its right side.
    Left,
    /// The point is in the middle of its top.
    Below,
    /// The point is in its middle, and it reads upwards.
    Upwards,
}

/// A drawing area whose pixels are `scale` units of the backend wide. What goes wrong is kept until the end.
pub(super) struct Canvas<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    scale: f64,
    error: Option<String>,
}

impl<'a, B: DrawingBackend> Canvas<'a, B> {
    pub(super) fn new(area: &'a DrawingArea<B, Shift>, scale: f64, ground: Colour) -> Self {
        prepare_font();
        let filled = area.fill(&colour(ground));
        Self { area, scale, error: filled.err().map(|error| error.to_string()) }
    }

    /// What went wrong first.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.error {
            Some(error) => Err(error),
            None => self.area.present().map_err(|error| error.to_string()),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "pixels of a picture")]
    fn pixel(&self, [x, y]: [f64; 2]) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn pixels(&self, points: &[[f64; 2]]) -> Vec<(i32, i32)> {
        points.iter().map(|point| self.pixel(*point)).collect()
    }

    fn keep<T, E: std::fmt::Display>(&mut self, done: Result<T, E>) {
        if let Err(error) = done {
            self.error.get_or_insert_with(|| error.to_string());
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few pixels")]
    fn stroke(&self, of: Colour, width: f64) -> ShapeStyle {
        colour(of).stroke_width((width * self.scale).round().max(1.0) as u32)
    }

    pub(super) fn line(&mut self, points: &[[f64; 2]], of: Colour, width: f64) {
        let element = PathElement::new(self.pixels(points), self.stroke(of, width));
        self.keep(self.area.draw(&element));
    }

    pub(super) fn area(&mut self, points: &[[f64; 2]], of: Colour, opacity: f64) {
        let element = Polygon::new(self.pixels(points), colour(of).mix(opacity));
        self.keep(self.area.draw(&element));
    }

    pub(super) fn rectangle(&mut self, from: [f64; 2], to: [f64; 2], of: Colour, opacity: f64) {
        let style = colour(of).mix(opacity).filled();
        let element = Rectangle::new([self.pixel(from), self.pixel(to)], style);
        self.keep(self.area.draw(&element));
    }

    #[expect(clippy::cast_possible_truncation, reason = "a few pixels")]
    pub(super) fn dot(&mut self, at: [f64; 2], of: Colour, radius: f64) {
        let radius = (radius * self.scale).round() as i32;
        let element = Circle::new(self.pixel(at), radius, colour(of).filled());
        self.keep(self.area.draw(&element));
    }

    pub(super) fn text(&mut self, text: &str, at: [f64; 2], place: Place, of: Colour) {
        let (horizontal, vertical) = match place {
            Place::Right => (HPos::Left, VPos::Center),
            Place::Left => (HPos::Right, VPos::Center),
            Place::Below => (HPos::Center, VPos::Top),
            Place::Upwards => (HPos::Center, VPos::Center),
        };
        let font = (FONT, SIZE * self.scale).into_font();
        let font =
            if place == Place::Upwards { font.transform(FontTransform::Rotate270) } else { font };
        let colour = colour(of);
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, vertical));
        let element = Text::new(text.to_owned(), self.pixel(at), style);
        self.keep(self.area.draw(&element));
    }
}

/// Width of a text in pixels.
pub(super) fn text_width(text: &str) -> f64 {
    prepare_font();
    let size = (FONT, SIZE).into_font().box_size(text);
    size.map_or(text.chars().count() as f64 * 8.0, |(width, _)| f64::from(width))
}

fn prepare_font() {
    static ONCE: Once = Once::new();
    // Without it there are no words in pictures, and drawing them says so.
    ONCE.call_once(|| {
        let _ = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
    });
}

fn colour(of: Colour) -> RGBColor {
    let part = |at: usize| u8::from_str_radix(&of.light[at..at + 2], 16).unwrap_or(0);
    RGBColor(part(1), part(3), part(5))
}
