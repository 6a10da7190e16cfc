#!/usr/bin/env python3
"""Write small BERT checkpoints of Hugging Face's `transformers`, with the logits they give.

Two networks with random weights, saved by `save_pretrained`: a `BertForMaskedLM`
and a `BertForSequenceClassification`. `logits.json` holds, for each, token ids,
lengths (what lies behind them is padding) and logits in evaluation mode:
[batch, classes], or [batch · tokens, vocabulary] of the tokens that are no padding.
`crates/core/tests/core/pretrained.rs` loads the checkpoints and compares.

    pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0
    python scripts/huggingface_fixtures.py --out crates/core/tests/fixtures/huggingface
"""

import argparse
import json
import os
import shutil
import tempfile

import torch
import transformers

VOCABULARY, TOKENS, CLASSES = 50, 9, 3
LENGTHS = [9, 5, 7]

CONFIG = transformers.BertConfig(
    vocab_size=VOCABULARY,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=12,
    num_labels=CLASSES,
    attn_implementation="eager",
)


@torch.no_grad()
def randomize(model, seed):
    """Weights at which every parameter matters; those of `transformers` leave biases at zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.named_parameters():
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("LayerNorm.weight"):
            tensor.copy_(1 + 0.2 * noise)
        elif name.endswith("bias"):
            tensor.copy_(0.3 * noise)
        elif "embeddings" in name:
            tensor.copy_(0.5 * noise)
        else:
            tensor.copy_(noise * (1.5 / tensor.shape[1]) ** 0.5)


def save(model, path):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        shutil.copy(os.path.join(folder, "model.safetensors"), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(1, VOCABULARY, (len(LENGTHS), TOKENS), generator=generator)
    present = torch.arange(TOKENS) < torch.tensor(LENGTHS)[:, None]
    tokens[~present] = 0
    fixture = {
        "source": f"PyTorch {torch.__version__.split('+')[0]}, transformers "
        f"{transformers.__version__}, scripts/huggingface_fixtures.py",
        "shape": list(tokens.shape),
        "tokens": tokens.flatten().tolist(),
        "lengths": LENGTHS,
    }
    for name, kind, seed in [
        ("masked_lm", transformers.BertForMaskedLM, 1),
        ("classification", transformers.BertForSequenceClassification, 2),
    ]:
        model = kind(CONFIG).eval()
        randomize(model, seed)
        save(model, os.path.join(args.out, f"{name}.safetensors"))
        with torch.no_grad():
            logits = model(tokens, attention_mask=present.long()).logits
        rows = logits[present] if name == "masked_lm" else logits
        fixture[name] = [float(f"{x:.7g}") for x in rows.flatten().tolist()]
    with open(os.path.join(args.out, "logits.json"), "w") as file:
        json.dump(fixture, file)
        file.write("\n")


if __name__ == "__main__":
    main()
