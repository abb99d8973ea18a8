"""What lies in deploy/ fits the gateway: the sample settings load, the image copies what the packages are."""

from __future__ import annotations

import shutil
from pathlib import Path

from gateway import config


def test_the_sample_settings_are_accepted(root: Path, tmp_path: Path) -> None:
    """An unknown key refuses to start, so a sample that is out of date would be worse than none."""
    shutil.copy(root / "deploy" / "passerelle.toml", tmp_path / "passerelle.toml")

    settings = config.load(tmp_path)

    assert settings.gateway.party == "CAN"
    assert settings.exchange.listen == "0.0.0.0:7443"


def test_the_image_takes_the_three_packages_and_the_runtime_lock(root: Path) -> None:
    text = (root / "deploy" / "Dockerfile").read_text(encoding="utf-8")

    assert all(f"COPY {name} {name}" in text for name in ("gateway", "matcher", "keys"))
    assert "--require-hashes -r /tmp/requirements.lock" in text
    assert "USER passerelle" in text
