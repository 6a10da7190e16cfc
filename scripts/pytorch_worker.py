"""The processes of bench_pytorch.py that import PyTorch, and the operations and models they measure.

The script itself imports this module too, so PyTorch is imported within functions.
"""

import json
import math
import os
import resource
import sys
import time

from program import Failure

POINTWISE = ("relu", "leaky_relu", "gelu", "silu")
ACTIVATIONS = (*POINTWISE, "swiglu")
LAYOUTS = ("contiguous", "channels_last")
PEAKS = ("copy", "gemm")

# Name -> the variants of PyTorch that are measured. A pointwise operation passes over memory in order,
# so the memory format changes nothing.
OPERATIONS = {
    **{peak: ("contiguous",) for peak in PEAKS},
    **{
        f"{name} {passes}": ("contiguous",)
        for name in POINTWISE
        for passes in ("forward", "forward + backward")
    },
    "batch norm forward + backward": LAYOUTS,
    "conv 3x3 forward": LAYOUTS,
    "conv 3x3 forward + backward": LAYOUTS,
    "layer norm forward + backward": ("contiguous",),
    "softmax forward + backward": ("contiguous",),
    "linear forward + backward": ("contiguous",),
}

# Two sides that train different networks are not compared: the parameters are checked. They are those
# of the plain activations, and of swiglu, whose layers are narrower.
MODELS = {
    "resnet20": {
        "batch": 128,
        "parameters": (269_722, 270_990),
        "variants": ("eager", "channels_last", "compile"),
        "config": {
            "depth": 20, "in_channels": 3, "image_size": 32, "classes": 10, "base_width": 16,
        },
    },
    "bert-mini": {
        "batch": 32,
        "length": 64,
        "parameters": (11_171_074, 11_164_226),
        "variants": ("eager", "sdpa", "compile", "compile sdpa"),
        "config": {
            "vocab": 30_522, "max_len": 512, "hidden": 256, "layers": 4, "heads": 4, "ffn": 1024,
            "classes": 2,
        },
    },
}
STEP_VARIANTS = ("eager", "channels_last", "sdpa", "compile", "compile sdpa")
LEARNING_RATE = 0.01


