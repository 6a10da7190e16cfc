//! Who uses GELU, and figures of papers.

use activation::card::{StaticNotes, StaticPublished};

pub(super) const NOTES: StaticNotes = StaticNotes {
    used_in: "BERT, RoBERTa, ViT; with approximate=tanh: GPT-2, and BERT as Google wrote it",
    traps: "x (1 + erf(x/√2)) / 2 loses all digits below -8, since 1 + erf cancels; erfc(-x/√2) does not.",
    pytorch: "torch.nn.functional.gelu(x, approximate='none' or 'tanh')",
    published: &[
        StaticPublished {
            setting: "ResNet-20, CIFAR-10, 200 epochs, 3 seeds, best test accuracy of any epoch",
            figure: "93.04 ± 0.017 % (Mish 92.79 ± 0.25 %, SiLU 92.65 ± 0.24 %)",
            source: "MLS-Bench, task dl-activation-function",
        },
        StaticPublished {
            setting: "SqueezeNet, CIFAR-10, 50 epochs, 23 runs",
            figure: "87.37 ± 0.472 % test accuracy (ReLU 86.66 ± 0.584 %, Swish 87.32 ± 0.414 %)",
            source: "digantamisra98/Mish, README",
        },
        StaticPublished {
            setting: "ResNet-50, ImageNet",
            figure: "76.07 % top-1 accuracy (ReLU 75.44 %, Swish 75.17 %)",
            source: "arXiv:2502.03654; automl/GoLU",
        },
        StaticPublished {
            setting: "babyGPT, TinyStories, 10,000 iterations",
            figure: "perplexity 4.462 ± 0.005 (ReLU 4.519 ± 0.006, Swish 4.535 ± 0.004)",
            source: "arXiv:2502.03654; automl/GoLU",
        },
    ],
};
