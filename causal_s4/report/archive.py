"""Office files with the same bytes each time: they are zip archives that would carry the hour they were made."""

from __future__ import annotations

import io
import re
import zipfile

_EPOCH = (1980, 1, 1, 0, 0, 0)
_STAMP = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*(<)")


def without_times(archive: bytes) -> bytes:
    """Return a Word or Excel file with every time in it set to the first that a zip archive knows.

    Parameters
    ----------
    archive : bytes
        The file as written by its library.

    Returns
    -------
    bytes
        The same input gives the same bytes.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = _STAMP.sub(rb"\g<1>1980-01-01T00:00:00Z\g<2>", content)
            # A picture is compressed already.
            kind = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.external_attr = 0o644 << 16
            target.writestr(entry, content, compress_type=kind)
    return packed.getvalue()
