"""Train the embedded idea model, and measure it.

    python -m training.train_ideas --held-out occasion_queries.jsonl      # about 15 minutes on one core
    python -m training.train_ideas --check-only --held-out occasion_queries.jsonl

The pairs come from `idea_grammar`; no query of the held-out file, nor one that contains its wording, is trained on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save as serialize
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import T5Config, T5ForConditionalGeneration

from fashion_search.ideas import (
    EMBEDDED,
    END,
    IDEA_ENDS,
    MAX_ANSWER_TOKENS,
    MAX_QUERY_TOKENS,
    PAD,
    QUERY_ITSELF,
    SPECIAL_TOKENS,
    EmbeddedIdeas,
)
from training.idea_grammar import Example, examples, ideas_for, short_examples
from training.idea_vocabulary import OCCASIONS

_END_FOR = {"women": "<women>", "men": "<men>", None: "<any>"}
_IGNORED = -100  # the loss skips these positions


@dataclass(frozen=True, slots=True)
class HeldOutQuery:
    """A query nobody trained on, and the kinds of items that would suit it."""

    query: str
    plausible_categories: tuple[str, ...]


def read_held_out(path: Path) -> list[HeldOutQuery]:
    """Return the queries of a JSON-lines file with `query` and `plausible_categories`."""
    rows = (
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
    )
    return [HeldOutQuery(row["query"], tuple(row["plausible_categories"])) for row in rows]


def _id(tokenizer: Tokenizer, token: str) -> int:
    token_id = tokenizer.token_to_id(token)
    assert token_id is not None, "the tokenizer is made with all special tokens"
    return token_id


def new_tokenizer(samples: Sequence[Example]) -> Tokenizer:
    """Return a byte-level BPE tokenizer of the grammar's words; there is no text it cannot read."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2_000,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (
        text
        for example in samples
        for text in (example.query, " ".join(item.text for item in example.ideas))
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def new_model(tokenizer: Tokenizer) -> T5ForConditionalGeneration:
    """Return the untrained model."""
    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=128,
        d_kv=32,
        d_ff=256,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=True,
        pad_token_id=_id(tokenizer, PAD),
        eos_token_id=_id(tokenizer, END),
        decoder_start_token_id=_id(tokenizer, PAD),
    )
    return T5ForConditionalGeneration(config)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded token ids; the mask says which query tokens are real."""

    queries: torch.Tensor
    mask: torch.Tensor
    answers: torch.Tensor


def _padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def batches(tokenizer: Tokenizer, stream: Iterator[Example], size: int) -> Iterator[Batch]:
    """Yield batches of examples of like length, so that little of the work is padding."""
    end, pad = _id(tokenizer, END), _id(tokenizer, PAD)
    while True:
        pool = list(itertools.islice(stream, size * 32))
        queries = [
            [*encoded.ids[:MAX_QUERY_TOKENS], end]
            for encoded in tokenizer.encode_batch([e.query for e in pool])
        ]
        answers = [_answer_ids(tokenizer, example) for example in pool]
        order = sorted(
            range(len(pool)), key=lambda place: (len(answers[place]), len(queries[place]))
        )
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        for place in torch.randperm(len(groups)).tolist():
            group = groups[place]
            read = _padded([queries[i] for i in group], pad)
            yield Batch(read, read.ne(pad).long(), _padded([answers[i] for i in group], _IGNORED))


def _answer_ids(tokenizer: Tokenizer, example: Example) -> list[int]:
    ids: list[int] = []
    for item in example.ideas:
        is_query = item.text == QUERY_ITSELF
        ids += [_id(tokenizer, QUERY_ITSELF)] if is_query else tokenizer.encode(item.text).ids
        ids.append(_id(tokenizer, _END_FOR[item.for_whom]))
    return [*ids[: MAX_ANSWER_TOKENS - 1], _id(tokenizer, END)]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training: for how long, and how fast the weights and the words' vectors change at its start."""

    minutes: float
    rate: float
    rate_of_words: float


