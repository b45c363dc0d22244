"""Signing in this process, on one core: our S3 signer beside boto3's presigner."""

import boto3
from botocore.config import Config

from benchmarks.rows import Row, rate, side_by_side
from signer.domain.location import Location, Provider
from signer.domain.signing import Audience, Instant, Method, ObjectIntent
from tests.fakes.s3signing import AccessKey, s3_signer, utc_now

REGION = "eu-central-1"
_KEYS = [f"photos/2026/{number:06}.jpg" for number in range(1000)]
_OURS = 50
_PEER = 2


def measure() -> Row:
    ours, peer = side_by_side(lambda: rate(_sign_ours), lambda: rate(_sign_with_boto3))
    return Row(
        "S3 signing in process", "URLs/s", ours, "boto3, s3v4", peer, 30.0, "batches of 1,000 keys"
    )


def _sign_ours() -> int:
    """As the Signer does: a signer is kept, and each batch has an intent of its own."""
    signer = s3_signer(Location(Provider.S3, "bucket", REGION), AccessKey())
    for _ in range(_OURS):
        make = signer.objects(
            ObjectIntent(Method.GET, Audience.PUBLIC, Instant(utc_now(), expires=900))
        )
        for key in _KEYS:
            make(key)
    return _OURS * len(_KEYS)


def _sign_with_boto3() -> int:
    key = AccessKey()
    client = boto3.client(
        "s3",
        region_name=REGION,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
    )
    for _ in range(_PEER):
        for name in _KEYS:
            client.generate_presigned_url(
                "get_object", Params={"Bucket": "bucket", "Key": name}, ExpiresIn=900
            )
    return _PEER * len(_KEYS)
