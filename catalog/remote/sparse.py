"""A file of which only some blocks are here, for header parsers that read and seek.

The parsers are synchronous and the blocks come over the network, so a read that meets a gap notes
the block in ``missing`` and fails; the caller fetches that block and lets the parser start over.
Headers are small, so starting over costs microseconds.
"""

import os

BLOCK_BYTES = 64 * 1024
_MAX_READS = 20_000
_MAX_READ_BYTES = 256 * 1024


class HeaderError(Exception):
    """The bytes aren't here, aren't there at all, or took too much work to look at.

    No ValueError: parsers catch those and carry on.
    """


class SparseFile:
    """Blocks of BLOCK_BYTES at their indices; ``size`` is the object's length, None if unknown.

    A parser may do a bounded number of reads in the file's whole life and get a bounded number of
    bytes: what a hostile header costs is bounded by that, whatever the parser's own loops do.
    """

    def __init__(self) -> None:
        self.size: int | None = None
        self.missing: int | None = None
        self._blocks: dict[int, bytes] = {}
        self._position = 0
        self._reads = 0
        self._read_bytes = 0

    def put(self, index: int, block: bytes) -> None:
        """Add a block; only an object's last one may be short."""
        self._blocks[index] = block

    def head(self, length: int) -> bytes:
        """The first bytes, as far as they are here (at most one block)."""
        return self._blocks.get(0, b"")[:length]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Like a file's; from the end only when the size is known."""
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            if self.size is None:
                raise HeaderError
            offset += self.size
        if offset < 0:
            raise HeaderError
        self._position = offset
        return offset

    def tell(self) -> int:
        """The position that the next read starts at."""
        return self._position

    def read(self, length: int = -1) -> bytes:
        """``length`` bytes, fewer at the end of the object; no reading to the end unbounded."""
        self._reads += 1
        if length < 0 or self._reads > _MAX_READS:
            raise HeaderError
        if self.size is not None:
            length = max(0, min(length, self.size - self._position))
        self._read_bytes += length
        if self._read_bytes > _MAX_READ_BYTES:
            raise HeaderError
        parts: list[bytes] = []
        while length > 0:
            index, offset = divmod(self._position, BLOCK_BYTES)
            part = self._block(index)[offset : offset + length]
            if not part:
                break
            parts.append(part)
            self._position += len(part)
            length -= len(part)
        return b"".join(parts)

    def _block(self, index: int) -> bytes:
        block = self._blocks.get(index)
        if block is None:
            self.missing = index
            raise HeaderError
        return block
