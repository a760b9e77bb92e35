"""Index files: a vector index as arrays in one file, which is taken whole as it was written, or not at all.

A file is derived data: one that is missing, damaged or of another store costs a rebuild from the rows and nothing else.
It is written beside its place and renamed into it, so that a process that reads it never sees a part; one process
writes at a time, and the last one wins. The header says as of which entry of the vector log the index is; each array
has a checksum, because a power failure may leave anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from motion.definitions.values.decoders import from_json
from motion.vectors.base import Parts

logger = logging.getLogger(__name__)

FOLDER, ENDING = "indexes", ".index"

MAGIC = b"motion index 1\n"

ALIGNED = 64

HEADER_AT_MOST = 65_536


class Array(msgspec.Struct, frozen=True):
    """Where an array lies in the file, and how it is read."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int
    checksum: int


class Header(msgspec.Struct, frozen=True):
    """What an index file is about.

    Attributes:
        of: key, state version, metric and length of the vectors: the index is of use for nothing else.
        position: the last entry of the vector log that is in it.
    """

    of: str
    position: int
    arrays: tuple[Array, ...] = ()


class IndexFiles:
    """The index files of one store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def load(self, name: str, of: str) -> tuple[int, Parts] | None:
        """Return the position and the arrays of an index, None if there is no whole one. The arrays can be written
        to: that changes the memory of this process only."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError):  # not there, or empty
            return None
        found = _header(content)
        if found is None or found[0].of != of:
            return None
        header, base = found
        parts = {each.name: _array(content, base, each) for each in header.arrays}
        if any(array is None for array in parts.values()):
            self.note_damage(name)
            return None
        return header.position, {key: array for key, array in parts.items() if array is not None}

    def note_damage(self, name: str) -> None:
        """Say that a file is of no use, and remove it."""
        logger.warning(
            "index file %s is damaged; it is built again from the rows", self._path(name)
        )
        self.remove(name)

    def save(
        self,
        name: str,
        of: str,
        position: int,
        parts: Parts,
        is_of_use: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Keep an index; return False where another process is writing one now, or the disk cannot take it.

        Args:
            is_of_use: asked while no file is written or removed by others.
        """
        try:
            with self._writing() as is_alone:
                may_write = is_alone and is_of_use()
                if may_write:
                    self._write(name, of, position, parts)
                return may_write
        except OSError as exc:
            logger.warning(
                "the index %s is not kept, so it is built again at the next start: %s", name, exc
            )
            return False

    def position(self, name: str) -> int | None:
        """Return the position of an index file, None where there is none."""
        try:
            with self._path(name).open("rb") as file:
                found = _header(file.read(HEADER_AT_MOST))
        except OSError:
            return None
        return None if found is None else found[0].position

    def names(self) -> list[str]:
        """Return the names of the files that are there."""
        return sorted(path.name.removesuffix(ENDING) for path in self._folder.glob(f"*{ENDING}"))

    def copy_to(self, folder: Path) -> None:
        """Copy the files that are there to another store's folder. To be called before its rows are copied: then no
        index is ahead of them."""
        target = IndexFiles(folder)
        target._folder.mkdir(exist_ok=True)
        for name in self.names():
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                shutil.copyfile(self._path(name), target._path(name))

    def remove_all(self) -> None:
        """Remove all files, once the one that is being written is there."""
        if self._folder.exists():
            with self._writing(waits=True):
                for name in self.names():
                    self.remove(name)
                for path in self._folder.glob("*.writing"):  # of a process that ended
                    path.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{ENDING}"

    @contextlib.contextmanager
    def _writing(self, *, waits: bool = False) -> Iterator[bool]:
        """Be the one process that writes, if no other does, or when it has."""
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def _write(self, name: str, of: str, position: int, parts: Parts) -> None:
        contents = {key: np.ascontiguousarray(array) for key, array in parts.items()}
        arrays, start = [], 0
        for key, array in contents.items():
            checksum = zlib.crc32(array.data)
            arrays.append(Array(key, array.dtype.str, array.shape, start, array.nbytes, checksum))
            start = _aligned(start + array.nbytes)
        header = msgspec.json.encode(Header(of, position, tuple(arrays)))
        numbers = len(header).to_bytes(4, "little") + zlib.crc32(header).to_bytes(4, "little")
        beside = self._folder / f"{name}.writing"
        try:
            with beside.open("wb") as file:
                file.write(MAGIC + numbers + header)
                base = _aligned(file.tell())
                for each, array in zip(arrays, contents.values(), strict=True):
                    file.seek(base + each.start)
                    file.write(array.reshape(-1).view(np.uint8).data)
            os.replace(beside, self._path(name))
        finally:
            beside.unlink(missing_ok=True)


def _aligned(at: int) -> int:
    return -(-at // ALIGNED) * ALIGNED


def _header(content: bytes | mmap.mmap) -> tuple[Header, int] | None:
    """Return the header and where the arrays begin, None where it is not whole."""
    start = len(MAGIC) + 8
    if content[: len(MAGIC)] != MAGIC:
        return None
    size = int.from_bytes(content[len(MAGIC) : len(MAGIC) + 4], "little")
    checksum = int.from_bytes(content[len(MAGIC) + 4 : start], "little")
    header = content[start : start + size]
    if not header or len(header) < size or zlib.crc32(header) != checksum:
        return None
    return from_json(header, Header), _aligned(start + size)


def _array(content: mmap.mmap, base: int, array: Array) -> np.ndarray[Any, Any] | None:
    start = base + array.start
    if not array.size:
        return np.empty(array.shape, array.dtype)
    if start + array.size > len(content):
        return None
    plain = np.frombuffer(content, np.uint8, array.size, start)
    if zlib.crc32(plain.data) != array.checksum:
        return None
    return plain.view(array.dtype).reshape(array.shape)
