"""User data understood: scripts, cloud-config in YAML and JSON, and what is none of these."""

from __future__ import annotations

import json

import pytest

from vrbench.lab.ground.port import GroundError
from vrbench.lab.packets.userdata import GuestFile, ParsedUserData, parse_user_data


def test_a_script_is_taken_whole() -> None:
    """Whatever follows the #! is run as it came."""
    assert parse_user_data(b"#!/bin/sh\necho \xff\n") == ParsedUserData(script=b"#!/bin/sh\necho \xff\n")


def test_a_cloud_config_is_read_as_json_or_yaml() -> None:
    """Both say the same; encodings, permissions and argument lists are honoured, the rest is named."""
    config = {
        "ssh_authorized_keys": ["ssh-ed25519 AAAA me"],
        "write_files": [
            {"path": "/a", "content": "text"},
            {"path": "/b", "content": "AAE=", "encoding": "b64", "permissions": "0600", "append": True},
        ],
        "runcmd": ["echo $HOME", ["touch", "a file", 3]],
        "users": [],
    }
    expected = ParsedUserData(
        authorized_keys=("ssh-ed25519 AAAA me",),
        files=(GuestFile("/a", b"text"), GuestFile("/b", b"\x00\x01", 0o600, append=True)),
        script=b"#!/bin/sh\necho $HOME\ntouch 'a file' 3\n",
        ignored=("users",),
    )
    yaml = pytest.importorskip("yaml")
    for text in (json.dumps(config), yaml.safe_dump(config)):
        assert parse_user_data(b"#cloud-config\n" + text.encode()) == expected


def test_nothing_and_the_unknown_change_nothing() -> None:
    """Empty user data is empty; unknown user data is named as ignored."""
    assert parse_user_data(b"") == parse_user_data(b"#cloud-config\n{}") == ParsedUserData()
    assert parse_user_data(b"hello").ignored == ("user data that is neither a script nor a cloud-config",)


@pytest.mark.parametrize(
    "text", ["[1, 2]", "{unclosed: [", '{"write_files": [{"content": "no path"}]}', '{"write_files": 5}']
)
def test_a_broken_cloud_config_is_refused(text: str) -> None:
    """A guest that would silently boot without its settings helps nobody."""
    pytest.importorskip("yaml")
    with pytest.raises(GroundError, match="cloud-config"):
        parse_user_data(f"#cloud-config\n{text}".encode())