def timed(action, rounds):
    """Seconds of each call. What a call returns is freed within its time."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return seconds


def operation(name, variant):
    """The operation as a function without arguments; its operands are ready."""
    import torch
    import torch.nn.functional as F

    import pytorch_fixtures as models

    def draw(*shape):
        tensor = torch.randn(shape)
        if variant == "channels_last" and len(shape) == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    images = (128, 16, 32, 32)
    if name == "copy":
        source, target = draw(*images), draw(*images)
        return lambda: target.copy_(source)
    if name == "gemm":
        a, b, product = (draw(1024, 1024) for _ in range(3))
        return lambda: torch.mm(a, b, out=product)

    def norm_images(x, gamma, beta):
        # Without running statistics: updating 16 means and variances costs next to nothing.
        return F.batch_norm(x, None, None, gamma, beta, training=True)

    recipes = {
        **{name: (models.ACTIVATIONS[name], [images]) for name in POINTWISE},
        "batch norm": (norm_images, [images, (16,), (16,)]),
        "conv 3x3": (lambda x, w: F.conv2d(x, w, padding=1), [images, (16, 16, 3, 3)]),
        "layer norm": (
            lambda x, gamma, beta: F.layer_norm(x, (256,), gamma, beta), [(2048, 256), (256,), (256,)],
        ),
        "softmax": (lambda x: x.softmax(dim=-1), [(32, 4, 64, 64)]),
        "linear": (F.linear, [(2048, 256), (1024, 256), (1024,)]),
    }
    base, _, backward = name.partition(" forward")
    function, shapes = recipes[base]
    operands = [draw(*shape) for shape in shapes]
    if not backward:

        def forward():
            with torch.inference_mode():
                return function(*operands)

        return forward

    gradient = draw(*function(*operands).shape)
    for operand in operands:
        operand.requires_grad_()
    return lambda: torch.autograd.grad(function(*operands), operands, gradient)


def training_step(name, activation, batch, variant, device):
    """One training step as a function without arguments, and the number of parameters."""
    import torch
    import torch.nn.functional as F

    import pytorch_fixtures as models
    import pytorch_yardstick as yardstick

    size = MODELS[name]
    config = size["config"]
    torch.manual_seed(1)
    labels = torch.randint(config["classes"], (batch,))
    if name == "resnet20":
        model = models.ResNet(config, activation)
        images = torch.randn(batch, config["in_channels"], config["image_size"], config["image_size"])
        if variant == "channels_last":
            model = model.to(memory_format=torch.channels_last)
            images = images.contiguous(memory_format=torch.channels_last)
        inputs = (images,)
    else:
        model = models.Bert(config, activation, dropout=0.0)
        for layer in model.layers:
            layer.attention.fused = "sdpa" in variant
        tokens = torch.randint(config["vocab"], (batch, size["length"]))
        inputs = (tokens, torch.full((batch,), size["length"]))
    yardstick.initialize(model, 0.02)
    model.to(device).train()
    inputs, labels = tuple(x.to(device) for x in inputs), labels.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def loss_of(inputs, labels):
        return F.cross_entropy(model(*inputs), labels)

    if variant.startswith("compile"):
        loss_of = torch.compile(loss_of)

    def step():
        optimizer.zero_grad()
        loss = loss_of(inputs, labels)
        loss.backward()
        optimizer.step()
        if labels.is_cuda:
            torch.cuda.synchronize(labels.device)
        return loss.item()

    return step, models.count_parameters(model)


def peak_memory():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def work(job):
    """Answers the requests on standard input, a line each, until it is closed."""
    # Standard output is for answers: whatever else prints goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(job["threads"])
    torch.set_num_interop_threads(1)
    if job.get("device", "cpu") != "cpu":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = job["tf32"]
    import_bytes = peak_memory()
    actions = {}

    def answer(request):
        if request["do"] == "describe":
            device = request["device"]
            return {
                "torch": torch.__version__,
                "capability": torch.backends.cpu.get_cpu_capability(),
                "mkl": torch.backends.mkl.is_available(),
                "onednn": torch.backends.mkldnn.is_available(),
                "openmp": torch.backends.openmp.is_available(),
                "gpu": None if device == "cpu" else torch.cuda.get_device_name(device),
            }
        if request["do"] == "operation":
            key = request["operation"], request["variant"]
            if key not in actions:
                actions[key] = operation(*key)
            timed(actions[key], 3)
            return {"seconds": timed(actions[key], request["rounds"])}
        if request["do"] == "prepare":
            began = time.perf_counter()
            step, parameters = training_step(
                job["model"], job["activation"], job["batch"], job["variant"], job["device"]
            )
            actions["step"] = step
            step()
            return {"parameters": parameters, "first_seconds": time.perf_counter() - began}
        timed(actions["step"], 2)
        seconds = timed(actions["step"], request["rounds"])
        if not math.isfinite(actions["step"]()):
            raise Failure("the loss is no longer finite")
        return {"seconds": seconds, "peak_bytes": peak_memory(), "import_bytes": import_bytes}

    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            text = str(error).strip() or "no message"
            reply = {"error": f"{type(error).__name__}: {text.splitlines()[0]}"}
        print(json.dumps(reply), file=answers, flush=True)


def train_runs(arguments):
    """What pytorch_yardstick.py does, at full speed."""
    import torch

    import pytorch_yardstick as yardstick

    # The yardstick is deterministic, as ActLab is. PyTorch then fills fresh memory too, which is an aid
    # for finding faults and costs time in every step.
    torch.utils.deterministic.fill_uninitialized_memory = False
    sys.argv = ["pytorch_yardstick.py", *arguments]
    yardstick.main()
