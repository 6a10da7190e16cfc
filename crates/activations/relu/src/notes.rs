//! Who uses ReLU, and figures of papers.

use activation::card::{StaticNotes, StaticPublished};

pub(super) const NOTES: StaticNotes = StaticNotes {
    used_in: "AlexNet, VGG, ResNet, the Transformer of 2017, OPT",
    pytorch: "torch.nn.functional.relu(x)",
    published: &[
        StaticPublished {
            setting: "SqueezeNet, CIFAR-10, 50 epochs, 23 runs",
            figure: "86.66 ± 0.584 % test accuracy (Mish 87.48 ± 0.397 %, GELU 87.37 ± 0.472 %, Swish 87.32 ± 0.414 %)",
            source: "digantamisra98/Mish, README",
        },
        StaticPublished {
            setting: "ResNet-50, ImageNet",
            figure: "75.44 % top-1 accuracy (GELU 76.07 %, Swish 75.17 %)",
            source: "arXiv:2502.03654; automl/GoLU",
        },
        StaticPublished {
            setting: "babyGPT, TinyStories, 10,000 iterations",
            figure: "perplexity 4.519 ± 0.006 (GELU 4.462 ± 0.005, Swish 4.535 ± 0.004)",
            source: "arXiv:2502.03654; automl/GoLU",
        },
    ],
    ..StaticNotes::NONE
};
