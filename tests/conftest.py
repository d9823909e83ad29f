"""Fixtures that every kind of test shares: the S3 server, a private AWS environment, one Ray."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raysweep.config import S3Config
from s3_server import S3Server, run_s3_server

# Before anything imports ray: it reads these once.
os.environ.update(
    {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "OMP_NUM_THREADS": "1",
    }
)
os.environ.pop("RAY_ADDRESS", None)
# Set by pytest for each test, or by fixtures that stay for the whole session.
_OF_THE_SESSION = ("PYTEST_CURRENT_TEST", "RAYSWEEP_HOME")


@pytest.fixture(scope="module", autouse=True)
def _leaves_the_environment_alone() -> Iterator[None]:
    """What one file leaves set, the others would find or not by the order in which they run."""
    before = dict(os.environ)
    yield
    changed = {name for name, _ in os.environ.items() ^ before.items() if not name.startswith(_OF_THE_SESSION)}
    assert not changed, f"environment variables are not as they were: {sorted(changed)}"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def clean_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No AWS setting of the machine reaches the test, and nothing asks the metadata service."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))


@pytest.fixture(scope="session")
def fresh_bucket(s3_server: S3Server) -> Iterator[Callable[[], str]]:
    """Gives the name of an empty bucket; a few are made ahead, since the first object of each takes a while."""
    client = s3_server.client()

    def make() -> str:
        name = f"bucket-{secrets.token_hex(6)}"
        client.create_bucket(Bucket=name)
        client.put_object(Bucket=name, Key="first", Body=b"")
        client.delete_object(Bucket=name, Key="first")
        return name

    with ThreadPoolExecutor(1) as maker:
        ahead = [maker.submit(make) for _ in range(3)]

        def take() -> str:
            ahead.append(maker.submit(make))
            return ahead.pop(0).result()

        yield take
    client.close()


@pytest.fixture
def s3_bucket(
    s3_server: S3Server, fresh_bucket: Callable[[], str], clean_aws: None, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The name of a fresh bucket; its credentials are in the environment, its endpoint is `s3_config`'s."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    return fresh_bucket()


@pytest.fixture
def s3_reader(s3_server: S3Server) -> S3Server:
    """The server for credentials that may only read and list."""
    return s3_server.reader


@pytest.fixture
def s3_config(s3_server: S3Server) -> S3Config:
    return S3Config(endpoint_url=s3_server.endpoint_url)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One small Ray on this machine for all tests that need one; its processes can import the tests."""
    import ray

    with contextlib.chdir(Path(__file__).parents[1]):  # whichever test needs it first may be somewhere else
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=512 * 1024 * 1024,
            log_to_driver=False,
            logging_level="ERROR",
        )
    yield
    ray.shutdown()


@pytest.fixture
def warm_slots(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The searches of the test hand their processes on to one another."""
    from warm_processes import WarmSlots

    warm = WarmSlots()
    warm.use(monkeypatch)
    yield
    warm.end()
