"""A store with a synthetic bucket, in a process of its own.

python -m benchmarks.store --port 9000 --key ID:SECRET --objects 100000
"""

import argparse
import asyncio

from sealmount.demo.stores import BUCKET, REGION

from tests.fakes.s3server import S3Server

READY = "ready"


async def serve(port: int, key: str, objects: int) -> None:
    server = S3Server(region=REGION, port=port)
    server.add_key(*key.split(":", 1))
    bucket = server.add_bucket(BUCKET)
    for number in range(objects):
        bucket.put(f"{number // 1000:04}/image-{number:08}.jpg", b"")
    await server.start()
    print(READY, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--objects", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.key, arguments.objects))
