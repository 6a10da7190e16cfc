//! Who uses SiLU, and figures of papers.

use activation::card::{StaticNotes, StaticPublished};

pub(super) const NOTES: StaticNotes = StaticNotes {
    used_in: "EfficientNet, YOLOv5 and later; with beta=1.702: CLIP",
    pytorch: "torch.nn.functional.silu(x), for beta = 1",
    published: &[
        StaticPublished {
            setting: "ResNet-20, CIFAR-10, 200 epochs, 3 seeds, best test accuracy of any epoch",
            figure: "92.65 ± 0.24 % (GELU 93.04 ± 0.017 %, Mish 92.79 ± 0.25 %)",
            source: "MLS-Bench, task dl-activation-function",
        },
        StaticPublished {
            setting: "SqueezeNet, CIFAR-10, 50 epochs, 23 runs",
            figure: "87.32 ± 0.414 % test accuracy (ReLU 86.66 ± 0.584 %, GELU 87.37 ± 0.472 %)",
            source: "digantamisra98/Mish, README",
        },
        StaticPublished {
            setting: "ResNet-50, ImageNet",
            figure: "75.17 % top-1 accuracy (ReLU 75.44 %, GELU 76.07 %)",
            source: "arXiv:2502.03654; automl/GoLU",
        },
        StaticPublished {
            setting: "babyGPT, TinyStories, 10,000 iterations",
            figure: "perplexity 4.535 ± 0.004 (ReLU 4.519 ± 0.006, GELU 4.462 ± 0.005)",
            source: "arXiv:2502.03654; automl/GoLU",
        },
    ],
    ..StaticNotes::NONE
};
