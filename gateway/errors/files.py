"""Refusals about files."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class AttachmentsOff(GatewayError):
    """This gateway stores no files: no file storage is configured."""

    code = "attachment.off"
    http_status = 501


class AttachmentNotFound(GatewayError):
    """There is no such file, or you may not use it here."""

    code = "attachment.not_found"
    http_status = 404


class AttachmentTooLarge(GatewayError):
    """The file is larger than this gateway accepts."""

    code = "attachment.too_large"
    http_status = 413


class AttachmentTypeRefused(GatewayError):
    """This gateway does not accept files of this type."""

    code = "attachment.type_refused"
    http_status = 415


class TooManyAttachments(GatewayError):
    """The message has more files than one message may have."""

    code = "attachment.too_many"
    http_status = 413


class TooMuchPending(GatewayError):
    """You have declared too many files that are in no message yet: send some, or wait."""

    code = "attachment.too_much_pending"
    http_status = 429


class AttachmentNotUploaded(GatewayError):
    """The file was not uploaded yet: upload it, then send the message."""

    code = "attachment.not_uploaded"
    http_status = 409


class AttachmentMismatch(GatewayError):
    """The uploaded file differs from what was declared: declare it again."""

    code = "attachment.mismatch"
    http_status = 409


class AttachmentTaken(GatewayError):
    """The file already belongs to another message."""

    code = "attachment.taken"
    http_status = 409


class FileNotFound(GatewayError):
    """This file no longer exists."""

    code = "file.not_found"
    http_status = 404


class FileExists(GatewayError):
    """This file was already uploaded; it is not overwritten."""

    code = "file.exists"
    http_status = 412


class UploadRunning(GatewayError):
    """Another request is uploading this file: wait for its end."""

    code = "file.upload_running"
    http_status = 409
    retry_after = 2.0


class TooManyUploads(GatewayError):
    """Too many bytes are being uploaded at once: send one file after the other."""

    code = "file.too_many_uploads"
    http_status = 429
    retry_after = 2.0


class LinkInvalid(GatewayError):
    """This link was not issued by the gateway, or not for this request."""

    code = "file.link_invalid"
    http_status = 403


class LinkExpired(GatewayError):
    """This link has expired: request a new one."""

    code = "file.link_expired"
    http_status = 403


class SizeDiffers(GatewayError):
    """The length of the body differs from what was declared; nothing was stored."""

    code = "file.size_differs"
    http_status = 400


class StorageUnavailable(GatewayError):
    """The file storage does not answer, or has no room."""

    code = "file.storage_unavailable"
    http_status = 503
    retry_after = 5.0
