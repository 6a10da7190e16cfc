//! Who uses SwiGLU, and figures of papers.

use activation::card::{StaticNotes, StaticPublished};

pub(super) const NOTES: StaticNotes = StaticNotes {
    used_in: "Llama, PaLM, Qwen, DeepSeek",
    published: &[
        StaticPublished {
            setting: "Language model of 1B parameters",
            figure: "loss 2.19 (PolyNorm 2.17)",
            source: "arXiv:2411.03884",
        },
        StaticPublished {
            setting: "GPT-2 124M, 10B tokens",
            figure: "better at 152M parameters, no better with parameters matched",
            source: "karpathy/llm.c, pull request 755",
        },
    ],
    ..StaticNotes::NONE
};
