use analysis::PictureFormat;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What `plot` draws.
#[derive(Debug, Args)]
pub(crate) struct PlotArgs {
    /// Folder of a sweep
    #[arg(default_value = "results/quick", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Plot to draw: its name, or what it shows on every task, as in curve; may be given again [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) plot: Vec<String>,
    /// Form of the files; SVG keeps text as text, PDF has it as outlines, PNG has 300 dots an inch
    #[arg(long, value_enum, default_value_t = FormatArg::Pdf)]
    pub(crate) format: FormatArg,
    /// Width: a number with mm, cm, in, pt or px
    #[arg(long, value_name = "LENGTH", default_value = "84mm")]
    pub(crate) width: String,
    /// Font: a TrueType or OpenType file, or for SVG the name of a family [default: DejaVu Sans]
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) font: Option<String>,
    /// Size of text in points
    #[arg(long, value_name = "POINTS", default_value_t = 8.0)]
    pub(crate) font_size: f64,
    /// Draw the title into the picture; without it, it is for the caption
    #[arg(long)]
    pub(crate) title: bool,
    /// Folder for the files [default: plots in DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// List the plots, and draw none
    #[arg(long)]
    pub(crate) list: bool,
}

/// Form of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    Svg,
    Png,
    Pdf,
}

impl From<FormatArg> for PictureFormat {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Svg => Self::Svg,
            FormatArg::Png => Self::Png,
            FormatArg::Pdf => Self::Pdf,
        }
    }
}
