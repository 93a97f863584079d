"""One measure in MONAI and PyTorch, in a process of its own.

Usage: python peer.py make MEASURE FOLDER     writes weights and inputs for both programs
       python peer.py measure MEASURE FOLDER  computes with them and prints seconds and peak memory as JSON
       python peer.py versions

Measures, sizes and what is counted are those of `bipvl bench`; texts and labels are counted out as there, in
crates/cli/src/commands/bench/source.rs. The whole network is that of the reference tests.
"""

import argparse
import contextlib
import json
import shutil
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "crates/bipvl/tests/reference"))

import monai
import numpy as np
import torch
import transformers
from monai.losses import DiceCELoss
from monai.networks.nets import SwinUNETR
from safetensors.torch import load_file, save_file

import losses
from training_step import Network, Size

# At patches of 32³ the bottleneck is one voxel, which PyTorch refuses to normalize although it could.
torch.nn.functional._verify_spatial_size = lambda size: None

OUTPUTS = 14
CLASSES, CONCEPTS = 15, 6
FULL_TOKENS, CONCEPT_TOKENS = 48, 12
LEARNING_RATE, WEIGHT_DECAY = 1e-4, 1e-5
STAGE_LAYERS = [6, 2, 2, 2]
CT_SHAPE, SMOKE_TEST_CT_SHAPE = (256, 256, 160), (64, 64, 40)
PAIR_SHAPE, SMOKE_TEST_PAIR_SHAPE = (256, 256, 160), (48, 48, 32)
SPACING = (1.0, 1.0, 2.0)
# Repetitions after the first one end when they would take longer than this together.
BUDGET_SECONDS = 60


class FeatureSize(int):
    """Any: MONAI asks for a multiple of 12 and does not need one."""

    def __mod__(self, divisor):
        return 0 if divisor == 12 else int(self) % divisor


def whole(side, batch, feature_size, heads, window, words, hidden, text_heads, fusion, shared):
    text = {
        "vocab_size": words,
        "hidden_size": hidden,
        "num_hidden_layers": sum(STAGE_LAYERS),
        "num_attention_heads": text_heads,
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": 512,
    }
    vision = {"feature_size": FeatureSize(feature_size), "num_heads": heads, "window_size": window}
    heads, mlp = fusion
    return Size(batch, (side,) * 3, vision, text, STAGE_LAYERS, mlp, heads, CLASSES, CONCEPTS, shared)


PAPER = whole(96, 1, 48, (3, 6, 12, 24), 7, 28996, 768, 12, (8, 2048), 128)
TINY = whole(32, 2, 16, (2, 4, 8, 16), 4, 600, 64, 4, (4, 128), 32)
# What `bipvl bench file` segments with.
NARROW = whole(96, 1, 12, (3, 6, 12, 24), 7, 600, 128, 4, (4, 256), 64)
SMOKE_TEST_NARROW = NARROW._replace(patch=(32,) * 3)


class Task:
    """What a measure computes with; a subclass makes its files, prepares, runs once, and saves the result."""

    warms_up = True

    def __init__(self, options):
        self.options = options
        self.weights = options.folder / "weights.safetensors"
        self.input = options.folder / "input.safetensors"

    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16) if self.options.bf16 else contextlib.nullcontext()

    def save_noise(self, *shape):
        save_file({"image": torch.randn(shape)}, self.input)

    def image(self):
        return load_file(self.input)["image"]


def swin(options):
    feature_size = 12 if options.smoke_test else int(options.measure.split("-")[1])
    flash = {"use_flash_attention": options.best}
    return SwinUNETR(in_channels=1, out_channels=OUTPUTS, feature_size=feature_size, use_v2=False, **flash)


class SwinTask(Task):
    def make(self):
        side = 32 if self.options.smoke_test else int(self.options.measure.split("-")[2])
        save_file({name: tensor.detach() for name, tensor in swin(self.options).named_parameters()}, self.weights)
        self.save_noise(1, 1, side, side, side)

    def prepare(self):
        self.network = swin(self.options)
        # Tables of positions are no weights.
        self.network.load_state_dict(load_file(self.weights), strict=False)
        self.input_image = self.image()


class VisionForward(SwinTask):
    def prepare(self):
        super().prepare()
        self.network.eval()

    def run(self):
        self.logits = None
        with torch.inference_mode(), self.autocast():
            self.logits = self.network(self.input_image)

    def result(self):
        return {"logits": self.logits}


class Optimization:
    """Steps of AdamW, and the loss before each."""

    def __init__(self, parameters, options, max_grad_norm=0.0):
        self.parameters, self.max_grad_norm = list(parameters), max_grad_norm
        fused = {"fused": True} if options.best else {}
        self.adamw = torch.optim.AdamW(self.parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, **fused)
        self.losses = []

    def step(self, loss):
        self.losses.append(loss.item())
        self.adamw.zero_grad()
        loss.backward()
        if self.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
        self.adamw.step()

    def result(self):
        return {"losses": torch.tensor(self.losses)}


