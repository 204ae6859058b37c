"""The endpoint: each request gets the values of its time, and clients cannot hold it up."""

import socket
import urllib.request

import pytest

from orchestrator.export.prometheus.listening import (
    ListenAddress,
    ListenDestination,
    parse_address,
)
from orchestrator.export.series import SeriesStore
from tests.support.export_records import metric_record, number_cell


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("9844", "127.0.0.1", 9844),
        (":9844", "127.0.0.1", 9844),
        ("10.0.0.1:0", "10.0.0.1", 0),
        ("[::1]:9844", "::1", 9844),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert parse_address(text) == ListenAddress(host=host, port=port)


@pytest.mark.parametrize("text", ["", "x", "::1", "[::1]", "localhost:1", "1:65536", "[1.1.1.1]:1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not end with a port|is no IP address"):
        parse_address(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_each_request_gets_the_values_of_its_time(host: str) -> None:
    store = SeriesStore()
    destination = ListenDestination(ListenAddress(host=host, port=0), store.snapshot, 4)
    try:
        for calls in (1, 2):
            store.accept(metric_record([number_cell(1)]))
            with urllib.request.urlopen(f"http://{destination.address}/metrics") as answer:
                text = answer.read().decode()
            assert f'probeplan_calls_total{{plan="p",probe="read"}} {calls}.0\n' in text
    finally:
        destination.close()


def test_silent_clients_do_not_keep_others_out() -> None:
    """There is room for 16; those beyond are left, and not waited for."""
    store = SeriesStore()
    destination = ListenDestination(parse_address("0"), store.snapshot, 4)
    place = (destination.address.host, destination.address.port)
    silent = [socket.create_connection(place) for _ in range(20)]
    try:
        for client in silent[16:]:
            assert client.recv(1) == b""
        for client in silent[:8]:
            client.close()
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://{destination.address}/") as answer:
                    assert b"probeplan_export_records_total 0.0" in answer.read()
                break
            except OSError:  # the threads of those that left end soon
                continue
        else:
            pytest.fail("no request was answered")
    finally:
        for client in silent:
            client.close()
        destination.close()


def test_an_address_in_use_is_an_error() -> None:
    store = SeriesStore()
    first = ListenDestination(parse_address("0"), store.snapshot, 4)
    try:
        with pytest.raises(OSError, match="in use"):
            ListenDestination(first.address, store.snapshot, 4)
    finally:
        first.close()
