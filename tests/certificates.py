"""Certificates of a test's own authority, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from availability import unavailable

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@dataclass(frozen=True)
class Certified:
    """A server's certificate, its key, and the authority to trust."""

    certificate_pem: str
    key_pem: str
    authority_pem: str

    def files(self) -> dict[str, str]:
        """As a Secret of cert-manager's has them."""
        return {"tls.crt": self.certificate_pem, "tls.key": self.key_pem, "ca.crt": self.authority_pem}


class Authority:
    """Issues certificates that are trusted together."""

    def __init__(self) -> None:
        if not shutil.which("openssl"):
            unavailable("openssl is not on PATH, which makes certificates")
        with tempfile.TemporaryDirectory() as scratch:
            _run(scratch, "req", "-x509", *_NEW_KEY, "-subj", "/CN=tests", "-keyout", "ca.key", "-out", "ca.crt", "-days", "365")
            self._files = {name: Path(scratch, name).read_text() for name in ("ca.key", "ca.crt")}
        self.pem = self._files["ca.crt"]

    def issue(self, *names: str, days: int = 1) -> Certified:
        """A certificate for names such as `DNS:*.shop.svc` and `IP:10.0.0.1`."""
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in self._files.items():
                Path(scratch, name).write_text(content)
            _run(scratch, "req", *_NEW_KEY, "-subj", "/CN=server", "-keyout", "tls.key", "-out", "request")
            Path(scratch, "extensions").write_text(f"subjectAltName={','.join(names)}\n")
            signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days), "-extfile", "extensions"]
            _run(scratch, "x509", "-req", "-in", "request", "-out", "tls.crt", *signing)
            return Certified(*(Path(scratch, name).read_text() for name in ("tls.crt", "tls.key", "ca.crt")))


def certify(*names: str) -> Certified:
    """A certificate by an authority of its own."""
    return Authority().issue(*names)


def _run(folder: str, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)
