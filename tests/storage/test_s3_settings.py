"""Endpoint and keys from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkds.errors import ConfigError
from detkds.storage import open_store
from detkds.storage.proxies import proxy_for
from detkds.storage.s3_settings import S3Settings

KEYS = {"DETKDS_S3_ACCESS_KEY": "reader", "DETKDS_S3_SECRET_KEY": "canary-5f1d9e2b7a"}


def settings(**more: str) -> S3Settings:
    return S3Settings.from_environment(KEYS | {f"DETKDS_S3_{name}": value for name, value in more.items()})


@pytest.mark.parametrize(
    ("endpoint", "secure", "url"),
    [
        ("localhost:9000", "", "http://localhost:9000"),
        ("localhost:9000", "1", "https://localhost:9000"),
        ("http://localhost:9000/", "1", "http://localhost:9000"),
        ("https://s3.example.org", "", "https://s3.example.org"),
        ("[::1]:9000", "", "http://[::1]:9000"),
    ],
)
def test_the_scheme_decides_on_tls(endpoint: str, secure: str, url: str) -> None:
    assert settings(ENDPOINT=endpoint, SECURE=secure).url == url


def test_defaults() -> None:
    found = settings(ENDPOINT="localhost:9000")
    assert (found.region, found.deadline_s) == ("us-east-1", 90.0)
    assert settings(ENDPOINT="localhost:9000", REGION="eu-1", DEADLINE_S="2.5").deadline_s == 2.5


@pytest.mark.parametrize(
    "endpoint", ["http://", "ftp://host", "http://host/path", "host:port", "host:0", "http://host?x=1", "http://me:canary@host"]
)
def test_other_endpoints_are_refused_without_a_password_in_the_message(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="DETKDS_S3_ENDPOINT must be host:port, http://host:port or https://host:port, got ") as caught:
        settings(ENDPOINT=endpoint)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("deadline", ["0", "-1", "nan", "inf", "soon"])
def test_other_deadlines_are_refused(deadline: str) -> None:
    with pytest.raises(ConfigError, match=f"DETKDS_S3_DEADLINE_S must be a number of seconds above 0, got '{deadline}'"):
        settings(ENDPOINT="host", DEADLINE_S=deadline)


def test_all_missing_variables_are_named() -> None:
    with pytest.raises(ConfigError, match="needs DETKDS_S3_ENDPOINT and DETKDS_S3_SECRET_KEY in the environment"):
        S3Settings.from_environment({"DETKDS_S3_ACCESS_KEY": "reader"})


def test_the_keys_are_not_in_its_text() -> None:
    assert repr(settings(ENDPOINT="host")) == (
        "S3Settings(host='host', secure=False, region='us-east-1', deadline_s=90.0, style=None, certificates=None)"
    )
    assert "canary" not in repr(settings(ENDPOINT="host", SESSION_TOKEN="canary"))


@pytest.mark.parametrize("uri", ["s3://", "s3:///key"])
def test_an_address_without_a_bucket(uri: str) -> None:
    with pytest.raises(ConfigError, match="must name a bucket"):
        open_store(uri)


@pytest.mark.parametrize("uri", ["gs://bucket/key", "https://me:canary@host/key"])
def test_other_schemes(uri: str) -> None:
    with pytest.raises(ConfigError, match="must be a path or s3://bucket/key") as caught:
        open_store(uri)
    assert "canary" not in str(caught.value)


def test_a_style_is_path_or_virtual() -> None:
    assert settings(ENDPOINT="host", STYLE="virtual").style == "virtual"
    with pytest.raises(ConfigError, match="DETKDS_S3_STYLE must be path or virtual, got 'host'"):
        settings(ENDPOINT="host", STYLE="host")


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_trusted_authorities_are_those_of_a_file_that_exists(tmp_path: Path, name: str) -> None:
    environment = {**KEYS, "DETKDS_S3_ENDPOINT": "host", name: str(tmp_path / "ca.pem")}
    with pytest.raises(ConfigError, match=f"{name} must name a file of certificates"):
        S3Settings.from_environment(environment)
    (tmp_path / "ca.pem").touch()
    assert S3Settings.from_environment(environment).certificates == str(tmp_path / "ca.pem")


# variables, scheme, host, and the proxy that is asked
PROXIES = [
    ({}, "https", "s3.example.org", None),
    ({"HTTPS_PROXY": "http://proxy:3128"}, "https", "s3.example.org", "http://proxy:3128"),
    ({"https_proxy": "http://proxy:3128"}, "https", "s3.example.org:9000", "http://proxy:3128"),
    ({"HTTPS_PROXY": "proxy:3128"}, "https", "s3.example.org", "http://proxy:3128"),
    ({"HTTPS_PROXY": "http://proxy:3128"}, "http", "s3.example.org", None),
    ({"HTTP_PROXY": "http://proxy:3128"}, "http", "s3.example.org", "http://proxy:3128"),
    ({"ALL_PROXY": "http://proxy:3128"}, "http", "s3.example.org", "http://proxy:3128"),
    ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "other,.example.org"}, "https", "s3.example.org", None),
    ({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "*"}, "https", "s3.example.org:9000", None),
    ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "s3.example.org:9000"}, "https", "s3.example.org:9000", None),
    ({"HTTP_PROXY": "http://proxy:3128"}, "http", "127.0.0.1:8333", None),
    ({"HTTP_PROXY": "http://proxy:3128"}, "http", "[::1]:8333", None),
    ({"HTTP_PROXY": "http://proxy:3128"}, "http", "localhost:8333", None),
]


@pytest.mark.parametrize(("variables", "scheme", "host", "proxy"), PROXIES)
def test_proxies_are_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], scheme: str, host: str, proxy: str | None
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(scheme, host) == proxy


def test_other_proxies_are_refused_without_a_password_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:canary@proxy:1080")
    with pytest.raises(ConfigError, match=r"HTTPS_PROXY must be an address as http://proxy:3128, got one of socks5 scheme") as caught:
        proxy_for("https", "s3.example.org:9000")
    assert "canary" not in str(caught.value)
