//! Who uses LeakyReLU, and figures of papers.

use activation::card::{StaticNotes, StaticPublished};

pub(super) const NOTES: StaticNotes = StaticNotes {
    used_in: "YOLOv3 (slope 0.1), generative adversarial networks (slope 0.2); as PReLU: ArcFace, SRGAN",
    pytorch: "torch.nn.functional.leaky_relu(x, negative_slope=slope)",
    published: &[StaticPublished {
        setting: "SqueezeNet, CIFAR-10, 50 epochs, 23 runs, slope 0.3",
        figure: "86.85 % test accuracy (ReLU 86.66 ± 0.584 %, PReLU 85.66 ± 2.24 %)",
        source: "digantamisra98/Mish, README",
    }],
    ..StaticNotes::NONE
};
