"""What an S3-compatible server's refusal means, and what to do about it."""

from __future__ import annotations

from raysweep.documents import shorten
from raysweep.errors import NotFound, RaysweepError, StorageFailed
from raysweep.storage.secret_values import without_user_info
from raysweep.storage.store import DENIED, TransientStorageFailure

HOW_TO_SIGN_IN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
NOT_ACCEPTED = f"the server does not accept the credentials; {HOW_TO_SIGN_IN}"
EXPIRED = "the credentials have expired; sign in again, or renew the session token"
FULL = "the storage is full or its quota is used up; free some space"

# The server's own words are left out for these: they may quote what was sent.
MEANINGS = {
    "NoSuchBucket": "the bucket does not exist; create it or correct the address",
    "InvalidAccessKeyId": NOT_ACCEPTED,
    "SignatureDoesNotMatch": NOT_ACCEPTED,
    "InvalidToken": NOT_ACCEPTED,
    "AuthorizationHeaderMalformed": f"{NOT_ACCEPTED}; and check export.s3.region",
    "ExpiredToken": EXPIRED,
    "ExpiredTokenException": EXPIRED,
    "TokenRefreshRequired": EXPIRED,
    "RequestExpired": EXPIRED,
    "RequestTimeTooSkewed": "this machine's clock differs from the server's; set the clock",
    "QuotaExceeded": FULL,
    "InsufficientStorage": FULL,
    "XMinioStorageFull": FULL,
    "XMinioAdminBucketQuotaExceeded": FULL,
}
MISSING_CODES = {"NoSuchKey", "404", "NotFound"}
NOT_IMPLEMENTED_CODES = {"NotImplemented", "501"}
BUSY_CODES = {"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown", "Throttling"}
DAMAGED_CODES = {"IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
BUSY_STATUSES = {409, 429, 500, 502, 503, 504}
DENIED_STATUS = 403
FULL_STATUS = 507
PRECONDITION_STATUS = 412
NOT_IMPLEMENTED_STATUS = 501


class NoAnswer(TransientStorageFailure):
    """The server is away, or took the request and stayed silent: whatever is asked next would only wait as long."""


class AccessDenied(StorageFailed):
    """The server knows the credentials, but does not let them do this (403)."""


class ConditionNotMet(StorageFailed):
    """A conditional request was refused, since its condition did not hold (412)."""


class NotOffered(StorageFailed):
    """The server says that it cannot do this at all (501)."""


def explain_answer(place: str, action: str, code: str, status: int, words: str) -> RaysweepError:
    """The error for what a server answered.

    Args:
        place: the address and the server, for the message.
        action: what was asked of it, such as `PutObject`.
        code: the error code in its answer.
        status: the HTTP status of its answer.
        words: its own message.
    """
    if code in MISSING_CODES:
        return NotFound(f"there is no object {place}")
    if status == PRECONDITION_STATUS:
        return ConditionNotMet(f"{place}: there is another object by now")
    if code in MEANINGS:
        return StorageFailed(f"{place}: {MEANINGS[code]} ({code})")
    return _explain_refusal(place, action, code, status, shorten(without_user_info(words), 200))


def _explain_refusal(place: str, action: str, code: str, status: int, words: str) -> StorageFailed:
    if status == DENIED_STATUS:
        return AccessDenied(
            f"{place}: {DENIED} {action}; let these credentials list, get, put and delete there, "
            f"or use others: {HOW_TO_SIGN_IN}"
        )
    if status == FULL_STATUS:
        return StorageFailed(f"{place}: {FULL} ({code})")
    said = f"{place}: the server answered {status} {code}: {words}"
    if code in BUSY_CODES or status in BUSY_STATUSES:
        return TransientStorageFailure(f"{said}; wait a little and try again")
    if code in DAMAGED_CODES:
        return TransientStorageFailure(f"{said}; what was sent did not arrive as it was: try again")
    if code in NOT_IMPLEMENTED_CODES or status == NOT_IMPLEMENTED_STATUS:
        return NotOffered(f"{said}; this server does not offer what was asked of it")
    return StorageFailed(f"{said}; check the address, export.s3.region and export.s3.addressing_style")
