"""No to a file."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class AttachmentsOff(GatewayError):
    """This gateway keeps no files: its operator has configured no place for them."""

    code = "attachment.off"
    http_status = 501


class AttachmentNotFound(GatewayError):
    """There is no such file, or it is not yours to use here."""

    code = "attachment.not_found"
    http_status = 404


class AttachmentTooLarge(GatewayError):
    """The file is larger than this gateway takes."""

    code = "attachment.too_large"
    http_status = 413


class AttachmentTypeRefused(GatewayError):
    """This gateway takes no files of this type."""

    code = "attachment.type_refused"
    http_status = 415


class TooManyAttachments(GatewayError):
    """The message has more files than one message may have."""

    code = "attachment.too_many"
    http_status = 413


class TooMuchPending(GatewayError):
    """You have declared too much that no message has yet: send some of it, or wait."""

    code = "attachment.too_much_pending"
    http_status = 429


class AttachmentNotUploaded(GatewayError):
    """The file's bytes are not there yet: upload them, then send."""

    code = "attachment.not_uploaded"
    http_status = 409


class AttachmentMismatch(GatewayError):
    """What was uploaded is not what was declared: declare the file anew."""

    code = "attachment.mismatch"
    http_status = 409


class AttachmentTaken(GatewayError):
    """The file is part of another message already."""

    code = "attachment.taken"
    http_status = 409


class FileNotFound(GatewayError):
    """There is no such file any more."""

    code = "file.not_found"
    http_status = 404


class FileExists(GatewayError):
    """This file has been uploaded already; nothing is overwritten."""

    code = "file.exists"
    http_status = 412


class LinkInvalid(GatewayError):
    """This link was not made by the gateway, or not for this."""

    code = "file.link_invalid"
    http_status = 403


class LinkExpired(GatewayError):
    """This link has expired: ask for a new one."""

    code = "file.link_expired"
    http_status = 403


class SizeDiffers(GatewayError):
    """The body is not as long as was declared; nothing of it is kept."""

    code = "file.size_differs"
    http_status = 400


class StorageUnavailable(GatewayError):
    """The file storage does not answer, or has no room."""

    code = "file.storage_unavailable"
    http_status = 503
    retry_after = 5.0
