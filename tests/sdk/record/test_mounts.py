"""A state directory on another machine's disk is warned of, and only such a one."""

from pathlib import Path

import pytest

from calos_telemetry import Settings, Telemetry
from calos_telemetry.sdk import telemetry as module
from calos_telemetry.sdk.record import mounts

LINES = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw shared:2 - proc proc rw
31 22 0:40 / /srv/shared rw,relatime shared:9 - nfs4 files:/export rw,vers=4.2
32 31 8:2 / /srv/shared/local rw - xfs /dev/sdb1 rw
33 22 0:41 / /srv/with\040space rw - cifs //files/share rw
34 22 0:42 / /srv/twice rw - ext4 /dev/sdc1 rw
35 22 0:43 / /srv/twice rw - fuse.sshfs files: rw
"""


@pytest.mark.parametrize(
    ("home", "kind"),
    [
        ("/var/lib/calos", None),
        ("/srv/shared/calos", "nfs4"),
        ("/srv/shared", "nfs4"),
        ("/srv/sharedness", None),
        ("/srv/shared/local/calos", None),
        ("/srv/with space/calos", "cifs"),
        ("/srv/twice/calos", "fuse.sshfs"),
    ],
)
def test_the_nearest_mount_decides(tmp_path: Path, home: str, kind: str | None) -> None:
    """The innermost and latest mount is the one the directory is on; the sentence names it and says what to do."""
    table = tmp_path / "mountinfo"
    table.write_text(LINES)
    said = mounts.warning_of(Path(home), table)
    assert (said is None) == (kind is None)
    assert kind is None or (said is not None and f" {kind}," in said and "CALOS_HOME" in said)


def test_where_nobody_can_tell_nothing_is_said(tmp_path: Path) -> None:
    """Without a table of mounts there is no warning, and no error."""
    assert mounts.warning_of(tmp_path, tmp_path / "missing") is None


def test_the_operator_is_warned_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning is in the log once and among the troubles; recording goes on."""
    table = tmp_path / "mountinfo"
    table.write_text("22 1 0:40 / / rw - nfs files:/export rw\n")
    monkeypatch.setattr(module, "warning_of", lambda home: mounts.warning_of(home, table))
    telemetry = Telemetry(Settings(home=tmp_path / "home", public_host="shop.example.com"))
    assert telemetry.track_feature(None, "pos_transaction")
    telemetry.close()
    assert caplog.text.count("is on nfs") == 1
    assert any("is on nfs" in trouble for trouble in telemetry.troubles())
