//! Single plots of a report as files of a chosen form and size.

use super::Report;
use crate::plot::{Font, Layout, Plot};

/// Form of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Text stays text.
    Svg,
    /// 300 dots an inch.
    Png,
    /// Letters are outlines: no font is missing.
    Pdf,
}

impl PictureFormat {
    /// The ending of its files.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Pdf => "pdf",
        }
    }
}

/// Letters of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureFont {
    /// DejaVu Sans, which the program has.
    Default,
    /// A family that the viewer of an SVG has.
    Family(String),
    /// Name and content of a TrueType or OpenType file.
    File(String, Vec<u8>),
}

/// How plots are drawn for print.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Form of the files.
    pub format: PictureFormat,
    /// Width in millimetres.
    pub width_mm: f64,
    /// Size of text in points.
    pub points: f64,
    /// Letters.
    pub font: PictureFont,
    /// Whether the title is drawn; a paper has it in the caption.
    pub title: bool,
}

/// A plot that was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// Name of its file.
    pub file: String,
    /// What it shows, as a caption says it.
    pub caption: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Report {
    /// Names of all plots, as in `fashion_resnet8-curve`, with their titles.
    #[must_use]
    pub fn plots(&self) -> Vec<(String, String)> {
        self.figures.iter().map(|plot| (plot.name.clone(), plot.title.clone())).collect()
    }

    /// Draws the plots named `wanted`, by their names or by what they show on every task, as `curve`; all without any.
    ///
    /// # Errors
    /// If no plot has a name, or the font is none, in a sentence.
    pub fn draw(&self, wanted: &[String], drawing: &Drawing) -> Result<Vec<Drawn>, String> {
        let font = match &drawing.font {
            PictureFont::Default => Font::default(),
            PictureFont::Family(name) => Font::family(name),
            PictureFont::File(name, bytes) => Font::file(name, bytes.clone())
                .map_err(|error| format!("{name} is not a TrueType or OpenType font: {error}"))?,
        };
        let layout = Layout::print(drawing.width_mm, drawing.points, font, drawing.title);
        if let Some(unknown) =
            wanted.iter().find(|name| !self.figures.iter().any(|plot| is(plot, name)))
        {
            let mut names: Vec<&str> = self.figures.iter().map(|plot| plot.name.as_str()).collect();
            names.sort_unstable();
            return Err(format!("no plot is named `{unknown}`; there are {}", names.join(", ")));
        }
        let chosen = |plot: &&Plot| wanted.is_empty() || wanted.iter().any(|name| is(plot, name));
        let one = |plot: &Plot| {
            let bytes = match drawing.format {
                PictureFormat::Svg => plot.svg(&layout).into_bytes(),
                PictureFormat::Png => plot.png(&layout)?,
                PictureFormat::Pdf => plot.pdf(&layout),
            };
            let caption = [plot.title.as_str(), plot.note.as_str()].join(". ");
            Ok(Drawn {
                file: format!("{}.{}", plot.name, drawing.format.extension()),
                caption: caption.trim_end_matches([' ', '.']).to_owned() + ".",
                bytes,
            })
        };
        self.figures.iter().filter(chosen).map(one).collect()
    }
}

/// Whether a plot has this name, or shows this on its task.
fn is(plot: &Plot, name: &str) -> bool {
    plot.name == name || plot.name.strip_suffix(name).is_some_and(|task| task.ends_with('-'))
}