class VisionTraining(SwinTask):
    def prepare(self):
        super().prepare()
        self.labels = labels(self.input_image.shape, OUTPUTS)
        self.loss = DiceCELoss(to_onehot_y=True, softmax=True)
        self.optimization = Optimization(self.network.parameters(), self.options)

    def run(self):
        with self.autocast():
            logits = self.network(self.input_image)
        self.optimization.step(self.loss(logits.float(), self.labels.unsqueeze(1)))

    def result(self):
        return self.optimization.result()


# Norms of a two-way layer: the reference module numbers them, the program names them.
TWO_WAY_NORMS = ["self_attention", "text_to_vision", "text_mlp", "vision_to_text", "vision_mlp"]


def saved_name(name):
    for index, norm in enumerate(TWO_WAY_NORMS):
        name = name.replace(f".norms.{index}.", f".{norm}_norm.")
    return name


class WholeTask(Task):
    def size(self):
        if self.options.measure == "text-train" or self.options.smoke_test:
            return TINY
        return PAPER

    def make(self):
        network = Network(self.size())
        weights = network.named_weights().items()
        learned = {saved_name(name): tensor for name, tensor in weights if "log_sigma" not in name}
        save_file({name: tensor.detach().contiguous() for name, tensor in learned.items()}, self.weights)
        self.make_input()

    def make_input(self):
        self.save_noise(self.size().batch, 1, *self.size().patch)

    def prepare(self):
        size = self.size()
        vision = size.vision | {"use_flash_attention": self.options.best}
        self.network = Network(size._replace(vision=vision))
        saved = load_file(self.weights)
        for name, tensor in self.network.named_weights().items():
            if saved_name(name) in saved:
                tensor.data.copy_(saved[saved_name(name)])
        words = size.text["vocab_size"]
        self.full = tokens(CLASSES, FULL_TOKENS, words)
        self.concepts = tokens(CLASSES * CONCEPTS, CONCEPT_TOKENS, words)


class TextWindow(WholeTask):
    """The text passes its first layers for every window, or once."""

    def prepare(self):
        super().prepare()
        self.input_image = self.image()
        self.encoded = None
        for module in self.network.modules:
            module.eval()
        if self.options.measure.endswith("cached"):
            with torch.inference_mode(), self.autocast():
                self.encoded = self.network.encode(*self.full)

    def run(self):
        self.logits = None
        with torch.inference_mode(), self.autocast():
            encoded = self.network.encode(*self.full) if self.encoded is None else self.encoded
            self.logits, _ = self.network.see(self.input_image, encoded, self.full[1])

    def result(self):
        return {"logits": self.logits}


class TextTraining(WholeTask):
    def prepare(self):
        super().prepare()
        self.input_image = self.image()
        self.labels = labels(self.input_image.shape, CLASSES + 1)
        max_grad_norm = 1.0 if self.size() is TINY else 0.0
        self.optimization = Optimization(self.network.named_weights().values(), self.options, max_grad_norm)

    def run(self):
        with self.autocast():
            outputs = self.network.forward(self.input_image, self.full, self.concepts)
        logits, class_embedding, vision, concepts = (output.float() for output in outputs)
        three = [
            losses.segmentation(logits, self.labels),
            losses.class_embedding(class_embedding, logits),
            losses.alignment(vision, concepts, "over_concepts", "most_similar"),
        ]
        log_sigma = self.network.ours.loss_weights["log_sigma"]
        self.optimization.step(losses.total(torch.stack(three), log_sigma, "released"))

    def result(self):
        return self.optimization.result()


class File(WholeTask):
    """From a CT file to a label file, as MONAI's tutorials do it."""

    warms_up = False

    def size(self):
        return SMOKE_TEST_NARROW if self.options.smoke_test else NARROW

    def make_input(self):
        import nibabel

        shape = SMOKE_TEST_CT_SHAPE if self.options.smoke_test else CT_SHAPE
        hu = np.random.default_rng(0).normal(20, 25, shape)
        x, y, _ = centered(shape)
        hu[np.broadcast_to((x / 0.9) ** 2 + (y / 0.8) ** 2 > 1, shape)] = -1000
        hu[class_map(shape) > 0] += 100
        affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
        nibabel.save(nibabel.Nifti1Image(hu.astype(np.int16), affine), self.options.folder / "input.nii.gz")

    def prepare(self):
        super().prepare()
        for module in self.network.modules:
            module.eval()

    def recipe(self):
        from monai import transforms as t

        return t.Compose(
            [
                t.LoadImaged("image"),
                t.EnsureChannelFirstd("image"),
                t.Orientationd("image", axcodes="RAS"),
                t.Spacingd("image", pixdim=(1.5, 1.5, 2.0), mode="bilinear"),
                t.ScaleIntensityRanged("image", -175, 250, 0, 1, clip=True),
                t.CropForegroundd("image", source_key="image"),
            ]
        )

    def run(self):
        from monai import transforms as t
        from monai.inferers import sliding_window_inference

        recipe = self.recipe()
        with torch.inference_mode(), self.autocast():
            encoded = self.network.encode(*self.full)
            case = recipe({"image": str(self.options.folder / "input.nii.gz")})
            case["logits"] = sliding_window_inference(
                case["image"][None],
                self.size().patch,
                1,
                lambda patch: self.network.see(patch, encoded, self.full[1])[0].float(),
                overlap=0.25,
                mode="gaussian",
            )[0]
            # Logits are interpolated before the decision.
            restore = t.Invertd("logits", recipe, orig_keys="image", nearest_interp=False)
            labels = restore(case)["logits"].argmax(0, keepdim=True)
            how = {"output_postfix": "", "output_dtype": np.uint8, "resample": False, "separate_folder": False}
            t.SaveImage(self.options.folder / "peer", print_log=False, **how)(labels)

    def save(self, path):
        shutil.copy(self.options.folder / "peer" / "input.nii.gz", path)


