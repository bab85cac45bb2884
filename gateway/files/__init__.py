"""Storage of attached files: a directory, or an S3 bucket.

    async with open_storage(directory=path, secret=secret) as storage:
        link = await storage.upload_link(key, size=..., content_type=..., valid_s=900)

Clients upload and download the bytes themselves, by links that allow one request type for a short
time. This package does not depend on messages and employees.
"""

from gateway.files.files import Files, Limits, TransferCounts
from gateway.files.local import LocalStorage, StoredFile
from gateway.files.opened import StorageUnusable, open_storage
from gateway.files.serving import SAFE_INLINE, disposition
from gateway.files.signing import Grant, Signer
from gateway.files.sniff import kept_as
from gateway.files.storage import SignedLink, Storage, StoredObject, new_key

__all__ = [
    "SAFE_INLINE",
    "Files",
    "Grant",
    "Limits",
    "LocalStorage",
    "SignedLink",
    "Signer",
    "Storage",
    "StorageUnusable",
    "StoredFile",
    "StoredObject",
    "TransferCounts",
    "disposition",
    "kept_as",
    "new_key",
    "open_storage",
]
