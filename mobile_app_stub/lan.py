"""A certificate for this machine's addresses, so that phones in its network get https.

Browsers give the camera, `crypto.subtle` and threads to secure pages only, and but for localhost
that means https. The certificate is signed with its own key. Phones warn of it, and remember the
answer as long as it stays the same, so it is kept.
"""

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from lesionlite.caching import cache_folder, unused
from lesionlite.errors import LesionliteError

DAYS = 30  # for which a certificate is valid
LEFT = 86400  # seconds for which a kept certificate must still be valid
HERE = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key.

    Attributes:
        path: PEM file of both, which only this user can read.
        names: the addresses and names that it is for; the address for phones is the first.
        fingerprint: SHA-256 of the certificate, as browsers show it.
    """

    path: Path
    names: tuple[str, ...]
    fingerprint: str

    def context(self) -> ssl.SSLContext:
        """What a server needs to show it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


def lan_names() -> tuple[str, ...]:
    """The names by which other machines reach this one: its IPv4 addresses, then its host names.

    Raises:
        LesionliteError: this machine is in no network.
    """
    found = [_outgoing_address(), *_addresses_of_the_host_name()]
    addresses = [name for name in found if name and not ip_address(name).is_loopback]
    if not addresses:
        raise LesionliteError("this machine is in no network; join one, or leave out --lan")
    host = socket.gethostname().lower()
    hosts = [host] if "." in host else [host, f"{host}.local"]
    hosts = [name for name in hosts if name.replace("-", "").replace(".", "").isalnum()]
    return tuple(dict.fromkeys((*addresses, *hosts, *HERE)))


def _outgoing_address() -> str | None:
    """The address of the network that leads outside. No packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address that is reserved for documentation
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _addresses_of_the_host_name() -> list[str]:
    try:
        return socket.gethostbyname_ex(socket.gethostname())[2]
    except OSError:
        return []


def certificate(names: Sequence[str]) -> Certificate:
    """The kept certificate for these names, or a new one.

    Raises:
        LesionliteError: the program `openssl` is not installed, or fails; then the error quotes it.
    """
    if shutil.which("openssl") is None:
        raise LesionliteError(
            "--lan needs the program openssl to make a certificate, which is not installed; "
            "install it, or leave out --lan"
        )
    folder = cache_folder() / "lan"
    key = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
    path = folder / f"{key}.pem"
    if not _is_usable(path):
        folder.mkdir(parents=True, exist_ok=True)
        for expired in unused(folder, "*.pem", DAYS):  # they were for other networks
            expired.unlink()
        _make(path, names)
    return Certificate(path, tuple(names), _fingerprint(path))


def _is_usable(path: Path) -> bool:
    """Whether a file is ours alone, and a certificate that is still valid for a while."""
    if not path.is_file() or path.is_symlink() or path.stat().st_mode & 0o077:
        return False
    asked = ("x509", "-in", str(path), "-noout", "-checkend", str(LEFT))
    if subprocess.run(["openssl", *asked], capture_output=True).returncode:
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    except (OSError, ssl.SSLError):
        return False
    return True


def _make(path: Path, names: Sequence[str]) -> None:
    """Make a key and a certificate, and put both in place at once.

    It is no authority for other certificates, so its key can only pretend to be these names.
    """
    with TemporaryDirectory(dir=path.parent) as folder:  # which only this user can read
        parts = [Path(folder) / name for name in ("key", "certificate")]
        extensions = (
            "subjectAltName=" + ",".join(map(_alternative, names)),
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=serverAuth",
        )
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-sha256", "-days", str(DAYS), "-subj", "/CN=lesionlite serve"),
            *("-keyout", str(parts[0]), "-out", str(parts[1])),
            *(word for extension in extensions for word in ("-addext", extension)),
        )
        both = Path(folder) / "both"
        descriptor = os.open(both, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"".join(part.read_bytes() for part in parts))
        both.replace(path)


def _alternative(name: str) -> str:
    try:
        return f"IP:{ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise LesionliteError(f"`openssl {arguments[0]}` failed ({said[-1].strip()})")


def _fingerprint(path: Path) -> str:
    """SHA-256 of the certificate in a file that holds its key, too."""
    text = path.read_text()
    der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])
    return ":".join(f"{byte:02X}" for byte in hashlib.sha256(der).digest())
