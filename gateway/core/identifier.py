"""The electronic certificate identifier (电子证照标识) of GB/T 36904."""

import re
from functools import lru_cache

from stdnum.iso7064 import mod_37_36

OID = "1.2.156.3005.2."
MAX_LENGTH = 128

_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SHAPE = re.compile(
    r"(?P<type>[0-9A-Z]{18}[0-9]{3})\."  # type code: the definer's unified social credit code (GB 32100) and 3 digits
    r"(?P<issuer>[0-9A-Z]{18})\."  # the issuer's unified social credit code
    r"(?P<serial>[0-9A-Z]+)\."
    r"(?P<version>[0-9]{3})\."
    r"(?P<check>[0-9A-Z])"
)


def is_valid_identifier(identifier: str) -> bool:
    """Tell whether ``identifier`` has the standard's shape and its check character is right.

    The check character is ISO 7064 MOD 37,36 over type, issuer, serial and version, without dots and OID;
    the OID in front is optional.
    """
    match = SHAPE.fullmatch(identifier.removeprefix(OID)) if len(identifier) <= MAX_LENGTH else None
    if match is None:
        return False
    kind, issuer, serial, version, check = match.groups()
    product = _product(serial + version, _product_of_issuer(kind + issuer))
    return (product + _CHARACTERS.index(check)) % 36 == 1


def check_character(body: str) -> str:
    """Return the check character that belongs to ``body`` (``type.issuer.serial.version``)."""
    return str(mod_37_36.calc_check_digit(body.replace(".", "")))


# The hybrid system's recursion of ISO 7064 as a table: what the product of the characters so far becomes
# with the next one. python-stdnum computes the same, and slower; the tests hold them against each other.
_START = 36
_NEXT = [
    {character: (((product + value) % 36 or 36) * 2) % 37 for value, character in enumerate(_CHARACTERS)}
    for product in range(37)
]


@lru_cache(maxsize=4096)  # few definers and issuers, of many certificates
def _product_of_issuer(text: str) -> int:
    return _product(text, _START)


def _product(text: str, product: int) -> int:
    for character in text:
        product = _NEXT[product][character]
    return product