# The first stage learns to answer. It is slow at learning occasions: words start as long random vectors, and each
# occasion's are rare. The second moves the words' vectors faster, on short queries and the beginnings of answers.
ANSWERING = Stage(minutes=12.0, rate=4e-3, rate_of_words=4e-3)
LEARNING_WORDS = Stage(minutes=2.3, rate=2e-3, rate_of_words=1.5e-2)
# What the second stage unlearns of the first comes back by averaging the weights of both; this share of the second
# gives the most right first ideas on fresh queries of the grammar. Source: Wortsman et al., arXiv:2109.01903.
SHARE_OF_SECOND = 0.85
_BEGINNING = 7  # tokens of an answer that tell which occasion was understood


def train(
    tokenizer: Tokenizer, held_out: Sequence[str], *, seed: int
) -> T5ForConditionalGeneration:
    """Return the trained model."""
    torch.manual_seed(seed)
    model = new_model(tokenizer)
    run(model, ANSWERING, batches(tokenizer, examples(seed, held_out), size=64))
    answering = {name: weight.clone() for name, weight in model.state_dict().items()}
    learn_words(model, tokenizer, held_out, seed=seed)
    model.load_state_dict(averaged(answering, model.state_dict()))
    return model.eval()


def averaged(
    first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the weights between those of the two stages."""
    return {
        name: torch.lerp(first[name].float(), second[name].float(), SHARE_OF_SECOND)
        for name in second
    }


def learn_words(
    model: T5ForConditionalGeneration, tokenizer: Tokenizer, held_out: Sequence[str], *, seed: int
) -> None:
    """Run the second stage: four batches of beginnings, then one of whole answers, so that none is unlearned."""
    short = batches(tokenizer, short_examples(seed, held_out), size=96)
    whole = batches(tokenizer, examples(seed + 10, held_out), size=32)
    beginnings = (
        Batch(batch.queries, batch.mask, batch.answers[:, :_BEGINNING].contiguous())
        for batch in short
    )
    in_turn = (next(whole) if number % 5 == 4 else next(beginnings) for number in itertools.count())
    run(model, LEARNING_WORDS, in_turn)


def run(model: T5ForConditionalGeneration, stage: Stage, stream: Iterator[Batch]) -> None:
    """Train on the stream for the stage's time; the rates fall to zero by its end."""
    words = [model.shared.weight]
    others = [weight for weight in model.parameters() if weight is not model.shared.weight]
    optimizer = torch.optim.AdamW(
        [{"params": words, "top": stage.rate_of_words}, {"params": others, "top": stage.rate}],
        weight_decay=0.01,
        betas=(0.9, 0.98),
    )
    model.train()
    started = time.monotonic()
    for step, batch in enumerate(stream, start=1):
        share = (time.monotonic() - started) / (60 * stage.minutes)
        if share >= 1:
            return
        for group in optimizer.param_groups:
            group["lr"] = group["top"] * min(step / 200, 0.5 * (1 + math.cos(math.pi * share)))
        loss = model(input_ids=batch.queries, attention_mask=batch.mask, labels=batch.answers).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (
            step % 101 == 0
        ):  # no multiple of the second stage's cycle: it shows both kinds of batches
            print(f"step {step}  loss {loss.item():.4f}  {share:.0%} of the time", flush=True)


def save(model: T5ForConditionalGeneration, tokenizer: Tokenizer, folder: Path) -> None:
    """Write what `EmbeddedIdeas.load` reads; weights as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    for tied in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        kept.pop(tied, None)
    (folder / "model.safetensors").write_bytes(serialize(kept))
    config = {
        key: value for key, value in model.config.to_diff_dict().items() if not key.startswith("_")
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


# What an idea says when it names an item of a category.
_WORDS_OF = {
    "Sports Shoes": r"(?:running|sports|training|hiking) shoes",
    "Casual Shoes": r"casual shoes|sneakers|loafers|boat shoes|boots",
    "Formal Shoes": r"formal shoes|loafers",
    "Tshirts": r"t-shirt",
    "Shirts": r"(?<!t-)shirt",
    "Tops": r"\btop\b|blouse",
    "Trousers": r"trousers|chinos",
    "Shorts": r"shorts",
    "Dresses": r"dress\b|sundress|gown",
    "Sandals": r"sandals",
    "Flip Flops": r"flip flops",
    "Handbags": r"handbag|tote bag",
    "Clutches": r"clutch",
    "Backpacks": r"backpack",
    "Duffel Bag": r"duffel",
    "Laptop Bag": r"laptop bag",
    "Sweaters": r"sweater|cardigan",
    "Sweatshirts": r"sweatshirt|hoodie",
    "Track Pants": r"track pants",
    "Kurtas": r"kurta",
    "Sarees": r"saree",
    "Bangle": r"bangle",
    "Scarves": r"scarf|stole|shawl",
    "Watches": r"\bwatch\b",
    "Jackets": r"jacket|blazer",
}


def is_plausible(idea: str, categories: Sequence[str]) -> bool:
    """Whether an idea names an item of one of the categories."""
    return any(
        re.search(_WORDS_OF.get(category, category.lower().rstrip("s")), idea)
        for category in categories
    )


def check(ideas: EmbeddedIdeas, held_out: Sequence[HeldOutQuery]) -> None:
    """Print the ideas for each held-out query, a mark before the plausible ones, and the totals."""
    plausible = total = served = 0
    started = time.perf_counter()
    for query in held_out:
        suggested = ideas.suggest(query.query)
        marks = [is_plausible(idea, query.plausible_categories) for idea in suggested]
        plausible, total, served = plausible + sum(marks), total + len(marks), served + any(marks)
        print(
            f"{query.query}\n    "
            + "; ".join(
                ("+ " if mark else "  ") + idea for mark, idea in zip(marks, suggested, strict=True)
            )
        )
    each_ms = 1_000 * (time.perf_counter() - started) / len(held_out)
    print(
        f"{plausible} of {total} ideas plausible; {served} of {len(held_out)} queries with one; {each_ms:.0f} ms each"
    )


def check_on_grammar(
    ideas: EmbeddedIdeas, held_out: Sequence[str], *, seed: int, count: int = 300
) -> None:
    """Print how many fresh queries of the grammar get exactly its ideas."""
    exact = first = 0
    for example in itertools.islice(examples(seed, held_out), count):
        said = ideas.suggest(example.query, n=6)
        wanted = [item.text + IDEA_ENDS[_END_FOR[item.for_whom]] for item in example.ideas]
        is_first = (said[:1] == wanted[:1]) or (
            wanted[0] == QUERY_ITSELF and bool(said) and said[0].lower() in example.query.lower()
        )
        first += is_first
        exact += is_first and said[1:] == wanted[1:]
    print(
        f"fresh queries of the grammar: first idea right {first / count:.1%}, all six right {exact / count:.1%}"
    )


def check_on_occasions(ideas: EmbeddedIdeas) -> None:
    """Print how many occasions get the right first idea when nothing else is said."""
    right = 0
    for occasion in OCCASIONS:
        wanted = ideas_for(occasion.wardrobe, gender=None)[0]
        right += ideas.suggest(occasion.phrase, 1) == [
            wanted.text + IDEA_ENDS[_END_FOR[wanted.for_whom]]
        ]
    print(f"occasions alone: first idea right for {right} of {len(OCCASIONS)}")


def main() -> None:
    """Train (unless only checking), save, and check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--held-out", type=Path, help="JSON lines of queries that must not be trained on"
    )
    parser.add_argument(
        "--folder", type=Path, default=EMBEDDED, help="where the weights are, or go"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--check-only", action="store_true", help="measure the weights that are there"
    )
    arguments = parser.parse_args()
    held_out = read_held_out(arguments.held_out) if arguments.held_out else []
    queries = [query.query for query in held_out]
    if not arguments.check_only:
        torch.set_num_threads(1)
        tokenizer = new_tokenizer(
            list(itertools.islice(examples(arguments.seed + 1, queries), 40_000))
        )
        save(train(tokenizer, queries, seed=arguments.seed), tokenizer, arguments.folder)
    ideas = EmbeddedIdeas.load(arguments.folder)
    check_on_occasions(ideas)
    check_on_grammar(ideas, queries, seed=arguments.seed + 2)
    if held_out:
        check(ideas, held_out)


if __name__ == "__main__":
    main()
