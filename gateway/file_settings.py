"""The settings of attached files: where they are kept, how many. gateway.settings ─▶ here."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.setting_lists import CommaSeparated


class FileSettings(BaseSettings):
    """What an operator can set about files."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    files_dir: Path | None = None
    """Directory for attached files, shared by all nodes. Without it and without GATEWAY_S3_BUCKET
    messages cannot have attachments."""
    s3_bucket: str | None = None
    """S3 bucket for attached files, instead of GATEWAY_FILES_DIR. It needs the extra `s3`."""
    s3_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/?#]+/?$")
    """Address of an S3 service other than AWS': `https://minio.example.com`. Clients must be able
    to reach it, too."""
    s3_region: str | None = None
    """Region of the bucket. Many services other than AWS expect `us-east-1`."""
    s3_prefix: str = Field(default="files/", pattern=r"^[A-Za-z0-9/_.-]{0,200}$")
    """Prefix of every key in the bucket. Change it when other programs use the same bucket."""
    s3_path_style: bool = False
    """Puts the bucket's name into the path instead of the host name. Set it to true for MinIO and
    similar services."""
    s3_access_key: SecretStr | None = None
    """Access key id for S3. Unset: botocore looks in the environment, the profile and the machine's
    role."""
    s3_secret_key: SecretStr | None = None
    """Secret access key for S3, together with GATEWAY_S3_ACCESS_KEY."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^?#]+$")
    """Address at which clients reach the gateway: `https://gateway.example.com`. Set it when
    clients on other origins use GATEWAY_FILES_DIR, and for GATEWAY_OIDC_ISSUER; unset, links to
    files are paths."""
    max_file_bytes: int = Field(default=26_214_400, ge=1, le=5 * 2**30)
    """Largest attached file, in bytes; a larger one is refused with `attachment.too_large`. The
    proxy must allow as much."""
    max_files: int = Field(default=10, ge=1, le=100)
    """Largest number of files in one message; more are refused with `attachment.too_many`."""
    max_pending_file_bytes: int = Field(default=268_435_456, ge=1)
    """Bytes of files that one user may have declared or uploaded and not sent yet; more are refused
    with `attachment.too_much_pending`."""
    file_types: CommaSeparated = (
        "image/*", "audio/*", "video/*", "text/plain", "text/csv", "text/calendar", "text/vcard",
        "application/pdf", "application/rtf", "application/zip", "application/json",
        "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
        "application/vnd.openxmlformats-officedocument.*", "application/vnd.oasis.opendocument.*",
    )  # fmt: skip
    """Content types that may be attached, as patterns separated by commas. `*/*` allows all."""
    upload_link_s: int = Field(default=900, ge=10, le=86_400)
    """Seconds after its declaration within which a file can be uploaded. Raise it for large files
    on slow networks."""
    upload_min_bytes_per_s: int = Field(default=8_192, ge=1)
    """Bytes per second that an upload must bring on average after its first 30 seconds; otherwise
    it is answered with 408. Lower it for very slow networks."""
    uploading_bytes: int = Field(default=268_435_456, ge=1)
    """Bytes of files that one user may be uploading to one worker at the same time; more are
    refused with `file.too_many_uploads`."""
    uploading_total_bytes: int = Field(default=1_073_741_824, ge=1)
    """Bytes of files that all users together may be uploading to one worker at the same time; more
    are refused with `file.too_many_uploads`. GATEWAY_FILES_DIR needs as much free space."""
    download_link_s: int = Field(default=300, ge=10, le=86_400)
    """Seconds for which a link to read a file is valid. Anyone who has the link can read the file,
    so keep it short."""
    unattached_file_s: int = Field(default=86_400, ge=60)
    """Seconds after which an uploaded file that is in no message is removed."""
    file_sweep_s: float = Field(default=60.0, gt=0)
    """Seconds between two searches of a worker for files to remove."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.files_dir is not None and self.s3_bucket is not None:
            raise ValueError("files_dir and s3_bucket: files are kept in one place")
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            raise ValueError("s3_access_key and s3_secret_key belong together")
        return self