class Score(Task):
    def make(self):
        reference = class_map(SMOKE_TEST_PAIR_SHAPE if self.options.smoke_test else PAIR_SHAPE)
        prediction = np.roll(reference, (2, 1, 1), (0, 1, 2))
        pair = {"prediction": prediction, "reference": reference}
        save_file({name: torch.from_numpy(voxels).float() for name, voxels in pair.items()}, self.input)

    def prepare(self):
        pair = load_file(self.input)
        self.pair = [pair[name].to(torch.uint8) for name in ("prediction", "reference")]

    def run(self):
        from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
        from monai.networks import one_hot

        pair = [one_hot(labels[None, None], CLASSES + 1) for labels in self.pair]
        settings = {"include_background": False, "spacing": SPACING}
        dice = compute_dice(*pair, include_background=False)
        hd95 = compute_hausdorff_distance(*pair, percentile=95, **settings)
        nsd = compute_surface_dice(*pair, class_thresholds=[2.0] * CLASSES, **settings)
        self.scores = torch.stack([dice[0], hd95[0], nsd[0]], dim=1)

    def result(self):
        return {"scores": self.scores}


def labels(image_shape, outputs):
    """Blocks of eight voxels in each direction."""
    batch, _, *sides = image_shape
    x, y, z = torch.meshgrid(*(torch.arange(side) // 8 for side in sides), indexing="ij")
    return ((x + 2 * y + 3 * z) % outputs).repeat(batch, 1, 1, 1)


def tokens(texts, length, words):
    """Ids, and which of them are real: some texts are up to three tokens shorter."""
    text, at = torch.arange(texts)[:, None], torch.arange(length)[None]
    return (5 + 37 * text + 11 * at) % words, at + text % 4 < length


def centered(shape):
    """From -1 to 1 along each axis."""
    return np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij", sparse=True)


def class_map(shape):
    """Fifteen ellipsoids, five along x and three along y."""
    x, y, z = centered(shape)
    voxels = np.zeros(shape, np.uint8)
    for label in range(CLASSES):
        cx, cy = -0.8 + 0.4 * (label // 3), -2 / 3 + 2 / 3 * (label % 3)
        voxels[((x - cx) / 0.16) ** 2 + ((y - cy) / 0.26) ** 2 + (z / 0.7) ** 2 < 1] = label + 1
    return voxels


def task_of(options):
    kinds = {"vision": VisionForward, "train": VisionTraining, "file": File, "score": Score}
    for kind, task in ({"text-window": TextWindow, "text-train": TextTraining} | kinds).items():
        if options.measure.startswith(kind):
            return task(options)
    raise SystemExit(f"expected a measure of bipvl bench, found {options.measure}")


def measure(task, options):
    task.prepare()
    forget_peak()
    if task.warms_up:
        task.run()
    seconds = [timed(task)]
    while len(seconds) < options.repeat and sum(seconds[1:]) + seconds[-1] <= BUDGET_SECONDS:
        seconds.append(timed(task))
    peak = peak_mib()
    if isinstance(task, File):
        task.save(options.output)
    else:
        save_file({name: tensor.float().contiguous() for name, tensor in task.result().items()}, options.output)
    print(json.dumps({"seconds": seconds, "peak_mib": peak, "threads": torch.get_num_threads()}))


def timed(task):
    began = time.perf_counter()
    task.run()
    return time.perf_counter() - began


def forget_peak():
    """Lets the peak begin again at what is resident now, so that preparations do not count."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10


def versions():
    python = sys.version.split()[0]
    packages = {package.__name__: package.__version__ for package in (torch, monai, transformers, np)}
    print(json.dumps({"python": python} | packages))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["make", "measure", "versions"])
    parser.add_argument("measure", nargs="?")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke-test", action="store_true", help="the small sizes of bipvl bench --smoke-test")
    parser.add_argument("--best", action="store_true", help="MONAI's flash attention and the fused AdamW")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    match options.action:
        case "versions":
            versions()
        case "make":
            task_of(options).make()
        case "measure":
            measure(task_of(options), options)


if __name__ == "__main__":
    main()
