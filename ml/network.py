"""EfficientNet-Lite0 for one grey channel, with one logit. Spec: Tan and Le 2019; the TPU repository's lite variant (ReLU6, no squeeze).

Layer names are those of the published PyTorch port, so that its ImageNet weights load by name; the three colours of the first layer
are summed, the thousand classes are left out.
"""
from pathlib import Path

import torch
from torch import nn

# repeats, kernel, stride, expansion, channels
_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
_EPSILON = 1e-3
FEATURES = 1280
FIRST_BLOCKS = 3


class SamePadding(nn.Module):
    """TensorFlow's SAME for a side that the stride divides: the odd line goes to the end."""

    def __init__(self, kernel: int, stride: int):
        super().__init__()
        before = (kernel - stride) // 2
        self.amounts = (before, kernel - stride - before) * 2

    def forward(self, x):
        return nn.functional.pad(x, self.amounts)


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, stride, 0 if stride > 1 else kernel // 2, groups=channels, bias=False)


class Block(nn.Module):
    def __init__(self, channels: int, expansion: int, kernel: int, stride: int, out: int):
        super().__init__()
        inner = channels * expansion
        self.expands, self.keeps = expansion > 1, stride == 1 and channels == out
        if self.expands:
            self._expand_conv = nn.Conv2d(channels, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, _EPSILON)
        self.padding = SamePadding(kernel, stride) if stride > 1 else nn.Identity()
        self._depthwise_conv = _depthwise(inner, kernel, stride)
        self._bn1 = nn.BatchNorm2d(inner, _EPSILON)
        self._project_conv = nn.Conv2d(inner, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, _EPSILON)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x):
        y = self.act(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self.act(self._bn1(self._depthwise_conv(self.padding(y))))
        y = self._bn2(self._project_conv(y))
        return x + y if self.keeps else y


class Network(nn.Module):
    """(films, 1, side, side), samples as (value - 127) / 128 -> (logit, feature map)."""

    FIRST = ("_conv_stem.", "_bn0.", *(f"_blocks.{block}." for block in range(FIRST_BLOCKS)))  # what training leaves alone

    def __init__(self, dropout: float = 0.2):
        super().__init__()
        self.padding = SamePadding(3, 2)
        self._conv_stem = nn.Conv2d(1, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, _EPSILON)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, out in _STAGES:
            for repeat in range(repeats):
                blocks.append(Block(channels, expansion, kernel, stride if repeat == 0 else 1, out))
                channels = out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(channels, FEATURES, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(FEATURES, _EPSILON)
        self.act = nn.ReLU6(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.verdict = nn.Linear(FEATURES, 1)

    def first_layers(self, x):
        x = self.act(self._bn0(self._conv_stem(self.padding(x))))
        for block in self._blocks[:FIRST_BLOCKS]:
            x = block(x)
        return x

    def forward(self, x):
        if self.training:  # the first layers stay as ImageNet left them: nearly half of the work for edges that films have too
            with torch.no_grad():
                x = self.first_layers(x)
        else:
            x = self.first_layers(x)
        for block in self._blocks[FIRST_BLOCKS:]:
            x = block(x)
        features = self.act(self._bn1(self._conv_head(x)))
        return self.verdict(self.dropout(features.mean((2, 3)))).squeeze(1), features

    def train(self, mode: bool = True):
        super().train(mode)
        for layer in (self._bn0, *self._blocks[:FIRST_BLOCKS]):
            layer.eval()
        return self

    def load_imagenet(self, path: Path) -> None:
        weights = torch.load(path, map_location="cpu")
        weights["_conv_stem.weight"] = weights["_conv_stem.weight"].sum(1, keepdim=True)
        weights = {name: value for name, value in weights.items() if not name.startswith("_fc.")}
        missing, unexpected = self.load_state_dict(weights, strict=False)
        if unexpected or sorted(missing) != ["verdict.bias", "verdict.weight"]:
            raise ValueError(f"{path}: not these weights: {missing} {unexpected}")
