"""Measure how well a CLIP model finds products of the data pack that it was not trained on.

    python -m training.zero_shot --data ../shared/data --model fashion_search/weights/clip

For each kind of query: how often the first hit is right, and how often one of the first ten is; ranked by pictures
alone, texts alone, and their blend. Only rows of the query's own source are ranked.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from fashion_search.clip import Clip, FloatArray, product_text


def catalog_rows(data: Path) -> list[dict[str, Any]]:
    """Return the rows of the three retailers."""
    columns = ["id", "image", "title", "description", "source"]
    return [
        row
        for name in ("nordstrom", "revolve", "bloomingdales")
        for row in pq.read_table(data / "catalog" / f"{name}.parquet", columns=columns).to_pylist()
    ]


def measured(
    queries: list[dict[str, Any]],
    wanted: FloatArray,
    rows: list[dict[str, Any]],
    vectors: FloatArray,
) -> dict[str, tuple[float, float]]:
    """Return, for each kind of query, the shares with a right first hit and with a right one in the first ten."""
    sources, ids = (
        np.asarray([row["source"] for row in rows]),
        np.asarray([row["id"] for row in rows]),
    )
    hits: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for query, vector in zip(queries, wanted, strict=True):
        at = np.flatnonzero(sources == query["gallery_source"])
        best = ids[at[np.argsort(-(vectors[at] @ vector), kind="stable")[:10]]]
        right = np.isin(best, query["relevant_ids"])
        hits[query["kind"]].append((bool(right[0]), bool(right.any())))
    return {kind: tuple(100 * np.mean(found, axis=0)) for kind, found in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data pack")
    parser.add_argument(
        "--model", default=None, help="folder or hub name; the embedded model if left out"
    )
    parser.add_argument(
        "--weights",
        type=float,
        nargs="*",
        default=[0.2, 0.3, 0.4, 0.5],
        help="shares of the picture to try",
    )
    a = parser.parse_args()
    clip = Clip.load(a.model) if a.model else Clip.load()
    rows, queries = (
        catalog_rows(a.data),
        [
            json.loads(line)
            for line in (a.data / "queries" / "catalog_queries.jsonl").read_text().splitlines()
        ],
    )
    began = time.perf_counter()
    pictures = clip.encode_images([row["image"] for row in rows])
    middle = time.perf_counter()
    words = clip.encode_texts([product_text(row["title"], row["description"]) for row in rows])
    print(
        f"{len(rows)} pictures in {middle - began:.0f} s, their texts in {time.perf_counter() - middle:.0f} s"
    )
    wanted = clip.encode_texts([query["query"] for query in queries])
    for share in (0.0, *a.weights, 1.0):
        clip.image_weight = share
        found = measured(queries, wanted, rows, clip.blend(pictures, words))
        print(
            f"picture {share:.2f}  "
            + "  ".join(f"{kind} {first:.0f}/{ten:.0f}" for kind, (first, ten) in found.items())
        )


if __name__ == "__main__":
    main()
