"""CLIP's byte-pair encoding, from the vocabulary that ships beside this package."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY = Path(__file__).parent.parent / "tokenizers" / "clip"
START, END = 49406, 49407

WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""How CLIP cuts text before merging: contractions, runs of letters, single digits, runs of anything else."""


@dataclass(frozen=True)
class ClipBpe:
    """Text to token ids, without start, end and padding."""

    folder: Path = VOCABULARY

    def ids(self, text: str) -> list[int]:
        """The token ids of ``text``; case and white space do not count."""
        ids: list[int] = tokenizer(self.folder).encode(text, add_special_tokens=False).ids
        return ids

    def text(self, ids: list[int]) -> str:
        """Readable text of token ids."""
        pieces = "".join(tokenizer(self.folder).id_to_token(i) or "" for i in ids)
        return re.sub(r"\s+", " ", pieces.replace("</w>", " ")).strip()


@cache
def tokenizer(folder: Path) -> Tokenizer:
    """Built from vocabulary and merges once, in some 0.2 s."""
    from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    merges = [(left, right) for left, right in (line.split() for line in lines if line)]
    model = BPE(vocabulary, merges, unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix="")
    built = Tokenizer(model)
    built.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    built.add_special_tokens([AddedToken("<|startoftext|>"), AddedToken("<|endoftext|>")])
    return built
