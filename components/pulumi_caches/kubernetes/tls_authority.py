"""An authority of the program's own, and certificates by it: both as texts that hold a private key and a certificate.

The library that makes them takes a moment to load, so that is left to those who ask for it.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

AUTHORITY_YEARS = 30
CERTIFICATE_YEARS = 10
_PEM = re.compile("-----BEGIN ([A-Z ]+)-----.+?-----END [A-Z ]+-----\n", re.DOTALL)
# Clocks of nodes differ.
_EARLIER = timedelta(days=1)


def make_authority(name: str) -> str:
    """A new authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{name} authority")])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(subject, subject, key, AUTHORITY_YEARS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(usage, critical=True)
    return _signed(builder, key, key)


def issue(authority: str, names: Sequence[str]) -> str:
    """A certificate by that authority, for a server that also calls others."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer: Any = load_pem_private_key(parts(authority)[0].encode(), None)
    by = x509.load_pem_x509_certificate(parts(authority)[1].encode())
    key = ec.generate_private_key(ec.SECP256R1())
    # The names are below: a subject has room for 64 characters.
    builder = _builder(x509.Name([]), by.subject, key, CERTIFICATE_YEARS)
    for extension, critical in (
        (x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return _signed(builder, key, signer)


def parts(text: str) -> tuple[str, str]:
    """The private key and the certificate."""
    key, certificate = (found[0] for found in _PEM.finditer(text))
    return key, certificate


def days_left(certificate_pem: str) -> int:
    """Until it ends."""
    from cryptography import x509

    return (x509.load_pem_x509_certificate(certificate_pem.encode()).not_valid_after_utc - datetime.now(UTC)).days


def _builder(subject: Any, issuer: Any, key: Any, years: int) -> Any:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=365 * years))
        # Strict clients want it of an authority, and where to find it in what is signed.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(builder: Any, key: Any, signer: Any) -> str:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    certificate = builder.sign(signer, SHA256()).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return str((private + certificate).decode())
