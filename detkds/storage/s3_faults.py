"""What is said of an S3 store's refusals and failures."""

from __future__ import annotations

import ssl

from urllib3.exceptions import NewConnectionError, SSLError, TimeoutError

_FULL = ("QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull", "InsufficientStorage")
"""Of Ceph and others, MinIO's quota, MinIO's disks, HTTP."""
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect")
_LENT = "the temporary credentials have expired: set DETKDS_S3_ACCESS_KEY, DETKDS_S3_SECRET_KEY and DETKDS_S3_SESSION_TOKEN again"
_REMEDIES = {
    "NoSuchBucket": "create the bucket, or correct its name",
    "AccessDenied": "check DETKDS_S3_ACCESS_KEY, DETKDS_S3_SECRET_KEY and the key's rights on the bucket",
    "InvalidAccessKeyId": "check DETKDS_S3_ACCESS_KEY",
    "SignatureDoesNotMatch": "check DETKDS_S3_SECRET_KEY",
    "RequestTimeTooSkewed": "set this machine's clock",
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"), _LENT),
    **dict.fromkeys(("InvalidToken", "InvalidSecurityToken"), "check DETKDS_S3_SESSION_TOKEN, which belongs to one pair of keys"),
    **dict.fromkeys(_ELSEWHERE, "the bucket is in another region: set DETKDS_S3_REGION"),
    **dict.fromkeys(_FULL, "the store or the bucket's quota is full: delete something there, or raise the quota"),
}
_INSUFFICIENT_STORAGE = 507
_TUNNEL = "Tunnel connection failed"  # how http.client begins what a proxy answered


def remedy(code: str) -> str:
    """What to do about an error code of S3."""
    return _REMEDIES.get(code, "see the store's log")


def is_final(status: int, code: str) -> bool:
    """Whether trying again cannot help: a refusal, not an overload or a fault of the server."""
    return code in _FULL or status == _INSUFFICIENT_STORAGE or (status < 500 and status not in (408, 429))


def reason(error: BaseException | None) -> str:
    """Why a request failed, in the words of the system where it said something."""
    if isinstance(error, TimeoutError) and not isinstance(error, NewConnectionError):
        return "no response in time"
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror.lower()
        if isinstance(error, OSError) and str(error).startswith(_TUNNEL):
            return str(error)[:80].lower()
        error = error.__cause__ or error.__context__
    return "the connection broke or the response was not S3"


def tls_fault(error: SSLError) -> str:
    """Why TLS failed, in a few words."""
    cause = error.args[0] if error.args and isinstance(error.args[0], ssl.SSLError) else None
    return str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "no handshake")
