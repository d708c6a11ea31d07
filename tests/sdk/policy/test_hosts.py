"""Which hosts are development hosts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.sdk.policy.hosts import host_name, is_development_host

DEVELOPMENT = [
    "localhost", "LOCALHOST:8000", "127.0.0.1", "127.9.9.9:80", "0.0.0.0", "0.0.0.0:5000", "[::1]:8000", "::1",
    "10.0.0.1", "10.255.255.255:443", "192.168.1.20", "172.16.0.1", "172.31.255.254", "printer.local",
    "app.localhost:3000", "shop.local.", "[::ffff:10.0.0.1]:80", "",
]  # fmt: skip
PUBLIC = [
    "shop.example.com", "example.com:8443", "11.0.0.1", "172.32.0.1", "172.15.255.255", "192.169.0.1", "8.8.8.8",
    "localhost.example.com", "local", "notlocalhost", "mylocal", "[2001:db8::1]", "128.0.0.1", "10.example.com",
]  # fmt: skip


@pytest.mark.parametrize("host", DEVELOPMENT)
def test_development_hosts_are_recognised_with_and_without_port(host: str) -> None:
    """Every host of DESIGN §4.1 is a development host, in each way a Host header can write it."""
    assert is_development_host(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_public_hosts_are_not_taken_for_development(host: str) -> None:
    """A host that merely resembles a development host is a public one."""
    assert not is_development_host(host)


@given(st.text(max_size=300))
def test_any_text_gets_an_answer(host: str) -> None:
    """Whatever a visitor writes into the Host header, the question is answered and never raises."""
    assert is_development_host(host) in {True, False}
    assert host_name(host) == host_name(host).lower()
