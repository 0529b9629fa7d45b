"""Standard streams that cannot fail: a closed pipe or a full disk does not stop a training.

Only the standard library is used, because `lesionlite --help` must be fast.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class Lenient:
    """A text stream whose writes never raise. It remembers the first error.

    After a failed write, all that follows is dropped, and the descriptor is connected to /dev/null;
    otherwise Python would write again when it ends, and report the error. All other attributes are
    those of the wrapped stream.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """Wrap a stream; None means that it was closed when Python started."""
        self.problem: OSError | ValueError | None = None
        self._closed = stream is None
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; characters that the encoding lacks are escaped."""
        if self.problem is None and self._closed:
            self.problem = OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self.problem is None:
            try:
                self._stream.write(self.encodable(text))
            except (OSError, ValueError) as error:  # ValueError: the stream is closed
                self._give_up(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def encodable(self, text: str) -> str:
        r"""`text` with escapes: \xff for bytes that are not UTF-8, \u.... for others it lacks."""
        encoding = self._stream.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            escaped = text.encode("utf-8", "surrogateescape" if _from_bytes(text) else "replace")
            readable = escaped.decode("utf-8", "backslashreplace")
            return readable.encode(encoding, "backslashreplace").decode(encoding)
        return text

    def _give_up(self, error: OSError | ValueError) -> None:
        if self.problem is None:
            self.problem = error
        try:
            descriptor = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        except (OSError, ValueError):  # a test's stream, or one that is closed
            return

    def refused(self) -> str | None:
        """Why a write failed; None if none did, or if the reader closed the pipe."""
        if self.problem is None or isinstance(self.problem, BrokenPipeError):
            return None
        known = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the quota is used up",
            errno.EBADF: "it is closed",
        }
        number = getattr(self.problem, "errno", None) or errno.EBADF
        return known.get(number, os.strerror(number).lower())


def _from_bytes(text: str) -> bool:
    """Whether all surrogates stand for bytes, as in file names that are not UTF-8."""
    return all(not 0xD800 <= ord(c) <= 0xDFFF or 0xDC80 <= ord(c) <= 0xDCFF for c in text)


@contextmanager
def lenient_streams() -> Iterator[tuple[Lenient, Lenient]]:
    """Replace `sys.stdout` and `sys.stderr` by `Lenient` ones within the context; yields both."""
    _open_standard_descriptors()
    before = sys.stdout, sys.stderr
    out, err = Lenient(sys.stdout), Lenient(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _open_standard_descriptors() -> None:
    """Open closed standard descriptors; else the next opened file would get their numbers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(descriptor, True)
