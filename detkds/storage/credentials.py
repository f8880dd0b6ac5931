"""The embedded server's own key pair, made once and kept for its owner's eyes only."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from detkds.errors import ArtifactError
from detkds.storage.artifacts import write_atomic


def credentials(path: Path) -> tuple[str, str]:
    """Access key and secret key from SeaweedFS's -s3.config file, which is made with random keys if missing; its permission is 0600.

    Raises:
        ArtifactError: the file is damaged.
    """
    if not path.exists():
        write_atomic(path, json.dumps(_identities(), indent=1) + "\n", mode=0o600)
    path.chmod(0o600)
    try:
        keys = json.loads(path.read_bytes())["identities"][0]["credentials"][0]
        return str(keys["accessKey"]), str(keys["secretKey"])
    except (ValueError, LookupError, TypeError):
        raise ArtifactError(f"{path} is damaged; delete it: new keys are made and the data stays.") from None


def _identities() -> dict[str, object]:
    keys = {"accessKey": f"detkds-{secrets.token_hex(4)}", "secretKey": secrets.token_hex(20)}
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    return {"identities": [{"name": "detkds", "credentials": [keys], "actions": actions}]}
