"""The electronic certificate identifier (电子证照标识) of GB/T 36904."""

import re

from stdnum.iso7064 import mod_37_36

OID = "1.2.156.3005.2."
MAX_LENGTH = 128

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
    return mod_37_36.is_valid("".join(match.groups()))


def check_character(body: str) -> str:
    """Return the check character that belongs to ``body`` (``type.issuer.serial.version``)."""
    return str(mod_37_36.calc_check_digit(body.replace(".", "")))
